/**
 * @file mov: copies, packing and unpacking of vectors, addresses of variables, special registers; and cvta, between spaces.
 */
import { LANES } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import type { Warp } from "../machine/warp.ts";
import { windowOf } from "../machine/windows.ts";
import { type PtxType, ptxTypes } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { setPredicate, writing, writing32 } from "../translate/lanes.ts";
import { clockBits } from "../translate/specials.ts";

export function move(decoder: Decoder): Operation {
  const type = decoder.type();
  decoder.done(2);
  const [to, from] = [decoder.operand(0), decoder.operand(1)];
  if (type.name === "pred") {
    const target = decoder.predicateTarget(0);
    const source = decoder.predicate(1);
    return ({ registers }, mask) => setPredicate(registers, target, mask, source(registers.predicates));
  }
  if (from.kind === "vector") return pack(decoder, type);
  if (to.kind === "vector") return unpack(decoder, type);
  if (from.kind === "special" && clockBits.has(from.name)) return readClock(decoder, from.name);
  return copy(decoder.target(0, type), decoder.source(1, type), type);
}

function copy(target: number, source: number, type: PtxType): Operation {
  const words = type.bits === 64 ? 2 * LANES : LANES;
  return writing(target, type.bits, ({ i }, to) => {
    for (let word = 0; word < words; word++) i[to + word] = i[source + word]!;
  });
}

const partsOf = (decoder: Decoder, type: PtxType, count: number): PtxType => {
  const part = ptxTypes.get(`b${type.bits / count}`);
  if (!part || part.bits < 16) return decoder.fail(`.${type.name} cannot be split in ${count}`);
  return part;
};

function pack(decoder: Decoder, type: PtxType): Operation {
  const from = decoder.operand(1);
  const elements = from.kind === "vector" ? from.elements : [];
  const part = partsOf(decoder, type, elements.length);
  const target = decoder.target(0, type);
  const rows = elements.map((element) => decoder.source(element, part));
  if (part.bits === 32)
    return writing(target, 64, ({ i }, to) => {
      for (let lane = 0; lane < LANES; lane++) {
        const low = i[rows[0]! + lane]!;
        i[to + 2 * lane + 1] = i[rows[1]! + lane]!;
        i[to + 2 * lane] = low;
      }
    });
  const words = type.bits / 32;
  return writing(target, type.bits, ({ i }, to) => {
    for (let lane = 0; lane < LANES; lane++)
      for (let word = 0; word < words; word++)
        i[to + words * lane + word] = (i[rows[2 * word]! + lane]! & 0xffff) | (i[rows[2 * word + 1]! + lane]! << 16);
  });
}

function unpack(decoder: Decoder, type: PtxType): Operation {
  const to = decoder.operand(0);
  const elements = to.kind === "vector" ? to.elements : [];
  const part = partsOf(decoder, type, elements.length);
  const source = decoder.source(1, type);
  const targets = elements.map((element) => (element.kind === "sink" ? undefined : decoder.target(element, part)));
  const stride = type.bits === 64 ? 2 : 1;
  const perWord = 32 / part.bits;
  const kept = part.bits === 16 ? 0xffff : -1;
  const operations = targets.flatMap((target, at) =>
    target === undefined
      ? []
      : [
          writing32(target, ({ i }, row) => {
            const [word, shift] = [Math.floor(at / perWord), (at % perWord) * 16];
            for (let lane = 0; lane < LANES; lane++)
              i[row + lane] = (i[source + stride * lane + word]! >>> shift) & kept;
          }),
        ],
  );
  // A target may be the source itself (mov.b32 {%h0, %h1} never is, since sizes differ), so order does not matter.
  return (warp, mask) => {
    for (const operation of operations) operation(warp, mask);
  };
}

/** Time is counted in warp instructions. */
function readClock(decoder: Decoder, name: string): Operation {
  const bits = clockBits.get(name)!;
  const target = decoder.target(0, ptxTypes.get(`u${bits}`)!);
  const time = (warp: Warp): number => warp.block.launch.instructions;
  return (warp, mask) => {
    const now = name === "%clock_hi" ? time(warp) / 4294967296 : time(warp);
    writing(target, bits, ({ u }, to) => {
      for (let lane = 0; lane < LANES; lane++)
        if (bits === 64) {
          u[to + 2 * lane] = now;
          u[to + 2 * lane + 1] = now / 4294967296;
        } else u[to + lane] = now;
    })(warp, mask);
  };
}

/** cvta: to the generic address, or back (`.to`). */
export function convertAddress(decoder: Decoder): Operation {
  const back = decoder.flag("to");
  const space = decoder.require("state space", "global", "shared", "local", "const", "param");
  if (space === "shared") decoder.take("cta", "::cta");
  const type = decoder.type("u32", "u64");
  decoder.done(2);
  const target = decoder.target(0, type);
  const source = decoder.source(1, type);
  const window = windowOf(space);
  if (type.bits === 32 || window === 0) return copy(target, source, type);
  // The window's start has no bits in the low word.
  const high = (back ? -window : window) / 4294967296;
  return writing(target, 64, ({ i }, to) => {
    for (let word = 0; word < 2 * LANES; word += 2) {
      i[to + word] = i[source + word]!;
      i[to + word + 1] = i[source + word + 1]! + high;
    }
  });
}

/** isspacep: whether a generic address lies in a space. */
export function isInSpace(decoder: Decoder): Operation {
  const space = decoder.require("state space", "global", "shared", "local", "const");
  decoder.done(2);
  const target = decoder.predicateTarget(0);
  const source = decoder.source(1, ptxTypes.get("u64")!);
  const wanted = windowOf(space) / 4294967296;
  const windows = ["shared", "local", "param"].map((name) => windowOf(name as "shared") / 4294967296);
  return ({ registers }, mask) => {
    let bits = 0;
    for (let lane = 0; lane < LANES; lane++) {
      const high = registers.u[source + 2 * lane + 1]!;
      if (wanted === 0 ? !windows.includes(high) : high === wanted) bits |= 1 << lane;
    }
    setPredicate(registers, target, mask, bits);
  };
}
