/**
 * Programs that wait for each other, by scalar atomics that order all memory: a scan in one pass over memory (decoupled look-back; Merrill and Garland, 2016),
 * and sums under a lock. On CUDA only: WGSL does not order memory between workgroups. The emulator looks for races in global memory.
 */
import { afterAll, describe, expect, it } from "vitest";
import { kernel, type Scalar, tl } from "../../src/dsl/index.ts";
import { createDevice, type Device } from "../../src/runtime/index.ts";

/** What of a block is in memory: nothing, its sum, or the sum of all up to it. */
const [SUM, PREFIX] = [1, 2];

const onePassScan = kernel({
  name: "one_pass_scan",
  constants: { BLOCK: 128 },
  params: {
    x: tl.tensor("i32", 1),
    out: tl.tensor("i32", 1),
    sums: tl.pointer("i32"),
    prefixes: tl.pointer("i32"),
    states: tl.pointer("i32"),
  },
  grid: (p, { BLOCK }) => [tl.cdiv(p.x.shape(0), BLOCK)],
  body(p, { BLOCK }) {
    const block = tl.programId(0);
    const x = p.x.load([block.mul(BLOCK)], [BLOCK]);
    const sum = tl.sum(x);
    tl.store(p.sums.add(block), sum);
    tl.atomicMax(p.states.add(block), SUM);
    const stateOf = (at: Scalar<"i32">) => ({ state: tl.atomicMax(p.states.add(at), 0) });
    const { before } = tl.while(
      { at: block.sub(1), before: tl.full([], 0, "i32") },
      ({ at }) => at.ge(0),
      ({ at, before }) => {
        const { state } = tl.while(
          stateOf(at),
          (s) => s.state.eq(0),
          () => stateOf(at),
        );
        const all = state.eq(PREFIX);
        const known = tl.if(
          all,
          () => ({ value: tl.load(p.prefixes.add(at)) }),
          () => ({ value: tl.load(p.sums.add(at)) }),
        );
        return { at: tl.where(all, tl.full([], -1, "i32"), at.sub(1)), before: before.add(known.value) };
      },
    );
    tl.store(p.prefixes.add(block), before.add(sum));
    tl.atomicMax(p.states.add(block), PREFIX);
    p.out.store([block.mul(BLOCK)], tl.cumsum(x, 0).add(before));
  },
});

/** Rows added up in two places, each under a lock (the weight's gradient in Triton's layer norm). */
const lockedSums = kernel({
  name: "locked_sums",
  constants: { N: 64, PLACES: 2 },
  params: { x: tl.tensor("i32", 2), sums: tl.tensor("i32", 2), locks: tl.pointer("i32") },
  grid: (p) => [p.x.shape(0)],
  body(p, { N, PLACES }) {
    const row = tl.programId(0);
    const place = row.rem(PLACES);
    const x = p.x.load([row, 0], [N]);
    const lock = () => ({ taken: tl.atomicCas(p.locks.add(place), 0, 1) });
    tl.while(lock(), ({ taken }) => taken.ne(0), lock);
    p.sums.store([place, 0], p.sums.load([place, 0], [N]).add(x));
    tl.atomicExchange(p.locks.add(place), 0);
  },
});

describe.each([
  ["the interpreter", () => createDevice({ backend: "cpu" })],
  ["PTX in the emulator", () => createDevice({ backend: "cuda", emulate: true })],
] as const)("%s", async (_, make) => {
  const device: Device = await make();
  afterAll(() => void device.dispose());
  const integers = (values: readonly number[], shape: readonly number[] = [values.length]) =>
    device.tensor(Int32Array.from(values), { shape, dtype: "i32" });

  it("a scan of six blocks, each of which looks back", async () => {
    const x = Array.from({ length: 700 }, (_, i) => ((i * 37) % 101) - 50);
    const [out, sums, prefixes, states] = [
      device.empty([700], "i32"),
      ...[0, 1, 2].map(() => integers(new Array(6).fill(0))),
    ];
    device.launch(onePassScan, { x: integers(x), out, sums: sums!, prefixes: prefixes!, states: states! });
    let sum = 0;
    expect([...(await out.read())].map(Number)).toEqual(x.map((value) => (sum += value)));
  });

  it("sums under a lock", async () => {
    const [ROWS, N] = [9, 50];
    const x = Array.from({ length: ROWS * N }, (_, i) => (i * 31) % 97);
    const sums = integers(new Array(2 * N).fill(0), [2, N]);
    device.launch(lockedSums, { x: integers(x, [ROWS, N]), sums, locks: integers([0, 0]) });
    const expected = Array.from({ length: 2 * N }, (_, i) => {
      const rows = Array.from({ length: ROWS }, (_, row) => row).filter((row) => row % 2 === Math.floor(i / N));
      return rows.reduce((total, row) => total + x[row * N + (i % N)]!, 0);
    });
    expect([...(await sums.read())].map(Number)).toEqual(expected);
  });
});
