/**
 * @file Loops over registers. Roots (what must be computed and kept, stored, or reduced; see analysis.ts) that run over the same
 * distribution are gathered into a *group*, which becomes one nest of loops, one loop for each axis of which a thread holds several
 * elements. A group stays open until someone needs its results.
 */
import type { Location, Operation, Value } from "../../ir/index.ts";
import { ops } from "../../ir/index.ts";
import type { Distribution } from "./distribution.ts";
import { atom, type Expr, literal } from "./expression.ts";
import type { Generator } from "./generator.ts";
import type { MemoryAccess } from "./hazards.ts";
import { heldIndex, laneOf, type TileIndex } from "./tile-index.ts";
import { holdsNeighbours, isWide, wide } from "./wide-access.ts";

export interface Root {
  readonly distribution: Distribution;
  /** The operation that this root carries out, or whose result it computes. */
  readonly operation: Operation | undefined;
  readonly location: Location | undefined;
  /** The values of which it takes the element at the loops' index. */
  readonly inputs: readonly Value[];
  /** The axis that must be innermost, for a reduction. */
  readonly innermost?: number;
  /** Accesses that the root itself makes. */
  readonly accesses?: readonly MemoryAccess[];
  /** Before the loops. `group` tells who shares them. */
  before?(group: Group): void;
  /** Around the innermost axis; `outer` has 0 there. */
  enter?(outer: TileIndex): void;
  body(index: TileIndex): void;
  leave?(outer: TileIndex): void;
  /** After the loops. */
  after?(): void;
}

export class Group {
  readonly roots: Root[] = [];
  readonly distribution: Distribution;

  constructor(distribution: Distribution) {
    this.distribution = distribution;
  }

  get innermost(): number | undefined {
    return this.roots.find(({ innermost }) => innermost !== undefined)?.innermost;
  }

  carriesOut(operation: Operation): boolean {
    return this.roots.some((root) => root.operation === operation);
  }
}

/** A value that an expression reads from where it is kept; `aligned` if at the very index of the expression. */
interface Leaf {
  readonly value: Value;
  readonly aligned: boolean;
}

/** What a thread holds in at most this many registers is written out instead of looped over. */
const unrolled = 4;

export class Groups {
  readonly #generator: Generator;
  readonly #open: Group[] = [];
  readonly #pending = new Map<Value, Group>();

  constructor(generator: Generator) {
    this.#generator = generator;
  }

  /** Puts a root into a group, after flushing what it depends on. */
  add(root: Root): Group {
    const mine = this.#open.find(
      (group) =>
        group.distribution.key === root.distribution.key &&
        (root.innermost === undefined || group.innermost === undefined || group.innermost === root.innermost),
    );
    let joined = mine;
    for (const { value, aligned } of this.#leaves(root.inputs)) {
      const group = this.#pending.get(value);
      const here = aligned && this.#generator.distribution(value).key === root.distribution.key;
      if (!group || (group === mine && here)) continue;
      this.flush(group);
      if (group === mine) joined = undefined;
    }
    const group = joined ?? new Group(root.distribution);
    if (group !== joined) this.#open.push(group);
    group.roots.push(root);
    return group;
  }

  /** Makes the results of a root known as pending until its group is flushed. */
  promise(value: Value, group: Group): void {
    this.#pending.set(value, group);
  }

  /** Makes sure that elements of these values can be computed now. */
  ready(values: readonly Value[]): void {
    for (const { value } of this.#leaves(values)) {
      const group = this.#pending.get(value);
      if (group) this.flush(group);
    }
  }

  /** Flushes the open groups that read `parameter`, but for reads of the very elements that `store` is about to write. */
  flushReaders(parameter: string, store: Root): void {
    for (const group of [...this.#open]) {
      const reads = group.roots.filter((root) => root.accesses?.some((access) => access.parameter === parameter));
      const joins = group.distribution.key === store.distribution.key && group.innermost === undefined;
      if (reads.some((root) => !joins || !sameAddress(root.operation!, store.operation!))) this.flush(group);
    }
  }

  flushAll(): void {
    for (const group of [...this.#open]) if (this.#open.includes(group)) this.flush(group);
  }

  flush(group: Group): void {
    this.#open.splice(this.#open.indexOf(group), 1);
    for (const [value, of] of [...this.#pending]) if (of === group) this.#pending.delete(value);
    const { writer } = this.#generator;
    this.#generator.hazards.before(
      group.roots.flatMap((root) => [...this.#loads(root.inputs), ...(root.accesses ?? [])]),
    );
    for (const root of group.roots) writer.source(root.location);
    for (const root of group.roots) root.before?.(group);
    this.#nest(group);
    for (const root of group.roots) root.after?.();
  }

  #nest(group: Group): void {
    const { distribution, roots, innermost } = group;
    const axes = distribution.extents.map((_, axis) => axis).filter((axis) => axis !== innermost);
    if (innermost !== undefined) axes.push(innermost);
    const last = distribution.rank - 1;
    const inLanes = axes.at(-1) === last && holdsNeighbours(distribution) && this.#accessesWide(group);
    const at: Expr[] = distribution.extents.map(() => literal(0));
    const index = (): TileIndex => heldIndex(distribution, [...at]);
    const nested = (position: number): void => {
      const axis = axes[position];
      if (axis === undefined) {
        for (const root of roots) root.body(index());
        return;
      }
      at[axis] = literal(0);
      if (axis === innermost) for (const root of roots) root.enter?.(index());
      const lanes = inLanes && axis === last ? wide : 1;
      const visit = (i: Expr): void => {
        at[axis] = i;
        if (lanes === 1) nested(position + 1);
        else for (let lane = 0; lane < lanes; lane++) for (const root of roots) root.body(laneOf(index(), axis, lane));
      };
      this.overAxis(distribution, axis, visit, lanes);
      at[axis] = literal(0);
      if (axis === innermost) for (const root of roots) root.leave?.(index());
    };
    nested(0);
  }

  /** Whether some load or store of a group gains if neighbours are accessed together. */
  #accessesWide({ distribution, roots }: Group): boolean {
    const seen = new Set<Value>();
    const loads = (value: Value): boolean => {
      const { definition } = value;
      if (seen.has(value) || !definition || this.#generator.variables.of(value)) return false;
      seen.add(value);
      if (this.#generator.distribution(value).key !== distribution.key || this.#generator.analysis.isAnchor(definition))
        return false;
      if (ops[definition.opcode].effect === "read") return isWide(this.#generator, definition);
      return ops[definition.opcode].elementwise === true && definition.operands.some(loads);
    };
    return roots.some(
      ({ operation, inputs }) =>
        inputs.some(loads) ||
        (operation !== undefined &&
          !ops[operation.opcode].elementwise &&
          ops[operation.opcode].effect !== "none" &&
          isWide(this.#generator, operation)),
    );
  }

  /** Runs `body` for each element of `axis` that a thread holds, or each `step`th: in a loop, or written out if they are few. */
  overAxis(distribution: Distribution, axis: number, body: (index: Expr) => void, step = 1): void {
    const count = distribution.extents[axis]!;
    const few = distribution.registers <= unrolled;
    if (few) for (let i = 0; i < count; i += step) body(literal(i));
    else this.repeat(count, "ijkl"[axis] ?? "m", body, step);
  }

  /** Runs `body` for 0, step, 2 step, ... below `count`: in a loop, if that is more than once. */
  repeat(count: number, name: string, body: (index: Expr) => void, step = 1): void {
    if (count <= step) body(literal(0));
    else this.loop(count, name, body, step);
  }

  loop(count: number, name: string, body: (index: Expr) => void, step = 1): void {
    const { writer, names } = this.#generator;
    const bound = this.#generator.constants.loopBound(count);
    const i = names.unique(name);
    const next = step === 1 ? `${i}++` : `${i} += ${step}`;
    writer.nest(`for (var ${i} = 0; ${i} < ${bound}; ${next})`, () => body(atom(i, writer.depth)));
  }

  /** The values that elements of `values` are computed from and that are kept somewhere, or will be. */
  #leaves(values: readonly Value[]): readonly Leaf[] {
    const leaves: Leaf[] = [];
    const seen = new Map<Value, boolean>();
    const visit = (value: Value, aligned: boolean): void => {
      const before = seen.get(value);
      if (before !== undefined && (before === aligned || !before)) return;
      seen.set(value, aligned);
      const { definition } = value;
      if (this.#pending.has(value) || this.#generator.variables.of(value)) {
        leaves.push({ value, aligned });
        return;
      }
      if (!definition || this.#generator.analysis.isAnchor(definition)) {
        leaves.push({ value, aligned });
        return;
      }
      const elementwise =
        ops[definition.opcode].elementwise || definition.opcode === "load" || definition.opcode === "convert_layout";
      for (const operand of definition.operands) visit(operand, aligned && elementwise === true);
    };
    for (const value of values) visit(value, true);
    return leaves;
  }

  leavesOf(values: readonly Value[]): readonly Leaf[] {
    return this.#leaves(values);
  }

  /** The reads of memory in the expressions of `values`. */
  #loads(values: readonly Value[]): readonly MemoryAccess[] {
    const accesses: MemoryAccess[] = [];
    const seen = new Set<Value>();
    const visit = (value: Value): void => {
      if (seen.has(value) || this.#generator.variables.of(value)) return;
      seen.add(value);
      const { definition } = value;
      if (!definition || this.#generator.analysis.isAnchor(definition)) return;
      if (ops[definition.opcode].effect === "read")
        accesses.push({ parameter: this.#generator.roots.of(definition.operands[0]!), kind: "read" });
      definition.operands.forEach(visit);
    };
    values.forEach(visit);
    return accesses;
  }
}

/** Whether a load and a store name the same elements in the same order. */
function sameAddress(load: Operation, store: Operation): boolean {
  if (load.opcode === "load") return store.opcode === "store" && load.operands[0] === store.operands[0];
  const [view, ...indices] = load.operands;
  const [target, , ...targets] = store.operands;
  return (
    load.opcode === "view_load" &&
    store.opcode === "view_store" &&
    view === target &&
    indices.every((index, i) => index === targets[i])
  );
}
