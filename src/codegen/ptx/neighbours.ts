/**
 * @file How many neighbouring elements a thread holds of a tile in memory, where tiles that are read or written for themselves would want different
 * numbers (vectors of 8 f16 and of 4 f32; a row that starts between two vectors) but meet in elementwise operations. One number for all of
 * them costs a few narrower accesses; each disagreement would cost a trip through shared memory, with two barriers.
 */
import { type DType, elementBytes, type Operation, ops, sameShape, shapeOf, type Value } from "../../ir/index.ts";

/** An access to memory by itself: the axis along which elements lie next to each other, and how many a thread can move at once. */
export interface Access {
  readonly axis: number | null;
  readonly contiguous: number;
}

/** Lanes next to each other move so many bytes each in one pass of a warp's access. */
const BYTES_A_LANE = 4;

/**
 * For an element of a tile whose threads hold `held` neighbours: instructions, which count twice since each also takes an address and a
 * predicate, and passes over the lines that a warp's access touches.
 */
function cost(held: number, { contiguous }: Access, dtype: DType): number {
  const moved = Math.min(held, contiguous);
  const passes = Math.max(1, (held * elementBytes[dtype]) / BYTES_A_LANE);
  return (2 + passes) / moved;
}

/** The accesses that elementwise operations connect with `start`; undefined where a dot has a say in their layout, or copies them ahead. */
function connected(start: Operation, usersOf: (value: Value) => readonly Operation[]): Operation[] | undefined {
  const shape = shapeOf(tileOf(start).type);
  const seen = new Set<Operation>([start]);
  const followed = new Set<Value>();
  const reachesDot = (value: Value): boolean => {
    if (followed.has(value)) return false;
    followed.add(value);
    return usersOf(value).some(
      ({ opcode, results }) =>
        opcode === "dot" || (opcode !== "reduce" && opcode !== "scan" && results.some(reachesDot)),
    );
  };
  const found: Operation[] = [];
  const waiting = [start];
  for (let operation = waiting.pop(); operation; operation = waiting.pop()) {
    if (operation.opcode === "dot") return undefined;
    const access = isAccess(operation);
    if (access) found.push(operation);
    if (!access && !ops[operation.opcode].elementwise) continue;
    for (const value of [...operation.operands, ...operation.results]) {
      if (value.type.kind === "view" || !sameShape(shapeOf(value.type), shape)) continue;
      if (reachesDot(value)) return undefined;
      for (const next of value.definition ? [value.definition, ...usersOf(value)] : usersOf(value)) {
        if (seen.has(next)) continue;
        seen.add(next);
        waiting.push(next);
      }
    }
  }
  return found;
}

const isAccess = ({ opcode }: Operation): boolean =>
  opcode === "view_load" || opcode === "view_store" || opcode === "load" || opcode === "store";

/** The tile that an access reads or writes. */
export const tileOf = ({ results, operands }: Operation): Value => results[0] ?? operands[1]!;

/** Gives, for each access, the number of neighbours that a thread holds of its tile. */
export function sharedNeighbours(
  accessOf: (operation: Operation) => Access,
  usersOf: (value: Value) => readonly Operation[],
): (operation: Operation) => number {
  const decided = new Map<Operation, number>();
  return (operation) => {
    const known = decided.get(operation);
    if (known !== undefined) return known;
    const own = accessOf(operation);
    const group = connected(operation, usersOf)?.filter((other) => accessOf(other).axis === own.axis) ?? [operation];
    const all = group.map((member) => ({ access: accessOf(member), dtype: tileOf(member).type.dtype }));
    const most = Math.max(...all.map(({ access }) => access.contiguous));
    let [best, least] = [most, Number.POSITIVE_INFINITY];
    for (let held = most; held >= 1; held /= 2) {
      const sum = all.reduce((total, { access, dtype }) => total + cost(held, access, dtype), 0);
      if (sum < least) [best, least] = [held, sum];
    }
    for (const member of group) decided.set(member, group.length === 1 ? own.contiguous : best);
    return decided.get(operation)!;
  };
}
