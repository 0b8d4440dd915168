/** @file The elementwise operations that back ends are held against each other by, with each way to set their attributes. */
import { type Attributes, comparePredicates, dtypes, type Opcode, opcodes, ops } from "../../src/ir/index.ts";

/** All but the arithmetic of pointers. */
export const elementwiseOpcodes: readonly Opcode[] = opcodes.filter(
  (opcode) => ops[opcode].elementwise && opcode !== "add_pointer",
);

export function attributesOf(opcode: Opcode): readonly Attributes[] {
  if (opcode === "compare") return comparePredicates.map((predicate) => ({ predicate }));
  if (opcode === "cast" || opcode === "bitcast") return dtypes.map((dtype) => ({ dtype }));
  return opcode === "multiple_of" ? [{ divisor: 1 }] : [{}];
}
