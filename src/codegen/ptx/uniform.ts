/**
 * @file Numbers that are alike in all threads. The hardware has registers and instructions for those, beside the threads' own, and ptxas uses them as
 * far as it sees that all threads compute the same. It does not see through what only a thread's own instructions can do; a reduction over the
 * warp ends in a register for all, so addresses and bounds made of such numbers take no thread's registers from the tiles.
 */
import type { Opcode, Operation } from "../../ir/index.ts";
import { isConstant, isSum } from "./element.ts";
import { isRegister } from "./instruction.ts";
import type { Lowering } from "./lowering.ts";
import { Tile } from "./tile.ts";

/** What only a thread can do: dividing, and reading memory. */
const ofThreads: ReadonlySet<Opcode> = new Set<Opcode>(["div", "rem", "load", "view_load"]);
/** The same; but one often follows the other, and then only the last result is shared. */
const bounding: ReadonlySet<Opcode> = new Set<Opcode>(["min", "max"]);

/** The result of an operation: in a register for all threads where it is one number that ptxas would leave with each of them. */
export function shareAmongThreads(lowering: Lowering, { opcode, operands, results }: Operation, result: Tile): Tile {
  const { emitter } = lowering;
  if (result.layout !== undefined || result.kind !== "i32") return result;
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
