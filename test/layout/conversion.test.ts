import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ConditionalSwap,
  conversionBetween,
  defaultBlocked,
  flattenThreads,
  LinearLayout,
  layoutOfReduce,
  mmaLayout,
  type ShufflePlan,
  tileDims,
} from "../../src/layout/index.ts";
import { places } from "./arbitrary.ts";

/** Layouts of an 8x8 tile on 2 warps of 8 lanes with 8 registers: half of the places are copies; any assignment of bits. */
const heldBySameThreads = fc
  .record({
    bits: fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 6], { minLength: 8 }),
    mixes: fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { maxLength: 4 }),
  })
  .map(({ bits, mixes }) => {
    const columns = bits.map((bit) => (bit === 6 ? 0 : 1 << bit));
    for (const [to, from] of mixes) if (to !== from) columns[to] ^= columns[from];
    const ins = [
      { name: "warp", bits: 1 },
      { name: "lane", bits: 4 },
      { name: "register", bits: 3 },
    ];
    return new LinearLayout(ins, tileDims([8, 8]), columns);
  });

/** Pairs that need no other warp: the target is the source with bits of lane and register mixed. */
const withinWarps = fc
  .tuple(
    heldBySameThreads,
    fc.array(fc.tuple(fc.nat(6), fc.nat(6)), { maxLength: 12 }),
    fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6], { minLength: 7 }),
  )
  .map(([source, mixes, order]) => {
    const columns = order.map((bit) => source.columns[bit]);
    for (const [to, from] of mixes) if (to !== from) columns[to] ^= columns[from];
    // What the warp's bit stands for may also move within the warp.
    if (mixes.length > 6) columns.push(source.columns[7] ^ columns[0]);
    else columns.push(source.columns[7]);
    return [source, new LinearLayout(source.ins, source.outs, columns)] as const;
  });

const parity = (bits: number) => [...bits.toString(2)].filter((bit) => bit === "1").length & 1;

/** The packed elements in the registers of every thread, by [warp][lane]. */
function heldBy(layout: LinearLayout): number[][][] {
  const flat = layout.flattenOuts("o");
  return Array.from({ length: layout.sizeOf("warp") }, (_, warp) =>
    Array.from({ length: layout.sizeOf("lane") }, (_, lane) =>
      Array.from({ length: layout.sizeOf("register") }, (_, register) => flat.coordinates({ warp, lane, register })[0]),
    ),
  );
}

/** Executes a plan as a warp would: registers hold packed elements. Returns what each thread ends up with. */
function execute(plan: ShufflePlan, source: LinearLayout, target: LinearLayout): number[][][] {
  const swap = (registers: number[], swaps: readonly ConditionalSwap[], position: Record<string, number>): number[] =>
    swaps.reduce((now, { masks, registerMask }) => {
      const odd = Object.entries(masks).reduce((sum, [input, mask]) => sum ^ parity(position[input] & mask), 0);
      return odd ? now.map((_, register) => now[register ^ registerMask]) : now;
    }, registers);
  return heldBy(source).map((lanes, warp) => {
    const sent = lanes.map((held, lane) => swap(held, plan.before, { warp, lane }));
    return Array.from({ length: target.sizeOf("lane") }, (_, lane) => {
      const from = plan.sourceLane.coordinates({ warp, lane })[0];
      const received = plan.rounds.map((round) => {
        if (round.stays) expect(from ^ round.lane).toBe(lane);
        return sent[from ^ round.lane][round.register];
      });
      return swap(received, plan.after, { warp, lane });
    });
  });
}

describe("conversion between layouts", () => {
  it("maps each place of the target to a place of the source with the same element", () => {
    fc.assert(
      fc.property(heldBySameThreads, heldBySameThreads, (source, target) => {
        const { kind, map, shuffle } = conversionBetween(source, target);
        if (shuffle !== undefined) expect(execute(shuffle, source, target)).toEqual(heldBy(target));
        const wrong = [...places(target)].filter((place) => {
          const [warp, lane, register] = map.coordinates({
            warp: place.warp,
            lane: place.lane,
            register: place.register,
          });
          if (kind !== "shared" && warp !== place.warp) return true;
          if ((kind === "identity" || kind === "registers") && lane !== place.lane) return true;
          return source.coordinates({ warp, lane, register }).join() !== place.at.join();
        });
        expect(wrong).toEqual([]);
      }),
    );
  });

  it("stays in the thread or in the warp wherever that is possible", () => {
    fc.assert(
      fc.property(heldBySameThreads, heldBySameThreads, (source, target) => {
        const { kind } = conversionBetween(source, target);
        const held = (layout: LinearLayout, key: (place: { warp: number; lane: number }) => string) => {
          const sets = new Map<string, Set<string>>();
          for (const place of places(layout)) {
            if (!sets.has(key(place))) sets.set(key(place), new Set());
            sets.get(key(place))!.add(place.at.join());
          }
          return sets;
        };
        const covers = (key: (place: { warp: number; lane: number }) => string) => {
          const sourceSets = held(source, key);
          return [...held(target, key)].every(([at, set]) =>
            [...set].every((element) => sourceSets.get(at)!.has(element)),
          );
        };
        const inThread = covers(({ warp, lane }) => `${warp},${lane}`);
        const inWarp = covers(({ warp }) => `${warp}`);
        if (kind === "identity" || kind === "registers") expect(inThread).toBe(true);
        if (kind === "shuffle") expect(inWarp).toBe(true);
        if (!inWarp) expect(kind).toBe("shared");
        if (inThread) expect(kind).not.toBe("shared");
      }),
    );
  });

  it("plans shuffles that, executed, give every thread its elements", () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(withinWarps, ([source, target]) => {
        const { kind, shuffle, registers } = conversionBetween(source, target);
        kinds.add(kind);
        expect(kind).not.toBe("shared");
        if (shuffle !== undefined) expect(execute(shuffle, source, target)).toEqual(heldBy(target));
        else
          expect(heldBy(source).map((lanes) => lanes.map((held) => registers!.map((from) => held[from])))).toEqual(
            heldBy(target),
          );
      }),
      { numRuns: 300 },
    );
    expect(kinds.has("shuffle")).toBe(true);
  });

  it("names the usual cases", () => {
    const options = { instruction: "m16n8k16", shape: [64, 64], warpsPerCta: [4, 1] } as const;
    const scores = mmaLayout({ ...options, role: "accumulator" });
    const weights = mmaLayout({ ...options, role: "a" });
    expect(conversionBetween(scores, weights).kind).toBe("identity");

    const tf32 = { ...options, instruction: "m16n8k8", contraction: "accumulator" } as const;
    const permuted = conversionBetween(scores, mmaLayout({ ...tf32, role: "a" }));
    expect(permuted.kind).toBe("registers");
    expect(permuted.registers!.slice(0, 4)).toEqual([0, 2, 1, 3]);

    const plain = { ...tf32, contraction: "standard" } as const;
    expect(conversionBetween(scores, mmaLayout({ ...plain, role: "a" })).kind).toBe("shuffle");

    const rows = defaultBlocked({ shape: [64, 64], warps: 4, contiguous: 8 });
    expect(conversionBetween(scores, rows).kind).toBe("shared");

    // Row statistics, of which each lane of four holds a copy, to one row a lane: across warps only where rows change warps.
    const one = mmaLayout({ ...options, shape: [16, 64], warpsPerCta: [1, 1], role: "accumulator" });
    const perRow = layoutOfReduce(one, 1);
    expect(conversionBetween(perRow, defaultBlocked({ shape: [16], warps: 1 })).kind).toBe("shuffle");
  });

  it("exchanges registers within threads where which one depends on the thread", () => {
    const source = LinearLayout.fromBases({ warp: [], lane: [[4], [8]], register: [[1], [2]] }, { dim0: 16 });
    const target = LinearLayout.fromBases({ warp: [], lane: [[5], [11]], register: [[1], [2]] }, { dim0: 16 });
    const { kind, shuffle } = conversionBetween(source, target);
    expect(kind).toBe("shuffle");
    expect(shuffle!.rounds.every((round) => round.stays)).toBe(true);
    // Lane bit 0 asks for register ^ 1, lane bit 1 for register ^ 3.
    expect(shuffle!.before).toEqual([
      { masks: { lane: 1 }, registerMask: 1 },
      { masks: { lane: 2 }, registerMask: 3 },
    ]);
    expect(execute(shuffle!, source, target)).toEqual(heldBy(target));
  });

  it("knows no shuffle where there are no lanes", () => {
    const source = flattenThreads(defaultBlocked({ shape: [32, 32], warps: 1, lanes: 32 }));
    const target = flattenThreads(defaultBlocked({ shape: [32, 32], warps: 1, lanes: 32, order: [0, 1] }));
    expect(conversionBetween(source, target).kind).toBe("shared");
    expect(conversionBetween(source, source).kind).toBe("identity");
  });

  it("refuses layouts of other threads and sources that lack elements", () => {
    const four = defaultBlocked({ shape: [64], warps: 4 });
    const two = defaultBlocked({ shape: [64], warps: 2 });
    expect(() => conversionBetween(four, two)).toThrow(expect.objectContaining({ code: "LAYOUT_DIMS_DIFFER" }));
    const half = LinearLayout.fromBases({ warp: [], lane: [[1]], register: [] }, { dim0: 4 });
    const full = LinearLayout.fromBases({ warp: [], lane: [[1]], register: [[2]] }, { dim0: 4 });
    expect(() => conversionBetween(half, full)).toThrow(expect.objectContaining({ code: "LAYOUT_NOT_SURJECTIVE" }));
  });
});
