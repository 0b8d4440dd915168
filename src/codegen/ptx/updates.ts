/**
 * @file Conditional updates: `where(changes, f(x), x)` with a condition that is the same along an axis. A warp none of whose rows change skips
 * the update by a branch instead of computing it and selecting what was there before.
 */
import { type Kernel, type Operation, type Value, walk } from "../../ir/index.ts";
import { move } from "./control.ts";
import { elementKey, isConstant } from "./element.ts";
import { isRegister, type Register } from "./instruction.ts";
import type { Lowering } from "./lowering.ts";
import { Tile } from "./tile.ts";

/** A select, and the operation that makes what it selects where the condition holds. */
export interface Update {
  readonly select: Operation;
  readonly changed: Operation;
}

/** Elements of a thread, and elements for each one of the condition, from which on the branch costs less. */
const FEWEST_ELEMENTS = 32;
const FEWEST_PER_CONDITION = 8;

/** The updates of a kernel, by the operation that makes what is selected. */
export function findUpdates(kernel: Kernel, usersOf: (value: Value) => readonly Operation[]): Map<Operation, Update> {
  const updates = new Map<Operation, Update>();
  walk(kernel.body, (select) => {
    if (select.opcode !== "select") return;
    const [condition, made, kept] = select.operands as [Value, Value, Value];
    const changed = made.definition;
    if (condition.definition?.opcode !== "broadcast" || !changed || made.type.dtype !== "f32") return;
    // Of one operation, and of nothing that another operation needs.
    if (usersOf(made).length === 1 && isArithmetic(changed) && changed.operands.includes(kept))
      updates.set(changed, { select, changed });
  });
  return updates;
}

const isArithmetic = ({ opcode }: Operation): boolean => /^(add|sub|mul|div|fma|min|max)$/.test(opcode);

/** Lowers the select of an update, whose change has not been lowered yet; undefined where no branch is worth it. */
export function lowerUpdate(lowering: Lowering, { select, changed }: Update): Tile | undefined {
  const { emitter } = lowering;
  const [condition, made, kept] = select.operands as [Value, Value, Value];
  const conditions = lowering.tile(condition).elements(emitter);
  const distinct = [...new Map(conditions.map((element) => [elementKey(element), element])).values()];
  if (
    conditions.length < FEWEST_ELEMENTS ||
    conditions.length < distinct.length * FEWEST_PER_CONDITION ||
    distinct.some(isConstant)
  )
    return undefined;
  const before = lowering.tile(kept).elements(emitter);
  // What the loop carries and nothing else reads changes where it is.
  const inPlace =
    lowering.isParameterOfBlock(kept, select) && lowering.uses.get(kept)!.length === 2 && before.every(isRegister);
  const results = before.map((element) => {
    if (inPlace) return element as Register;
    const result = emitter.register("f32");
    emitter.push(move(result, element, "f32", emitter));
    return result;
  });
  const any = (distinct as Register[]).reduce((a, b) => emitter.op("pred", "or.pred", a, b));
  const predicate = emitter.op("pred", "vote.sync.any.pred", any, -1);
  const whenTrue = emitter.block(() => {
    lowering.lowerOperation(changed);
    lowering
      .tile(made)
      .elements(emitter)
      .forEach((element, i) => {
        emitter.push({
          ...move(results[i]!, element, "f32", emitter),
          guard: { predicate: conditions[i] as Register },
        });
      });
  });
  lowering.values.delete(made);
  emitter.push({ kind: "if", label: emitter.label("update"), condition: { predicate }, whenTrue, whenFalse: [] });
  return Tile.ofElements("f32", lowering.layoutOf(select.results[0]!), results);
}
