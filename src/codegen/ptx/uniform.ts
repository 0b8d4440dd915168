/**
 * @file Numbers that are alike in all threads. The hardware has registers and instructions for those, beside the threads' own, and ptxas uses them as
 * far as it sees that all threads compute the same. It does not see through what only a thread's own instructions can do; a reduction over the
 * warp ends in a register for all, so addresses and bounds made of such numbers take no thread's registers from the tiles.
 */
import { type Opcode, type Operation, shapeOf } from "../../ir/index.ts";
import { isConstant, isSum } from "./element.ts";
import { isRegister } from "./instruction.ts";
import type { Lowering } from "./lowering.ts";
import { Tile } from "./tile.ts";

/** What only a thread can do with integers: dividing, and reading memory. */
const ofThreads: ReadonlySet<Opcode> = new Set<Opcode>(["div", "rem", "load", "view_load"]);
/** The same; but one often follows the other, and then only the last result is shared. */
const bounding: ReadonlySet<Opcode> = new Set<Opcode>(["min", "max"]);

/** The result of an operation: in a register for all threads where it is one number that ptxas would leave with each of them. */
export function shareAmongThreads(lowering: Lowering, operation: Operation, result: Tile): Tile {
  if (result.layout !== undefined) return result;
  if (result.kind === "i32") return shareInteger(lowering, operation, result);
  return result.kind === "f32" ? shareFloat(lowering, operation, result) : result;
}

function shareInteger(lowering: Lowering, { opcode, operands, results }: Operation, result: Tile): Tile {
  const { emitter } = lowering;
  const users = lowering.uses.get(results[0]!) ?? [];
  const isOwn = bounding.has(opcode) ? users.some((user) => !bounding.has(user.opcode)) : ofThreads.has(opcode);
  const element = result.scalar(emitter);
  const base = isSum(element) ? element.base : element;
  if (!isOwn || !isRegister(base)) return result;
  // By a constant is no division.
  if ((opcode === "div" || opcode === "rem") && isConstant(lowering.scalar(operands[1]!))) return result;
  const shared = emitter.pure("b32", "redux.sync.min.s32", [base, -1], base.divisor);
  return Tile.ofElements("i32", undefined, [isSum(element) ? { ...element, base: shared } : shared]);
}

/**
 * Arithmetic on floats takes its operands from the threads' registers, so only what no loop reads is shared, which would wait in them for what comes
 * after a loop.
 */
function shareFloat(lowering: Lowering, operation: Operation, result: Tile): Tile {
  const { emitter } = lowering;
  const element = result.scalar(emitter);
  if (!isRegister(element) || operation.opcode !== "div" || !isReadHere(lowering, operation)) return result;
  // Bits of one number are equal, so whatever they stand for, the least of them is that.
  const bits = emitter.op("b32", "redux.sync.min.s32", emitter.op("b32", "mov.b32", element), -1);
  return Tile.ofElements("f32", undefined, [emitter.op("f32", "mov.b32", bits)]);
}

/** Whether all that is made of the result of an operation alone, and what reads that, stands in its own block. */
const isReadHere = (lowering: Lowering, operation: Operation): boolean =>
  (lowering.uses.get(operation.results[0]!) ?? []).every(
    (user) => lowering.isInSameBlock(user, operation) && (!isCopy(user) || isReadHere(lowering, user)),
  );

/** Whether every element of the result is one number. */
const isCopy = ({ opcode, operands, results: [result] }: Operation): boolean =>
  result !== undefined &&
  operands.length > 0 &&
  (/^(splat|broadcast|expand_dims|reshape|convert_layout)$/.test(opcode) || shapeOf(result.type).length === 0);
