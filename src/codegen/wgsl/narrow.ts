/**
 * @file Offsets are 64-bit in Tile IR, so that no target overflows; a WGSL buffer has fewer than 2^31 elements, and an i64 is two words
 * here. This pass computes in i32 whatever only ends up in addresses: the low word of a sum or product needs the low words only.
 */
import { type Kernel, type Opcode, type Operation, ops, rewriteKernel, type Value, walk } from "../../ir/index.ts";

/** Operations, besides those that rearrange, whose low word depends on the low words of their operands alone. */
const modularOpcodes: ReadonlySet<Opcode> = new Set<Opcode>([
  "add",
  "sub",
  "mul",
  "neg",
  "not",
  "and",
  "or",
  "xor",
  "select",
  "multiple_of",
  "cast",
  "constant",
  "view_stride",
]);

const isModular = (opcode: Opcode): boolean => ops[opcode].rearranges === true || modularOpcodes.has(opcode);

export function narrowAddresses(kernel: Kernel): Kernel {
  const narrow = narrowable(kernel);
  if (narrow.size === 0) return kernel;
  return rewriteKernel(kernel, (operation, operands, { builder }) => {
    const { opcode, attributes, results } = operation;
    if (!results.some((result) => narrow.has(result))) return undefined;
    const names = results.map((result) => result.name);
    switch (opcode) {
      case "view_stride":
        return [builder.value("cast", [builder.value(opcode, operands, attributes)], { dtype: "i32" }, { names })];
      case "constant": {
        const value = Number(BigInt.asIntN(32, BigInt(attributes.value as bigint)));
        return [builder.value(opcode, [], { ...attributes, value, dtype: "i32" }, { names })];
      }
      case "cast":
        return [
          operands[0]!.type.dtype === "i32"
            ? operands[0]!
            : builder.value(opcode, operands, { dtype: "i32" }, { names }),
        ];
      default:
        return builder.create(opcode, operands, attributes, { names }).results;
    }
  });
}

/** The i64 values of which nobody needs the high word. */
function narrowable(kernel: Kernel): ReadonlySet<Value> {
  const operations: Operation[] = [];
  walk(kernel.body, (operation) => operations.push(operation));
  const candidates = new Set<Value>();
  for (const { opcode, operands, results } of operations)
    for (const result of results)
      if (result.type.kind === "tile" && result.type.dtype === "i64" && isModular(opcode) && castable(opcode, operands))
        candidates.add(result);
  // Users come after definitions, so one backward pass settles all; operands must narrow with their user.
  for (let changed = true; changed; ) {
    changed = false;
    for (const operation of operations.toReversed())
      for (const operand of operation.operands)
        if (candidates.has(operand) && !lowWordOnly(operation, operand, candidates))
          changed = candidates.delete(operand) || changed;
    for (const { opcode, operands, results } of operations) {
      if (opcode === "cast" || results.every((result) => !candidates.has(result))) continue;
      if (operands.every((operand) => operand.type.dtype !== "i64" || candidates.has(operand))) continue;
      for (const result of results) changed = candidates.delete(result) || changed;
    }
  }
  return candidates;
}

const castable = (opcode: Opcode, [operand]: readonly Value[]): boolean =>
  opcode !== "cast" || ["i8", "i32", "u32", "bool"].includes(operand!.type.dtype);

function lowWordOnly(
  { opcode, operands, results, attributes }: Operation,
  operand: Value,
  narrow: ReadonlySet<Value>,
): boolean {
  switch (opcode) {
    case "add_pointer":
      return operand === operands[1];
    case "make_view":
      return true;
    case "cast":
      return ["i8", "i32", "u32"].includes(attributes.dtype as string);
    default:
      return results.length > 0 && results.every((result) => narrow.has(result));
  }
}
