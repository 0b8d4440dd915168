/**
 * @file Which loads of a loop can be made ahead of the turn that uses them, by copying the tile to where a dot reads it, or others read it
 * back to registers on its way to a dot (weights that are scaled, say). That is so where all users are in the loop's own block, where the
 * address follows from the loop's index and what is known before the loop, and where the loop does not write what is loaded. An address
 * may also depend on *lookups*, loads whose own address follows from the index: the entries of a table that says where the tile lies.
 */
import { type Block, conditionOf, type Operation, ops, shapeOf, type Value } from "../ir/index.ts";
import { writesOf } from "./effects.ts";
import { constantOf } from "./fold.ts";

/** A load that can be made ahead. */
export interface Prefetch {
  readonly load: Operation;
  /** Operations of the loop's body, in order, from which the load's operands come: functions of the loop's index and of lookups. */
  readonly slice: readonly Operation[];
  /** The loads in the slice, and the operations from which their operands come, in order; no load among those. */
  readonly lookups: readonly Operation[];
  readonly lookupSlice: readonly Operation[];
  /** The operations that read the tile, in order. */
  readonly readers: readonly Operation[];
  /** Whether all of them are dots that take it from where the copy lies, so that it passes no registers. */
  readonly direct: boolean;
  /** Of a view_load from the same view in all turns: by how much each of its indices grows where the loop's index grows by 1, if that is known. */
  readonly motion: readonly number[] | undefined;
}

export interface PrefetchOptions {
  usersOf(value: Value): readonly Operation[];
  /** Whether an operation, in the form that the target gives it, can read operand `index` from where the copy lies. */
  reads(user: Operation, index: number): boolean;
  /** Whether a write may change what a load reads. */
  changes(write: Operation, load: Operation): boolean;
}

/** The loads of the loop's own block that can be made ahead, in order. */
export function findPrefetches(loop: Operation, options: PrefetchOptions): Prefetch[] {
  // Which turn is the last is not known ahead; what the next ones would load may not exist.
  if (conditionOf(loop)) return [];
  const block = loop.blocks[0]!;
  const candidates = block.operations.filter(
    ({ opcode, results }) => (opcode === "view_load" || opcode === "load") && shapeOf(results[0]!.type).length > 0,
  );
  if (candidates.length === 0) return [];
  const writes = writesOf(block);
  const order = new Map(block.operations.map((operation, i) => [operation, i]));
  const byOrder = (a: Operation, b: Operation): number => order.get(a)! - order.get(b)!;
  const found: Prefetch[] = [];
  for (const load of candidates) {
    const [value] = load.results;
    const users = readersOf(value!, options);
    const readers = [...users.keys()];
    const direct = [...users.values()].every((isDot) => isDot);
    if (readers.length === 0 || !readers.every((reader) => order.has(reader))) continue;
    if (!direct && !reachesDot(value!, options, order)) continue;
    const slice = sliceOf([load], block, order)?.sort(byOrder);
    if (!slice) continue;
    const lookups = slice.filter(isRead);
    const lookupSlice = sliceOf(lookups, block, order)!.sort(byOrder);
    if (lookupSlice.some(isRead)) continue;
    if (writes.some((write) => [load, ...lookups].some((read) => options.changes(write, read)))) continue;
    const motion = motionOf(load, block.parameters[0]!, new Set(slice));
    found.push({ load, slice, lookups, lookupSlice, readers: readers.sort(byOrder), direct, motion });
  }
  return found;
}

/** The operations that use the value, renamed or laid out anew on the way; of each, whether it is a dot that reads it where it lies. */
function readersOf(
  value: Value,
  options: PrefetchOptions,
  readers = new Map<Operation, boolean>(),
): Map<Operation, boolean> {
  for (const user of options.usersOf(value)) {
    if (user.opcode === "trans" || user.opcode === "convert_layout") readersOf(user.results[0]!, options, readers);
    else {
      const isDot = user.operands.every((operand, i) => operand !== value || options.reads(user, i));
      readers.set(user, isDot && readers.get(user) !== false);
    }
  }
  return readers;
}

/** Whether the value, or what is computed from it element by element or taken by it from a table, is multiplied by a dot of the block. */
function reachesDot(value: Value, options: PrefetchOptions, order: ReadonlyMap<Operation, number>): boolean {
  const seen = new Set<Operation>();
  const reaches = (from: Value): boolean =>
    options.usersOf(from).some((user) => {
      if (user.operands.some((operand, i) => operand === from && options.reads(user, i))) return order.has(user);
      const { elementwise, rearranges } = ops[user.opcode];
      if (seen.has(user) || !(elementwise || rearranges || user.opcode === "gather")) return false;
      seen.add(user);
      return user.results.some(reaches);
    });
  return reaches(value);
}

const isRead = ({ opcode }: Operation): boolean => ops[opcode].effect === "read";

/** What the operands of `loads` need of the block; undefined if that is more than functions of the loop's index and of memory. */
function sliceOf(
  loads: readonly Operation[],
  block: Block,
  order: ReadonlyMap<Operation, number>,
): Operation[] | undefined {
  const slice = new Set<Operation>();
  const carried = new Set(block.parameters.slice(1));
  const collect = (value: Value): boolean => {
    if (carried.has(value)) return false;
    const { definition } = value;
    if (!definition || !order.has(definition) || slice.has(definition)) return true;
    if (ops[definition.opcode].effect !== "none" && !isRead(definition)) return false;
    slice.add(definition);
    return definition.operands.every(collect);
  };
  return loads.every(({ operands }) => operands.every(collect)) ? [...slice] : undefined;
}

/** What is made in the slice varies; only sums and multiples of the loop's index vary evenly. */
function motionOf(load: Operation, index: Value, slice: ReadonlySet<Operation>): number[] | undefined {
  const [view, ...indices] = load.operands;
  if (load.opcode !== "view_load" || (view!.definition && slice.has(view!.definition))) return undefined;
  const growth = (value: Value): number | undefined => {
    const { definition } = value;
    if (value === index) return 1;
    if (!definition || !slice.has(definition)) return 0;
    const [a, b] = definition.operands.map(growth);
    switch (definition.opcode) {
      case "constant":
        return 0;
      case "multiple_of":
        return a;
      case "add":
      case "sub":
        return a === undefined || b === undefined ? undefined : definition.opcode === "add" ? a + b : a - b;
      case "mul": {
        const [factor, other] = numberOf(definition.operands[0]!) === undefined ? [1, a] : [0, b];
        const by = numberOf(definition.operands[factor]!);
        return by === undefined || other === undefined ? undefined : by * other;
      }
      default:
        return undefined;
    }
  };
  const motion = indices.map(growth);
  return motion.every((step) => step !== undefined) ? motion : undefined;
}

function numberOf(value: Value): number | undefined {
  const constant = constantOf(value);
  return typeof constant === "number" ? constant : undefined;
}
