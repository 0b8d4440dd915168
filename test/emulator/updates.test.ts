/** atom and red of nvcc, by every name: each thread's update is made once, whatever their order. */
import { describe, expect, it } from "vitest";
import { launchFixture } from "./fixture.ts";
import { assembledForms } from "./forms.ts";

const threads = 64;
const lesser = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const greater = (a: bigint, b: bigint): bigint => (a > b ? a : b);

/** What an instruction makes of a number that it finds, from the thread's operand, or from its index. */
function updated(form: string, old: bigint, operand: bigint, thread: bigint): bigint {
  const [operation, type] = form.split(".").slice(-2) as [string, string];
  const bits = Number(type.slice(1));
  const number = (a: bigint): bigint => (type.startsWith("s") ? BigInt.asIntN(bits, a) : BigInt.asUintN(bits, a));
  const [a, b] = [number(old), number(operand)];
  const operations: Readonly<Record<string, () => bigint>> = {
    add: () => a + b,
    and: () => a & b,
    or: () => a | b,
    xor: () => a ^ b,
    min: () => lesser(a, b),
    max: () => greater(a, b),
    exch: () => b,
    inc: () => (a >= b ? 0n : a + 1n),
    dec: () => (a === 0n || a > b ? b : a - 1n),
    cas: () => (a === thread ? thread + 1n : a),
  };
  return BigInt.asUintN(bits, operations[operation]!());
}

const sorted = (values: readonly bigint[]): bigint[] => [...values].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
const upTo = Array.from({ length: threads }, (_, i) => i);

/** Each number that is found is what another update, or nobody, has left; so the last one is what is left in the end. */
function checkChain(
  form: string,
  first: bigint,
  last: bigint,
  found: readonly bigint[],
  operands: readonly bigint[],
): void {
  const left = found.map((old, i) => updated(form, old, operands[i]!, BigInt(i)));
  expect([form, sorted([...found, last])]).toEqual([form, sorted([...left, first])]);
}

describe("updates of nvcc", () => {
  for (const [entry, bits, count] of [
    ["words", 32, 13 * 6],
    ["long_words", 64, 10 * 6],
  ] as const)
    it(`${entry}, with every order and scope`, () => {
      const forms = assembledForms("updates", entry);
      expect(forms.length).toBe(count);
      const operands = upTo.map((i) => BigInt.asUintN(bits, BigInt(i * i + 1) * 0x9e3779b97f4a7c15n));
      const first = forms.map((form, row) =>
        form.includes(".cas.") ? 0n : BigInt.asUintN(bits, BigInt(row + 3) * 0xd1b54a32d192ed03n),
      );
      const array = (values: readonly bigint[]) =>
        bits === 64 ? BigUint64Array.from(values) : Uint32Array.from(values.map(Number));
      const [before, places] = [array(new Array(count * threads).fill(0n)), array(first)];
      launchFixture("updates", entry, { threads }, before, places, array(operands));
      forms.forEach((form, row) => {
        const found = upTo.map((i) => BigInt(before[row * threads + i]!));
        checkChain(form, first[row]!, BigInt(places[row]!), found, operands);
      });
    });

  it("sums of f32, which are exact here", () => {
    const forms = assembledForms("updates", "floats");
    expect(forms.length).toBe(6);
    const [before, places] = [new Float32Array(6 * threads), new Float32Array(6).fill(0.5)];
    launchFixture(
      "updates",
      "floats",
      { threads },
      before,
      places,
      Float32Array.from(upTo, (i) => (i - 20) / 4),
    );
    const sum = upTo.reduce((total, i) => total + (i - 20) / 4, 0.5);
    forms.forEach((form, row) => {
      const found = [...before.subarray(row * threads, (row + 1) * threads)];
      const left = found.map((old, i) => old + (i - 20) / 4);
      const ascending = (values: number[]): number[] => values.sort((a, b) => a - b);
      expect([form, places[row]]).toEqual([form, sum]);
      expect(ascending([...found, sum])).toEqual(ascending([...left, 0.5]));
    });
  });

  it("red", () => {
    const forms = assembledForms("updates", "reductions");
    expect(forms.length).toBe(8 * 4);
    const operands = upTo.map((i) => BigInt(Math.imul(i + 5, 0x9e3779b1) >>> 0));
    const first = Uint32Array.from(forms, (_, row) => Math.imul(row + 3, 0x85ebca6b));
    const places = first.slice();
    launchFixture(
      "updates",
      "reductions",
      { threads },
      new Uint32Array(threads),
      places,
      Uint32Array.from(operands.map(Number)),
    );
    forms.forEach((form, row) => {
      const all = operands.reduce((old, operand, i) => updated(form, old, operand, BigInt(i)), BigInt(first[row]!));
      expect([form, BigInt(places[row]!)]).toEqual([form, all]);
    });
  });

  it("of shared memory", () => {
    const forms = assembledForms("updates", "in_shared");
    expect(forms.length).toBe(8);
    const operands = upTo.map((i) => BigInt(Math.imul(i + 5, 0x9e3779b1) >>> 0));
    const first = Uint32Array.from({ length: 32 }, (_, row) => Math.imul(row + 3, 0x85ebca6b));
    const [before, places] = [new Uint32Array(4 * threads), first.slice()];
    launchFixture("updates", "in_shared", { threads }, before, places, Uint32Array.from(operands.map(Number)));
    forms.forEach((form, row) => {
      const [start, end] = [BigInt(first[row]!), BigInt(places[row]!)];
      if (form.startsWith("red")) {
        const all = operands.reduce((old, operand, i) => updated(form, old, operand, BigInt(i)), start);
        expect([form, end]).toEqual([form, all]);
      } else
        checkChain(
          form,
          start,
          end,
          upTo.map((i) => BigInt(before[(row - 4) * threads + i]!)),
          operands,
        );
    });
    expect(places.subarray(8)).toEqual(first.subarray(8));
  });
});
