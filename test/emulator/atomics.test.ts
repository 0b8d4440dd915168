/** Atomics that nvcc compiled: where the order of threads decides, what must hold of any order. */
import { describe, expect, it } from "vitest";
import { f16BitsToF32 } from "../../src/support/index.ts";
import { launchFixture } from "./fixture.ts";

const threads = 32;
const upTo = (count: number, step = 1): number[] => Array.from({ length: count }, (_, i) => i * step);
/** What was there before each of several additions, in whatever order they came. */
const sorted = (values: Iterable<bigint | number>): number[] => [...values].map(Number).sort((a, b) => a - b);

describe("atomics of nvcc", () => {
  it("every operation of words and long words in global memory", () => {
    // Both halves matter, and the sign differs between lanes.
    const given = BigUint64Array.from({ length: threads }, (_, i) => BigInt(i + 1) * 0x9e3779b97f4a7c15n);
    const all = [...given];
    const signed = all.map((x) => BigInt.asIntN(64, x));
    const ascending = (values: readonly bigint[]): bigint[] => [...values].sort((a, b) => (a < b ? -1 : 1));
    const ones = 0xffffffffffffffffn;
    const longs = new BigUint64Array([9n, ones, 0n, ones, 0n, 1n, 1n << 62n, 1n << 63n, 77n, 0n, 500n]);
    const words = new Uint32Array([0, 0, 5, 40, 7, 8, 100]);
    const floats = new Float32Array([1, 10, 0]);
    const doubles = new Float64Array([0.5, 100]);
    const before = new BigUint64Array(7 * threads);
    launchFixture("atomics", "words", { threads }, longs, words, floats, doubles, before, given);
    const sum = all.reduce((a, b) => a + b);
    expect([...longs.subarray(0, 8)]).toEqual(
      [
        9n + sum,
        ascending(all)[0]!,
        ascending(all).at(-1)!,
        all.reduce((a, b) => a & b),
        all.reduce((a, b) => a | b),
        all.reduce((a, b) => a ^ b, 1n),
        ascending(signed)[0]!,
        ascending(signed).at(-1)!,
      ].map((x) => BigInt.asUintN(64, x)),
    );
    const found = (row: number): BigUint64Array => before.subarray(row * threads, (row + 1) * threads);
    // Each exchange hands on what the one before has left.
    expect(sorted([...found(0), longs[8]!])).toEqual(sorted([...upTo(threads), 77]));
    // Thread i swaps only where it finds i: the count is how many came in order, and what each saw tells who swapped.
    const swaps = [...found(1)].filter((old, i) => old === BigInt(i)).length;
    expect(longs[9]).toBe(BigInt(swaps));
    expect(swaps).toBeGreaterThan(0);
    expect(sorted(found(2))).toEqual(upTo(threads, 3).map((x) => 500 + x));
    expect(longs[10]).toBe(500n + 96n);
    // Up to 6 and again from 0: 32 steps of 7; down from 0 to 9: 32 steps of 10.
    expect([...words]).toEqual([
      threads % 7,
      (10 - (threads % 10)) % 10,
      Number(BigInt.asUintN(32, 5n - sum)),
      40 + threads,
      7 + threads,
      8 + 2 * threads,
      100 + 5 * threads,
    ]);
    expect(sorted(found(3))).toEqual(upTo(threads).map((x) => 40 + x));
    expect(sorted(found(4))).toEqual(upTo(threads, 5).map((x) => 100 + x));
    expect([...floats]).toEqual([1 + threads / 4, 10 + threads, 2.5]);
    expect(sorted(found(5))).toEqual(upTo(threads).map((x) => 10 + x));
    expect([...doubles]).toEqual([0.5 + threads / 8, 100 + 2 * threads]);
    expect(sorted(found(6))).toEqual(upTo(threads, 2).map((x) => 100 + x));
  });

  it("halves, pairs of halves, and 16-bit words beside others", () => {
    const [pairs, single, before] = [new Uint16Array(4), new Uint16Array([1, 0, 3]), new Uint16Array(96)];
    const swapped = new Uint16Array([0xaaaa, 0, 0x5555]);
    launchFixture("atomics", "halves", { threads }, pairs, single, swapped, before);
    expect([...pairs].map(f16BitsToF32)).toEqual([32, 16, 32, 64]);
    expect([single[0], f16BitsToF32(single[1]!), single[2]]).toEqual([1, 8, 3]);
    expect(sorted(before.subarray(0, 32))).toEqual(upTo(threads));
    expect(sorted(before.subarray(32, 64))).toEqual(upTo(threads, 2));
    const swaps = [...before.subarray(64)].filter((found, i) => found === i).length;
    expect([...swapped]).toEqual([0xaaaa, swaps, 0x5555]);
    expect(swaps).toBeGreaterThan(0);
  });

  it("every operation in shared memory", () => {
    const given = Int32Array.from({ length: 64 }, (_, i) => Math.imul(i + 1, 2654435761) >> 3);
    const out = new Int32Array(10);
    const { sharedAccesses } = launchFixture("atomics", "in_shared", { threads: 64 }, out, given);
    const tickets = out[7]!;
    expect([...out.subarray(0, 7)]).toEqual([
      given.reduce((a, b) => (a + b) | 0),
      Math.min(1000, ...given),
      Math.max(-1000, ...given),
      given.reduce((a, b) => a & b),
      given.reduce((a, b) => a | b),
      given.reduce((a, b) => a ^ b),
      64,
    ]);
    expect(tickets).toBeGreaterThan(0);
    expect(tickets).toBeLessThanOrEqual(64);
    expect([...out.subarray(8)]).toEqual([32, 5 + 2 * 64]);
    // All lanes update one word, in turn: 2 warps, a request each for 4 bytes and two for 8.
    const atomics = sharedAccesses.filter(({ instruction }) => instruction.startsWith("atom.shared"));
    expect(atomics.length).toBeGreaterThan(8);
    for (const { instruction, accesses, wavefronts } of atomics)
      expect([accesses, wavefronts]).toEqual([instruction.includes("64") ? 4 : 2, 64]);
  });

  it("a lock: plain data behind it is neither lost nor a race", () => {
    const [locks, data] = [new Int32Array(2), new Int32Array([1, 1])];
    launchFixture("atomics", "locked", { threads: 64, blocks: 6 }, locks, data);
    expect([...locks]).toEqual([0, 0]);
    // Three blocks a place, in any of six orders.
    const orders = [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ];
    for (const place of [0, 1])
      expect(orders.map((order) => order.reduce((value, turn) => value * 3 + 2 * turn + place, 1))).toContain(
        data[place],
      );
  });

  it("the last block adds up what all have written", () => {
    const blocks = 5;
    const given = Float32Array.from({ length: blocks * 64 }, (_, i) => ((i * 37) % 101) - 50);
    const [sums, count, total] = [new Float32Array(blocks), new Uint32Array(1), new Float32Array(1)];
    launchFixture("atomics", "last_block", { threads: 64, blocks }, sums, count, total, given);
    const expected = upTo(blocks).map((block) => given.subarray(block * 64, block * 64 + 64).reduce((a, b) => a + b));
    expect([...sums]).toEqual(expected);
    expect(count[0]).toBe(0);
    expect(total[0]).toBe(expected.reduce((a, b) => a + b));
  });
});
