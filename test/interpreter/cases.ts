/** How the tables of `opcodes.test.ts` are written: a case is a name and a test. */
import { expect } from "vitest";
import type { Attributes, DType, Opcode } from "../../src/ir/index.ts";
import { type Element, evaluate, type TileInput, tile } from "./evaluate.ts";

export type Case = readonly [name: string, test: () => void];

export const f = Math.fround;
export const inf = Number.POSITIVE_INFINITY;
export const nan = Number.NaN;
const lenient = { nan: false } as const;

/** One operation on tiles of one shape. */
export function gives(
  opcode: Opcode,
  inputs: readonly TileInput[],
  expected: readonly Element[],
  attributes: Attributes = {},
): Case {
  const name = `${inputs.map(({ dtype }) => dtype).join(", ")} ${Object.values(attributes).join(" ")}`.trim();
  return [
    name,
    () => expect(evaluate(inputs, (b, tiles) => b.value(opcode, tiles, attributes), lenient)[0]).toEqual(expected),
  ];
}
/** One operation on tiles of one dtype: the operands' elements, then the result's. */
export function on(opcode: Opcode, dtype: DType, ...columns: readonly (readonly Element[])[]): Case {
  const operands = columns.slice(0, -1).map((values) => tile(dtype, values));
  return gives(opcode, operands, columns.at(-1)!);
}

export const max32 = 2 ** 31 - 1;
export const min32 = -(2 ** 31);
export const max64 = 2n ** 63n - 1n;
export const min64 = -(2n ** 63n);
export const ramp = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** An operation that leaves its operand's values as they are. */
export function keeps(opcode: Opcode, dtype: DType, values: readonly Element[], attributes: Attributes): Case {
  return gives(opcode, [tile(dtype, values)], values, attributes);
}
