/**
 * @file The one table of Tile IR operations: for each, its operands, attributes, result rule (which is its verifier too), effect and
 * traits. The builder, verifier, printer, parser, passes, interpreter and code generators are all driven by it.
 *
 * Operand names: `name?` may be missing (only from the end), `name...` stands for any number. Every elementwise operation takes
 * operands of one shape: the DSL inserts `splat` and `broadcast`.
 */
import type { Attribute, Attributes, Block } from "../ir.ts";
import { type DType, dtypes, type ValueType } from "../types.ts";
import { acrossElements } from "./across-elements.ts";
import { arithmeticOperations } from "./arithmetic.ts";
import { controlOperations } from "./control.ts";
import type { AttributeKind, OpDefinition } from "./definition.ts";
import { memoryOperations } from "./memory.ts";
import { fail } from "./rules.ts";
import { valueOperations } from "./values.ts";

export * from "./definition.ts";

const table = {
  ...valueOperations,
  ...arithmeticOperations,
  ...acrossElements,
  ...memoryOperations,
  ...controlOperations,
} satisfies Record<string, OpDefinition>;

export type Opcode = keyof typeof table;
export const ops: Readonly<Record<Opcode, OpDefinition>> = table;
export const opcodes = Object.keys(table) as Opcode[];

/** Checks operand count, attribute names and kinds, and block count against the table; then gives the result types. */
export function inferTypes(
  opcode: Opcode,
  operands: readonly ValueType[],
  attributes: Attributes,
  blocks: readonly Block[],
): readonly ValueType[] {
  const op = ops[opcode];
  const [least, most] = operandCounts(op);
  if (operands.length < least || operands.length > most)
    fail("OPERAND_COUNT", `${opcode} takes (${op.operands.join(", ")}), got ${operands.length} operands`);
  if (blocks.length !== (op.blocks ?? 0))
    fail("BLOCK_COUNT", `${opcode} owns ${op.blocks ?? 0} blocks, got ${blocks.length}`);
  for (const name in op.attributes) checkAttribute(opcode, name, op.attributes[name]!, attributes[name]);
  for (const name in attributes)
    if (!(name in op.attributes)) fail("ATTRIBUTE", `${opcode} has no attribute "${name}"`);
  return op.infer(operands, attributes, blocks);
}

const countsOf = new Map<OpDefinition, readonly [least: number, most: number]>();

function operandCounts(op: OpDefinition): readonly [least: number, most: number] {
  let counts = countsOf.get(op);
  if (!counts) {
    const optional = op.operands.filter((name) => name.endsWith("?")).length;
    const many = op.operands.filter((name) => name.endsWith("...")).length;
    const named = op.operands.length - many;
    counts = [named - optional, many > 0 ? Number.POSITIVE_INFINITY : named];
    countsOf.set(op, counts);
  }
  return counts;
}

function checkAttribute(opcode: string, name: string, kind: AttributeKind, value: Attribute | undefined): void {
  const good =
    kind === "int"
      ? Number.isInteger(value)
      : kind === "ints"
        ? Array.isArray(value) && value.every(Number.isInteger)
        : kind === "bools"
          ? Array.isArray(value) && value.every((flag) => typeof flag === "boolean")
          : kind === "bool"
            ? typeof value === "boolean"
            : kind === "number"
              ? ["number", "bigint", "boolean"].includes(typeof value)
              : kind === "string"
                ? typeof value === "string"
                : kind === "dtype"
                  ? dtypes.includes(value as DType)
                  : kind.includes(value as string);
  if (!good)
    fail(
      "ATTRIBUTE",
      `attribute "${name}" of ${opcode} must be ${typeof kind === "string" ? kind : kind.join(" | ")}, got ${String(value)}`,
    );
}
