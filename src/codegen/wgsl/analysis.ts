/**
 * @file Decides, before any code is written, which tiles are kept in arrays and which are computed where they are used.
 *
 * An *anchor* is an operation that is carried out at its place: it writes memory, exchanges values between threads, or branches. All
 * other operations are *virtual*: their elements are computed by whoever uses them, inside that user's loop over registers, which
 * is what fuses chains of elementwise operations into one loop. A virtual tile that is costly and used more than once is made a *root*:
 * it is computed once, and stored in an array if not all of its users share the loop in which it arises.
 */
import { type Block, type Kernel, type Operation, ops, shapeOf, type Value, walk } from "../../ir/index.ts";
import type { Distribution } from "./distribution.ts";

/** How a dot reaches one operand: in the thread's own registers, straight from global memory, or by way of workgroup memory. */
export type OperandSource = "registers" | "memory" | "staged";

export interface DotPlan {
  readonly a: OperandSource;
  readonly b: OperandSource;
}

const anchorOpcodes = new Set([
  "reduce",
  "scan",
  "gather",
  "histogram",
  "dot",
  "loop",
  "if",
  "yield",
  "print",
  "assert",
]);

const ownCost: Readonly<Record<string, number>> = {
  constant: 0,
  program_id: 0,
  num_programs: 0,
  arange: 1,
  splat: 0,
  broadcast: 0,
  expand_dims: 0,
  convert_layout: 0,
  reshape: 0,
  trans: 0,
  join: 1,
  split: 0,
  div: 4,
  rem: 5,
  sqrt: 6,
  rsqrt: 6,
  reciprocal: 4,
  exp: 8,
  exp2: 8,
  log: 8,
  log2: 8,
  sin: 8,
  cos: 8,
  tanh: 12,
  load: 12,
  view_load: 12,
};

/** What an element of an operation's result costs beyond its operands, in simple instructions. */
export const costOf = (opcode: string): number => ownCost[opcode] ?? 1;

/** A tile cheaper than this is computed again for each use. */
const cheap = 5;

export class Analysis {
  readonly plans: ReadonlyMap<Operation, DotPlan>;
  readonly roots: ReadonlySet<Value>;
  /** For each value the anchors and roots whose code reads it, directly or through virtual values. */
  readonly #consumers = new Map<Value, Set<Operation>>();
  readonly #uses = new Map<Value, number>();
  readonly #pulls = new Map<Value, number>();
  readonly #exchanges: (conversion: Operation) => boolean;
  /** The block that each operation stands in, and the operation that owns each block. */
  readonly #blocks = new Map<Operation, Block>();
  readonly #owners = new Map<Block, Operation>();

  /**
   * `pinned` says of a load that it must happen at its place in the program, because the kernel also writes what it reads; `exchanges`
   * says of a `convert_layout` that values have to change threads.
   */
  constructor(
    kernel: Kernel,
    plans: ReadonlyMap<Operation, DotPlan>,
    distributionOf: (value: Value) => Distribution,
    pinned: (load: Operation) => boolean,
    exchanges: (conversion: Operation) => boolean,
  ) {
    this.plans = plans;
    this.#exchanges = exchanges;
    const operations: Operation[] = [];
    walk(kernel.body, (operation, parent) => {
      operations.push(operation);
      this.#blocks.set(operation, parent);
      for (const block of operation.blocks) this.#owners.set(block, operation);
      for (const operand of operation.operands) this.#uses.set(operand, this.usesOf(operand) + 1);
    });
    const cost = this.#costs(operations);
    const roots = new Set<Value>();
    const forced = new Set<Value>();
    for (const operation of operations.toReversed()) {
      const { results } = operation;
      const [result] = results;
      const virtual = !this.isAnchor(operation);
      if (virtual && result && !renames(operation)) {
        const costly = (cost.get(result) ?? 0) >= cheap;
        const tile = distributionOf(result).rank > 0;
        if ((tile && costly && (this.pullsOf(result) > 1 || forced.has(result))) || pinned(operation))
          roots.add(result);
      }
      if (this.isDead(operation)) continue;
      for (const [i, operand] of operation.operands.entries()) {
        const source = operation.opcode === "dot" ? [plans.get(operation)!.a, plans.get(operation)!.b][i] : undefined;
        if (source === "memory") {
          // The elements are computed wherever they are needed, from scalars that must be there.
          for (const scalar of scalarsUnder(operand)) this.#count(scalar, 1, [operation]);
          continue;
        }
        const through = virtual && result && !roots.has(result);
        const consumers = through ? results.flatMap((each) => [...this.#consumersOf(each)]) : [operation];
        this.#count(operand, through ? this.#pullsOf(results) : 1, consumers);
        if (
          source === "registers" ||
          operation.opcode === "broadcast" ||
          (through && renames(operation) && results.some((each) => forced.has(each)))
        )
          forced.add(operand);
      }
    }
    this.roots = roots;
  }

  /** Whether nobody needs what an operation gives, and it does nothing else. */
  isDead({ opcode, results }: Operation): boolean {
    return ops[opcode].effect === "none" && this.#pullsOf(results) === 0;
  }

  #count(value: Value, pulls: number, consumers: Iterable<Operation>): void {
    this.#pulls.set(value, this.pullsOf(value) + pulls);
    const known = this.#consumersOf(value);
    for (const consumer of consumers) known.add(consumer);
  }

  isAnchor(operation: Operation): boolean {
    const { opcode } = operation;
    if (opcode === "convert_layout") return this.#exchanges(operation);
    return anchorOpcodes.has(opcode) || ops[opcode].effect === "write";
  }

  /** How many times a value is computed or read, by loops over registers; 0 if its elements are only ever taken from memory directly. */
  pullsOf(value: Value): number {
    return this.#pulls.get(value) ?? 0;
  }

  #pullsOf(values: readonly Value[]): number {
    return values.reduce((sum, value) => sum + this.pullsOf(value), 0);
  }

  usesOf(value: Value): number {
    return this.#uses.get(value) ?? 0;
  }

  consumersOf(value: Value): ReadonlySet<Operation> {
    return this.#consumersOf(value);
  }

  #consumersOf(value: Value): Set<Operation> {
    let consumers = this.#consumers.get(value);
    if (!consumers) {
      consumers = new Set();
      this.#consumers.set(value, consumers);
    }
    return consumers;
  }

  /** The operation of `block` that is `operation` or contains it. */
  ancestorIn(block: Block, operation: Operation): Operation | undefined {
    for (let at: Operation | undefined = operation; at; ) {
      const parent: Block = this.#blocks.get(at)!;
      if (parent === block) return at;
      at = this.#owners.get(parent);
    }
    return undefined;
  }

  /** The cost of an element of each virtual value, computed from nothing but what anchors made. */
  #costs(operations: readonly Operation[]): ReadonlyMap<Value, number> {
    const cost = new Map<Value, number>();
    for (const operation of operations) {
      if (this.isAnchor(operation)) continue;
      let total = costOf(operation.opcode);
      for (const operand of operation.operands) total += cost.get(operand) ?? 0;
      for (const result of operation.results) cost.set(result, Math.min(total, 1000));
    }
    return cost;
  }

  blockOf(operation: Operation): Block {
    return this.#blocks.get(operation)!;
  }
}

/** Whether an operation only names elements anew, and not the threads that hold them: what it names may be a root, it never is. */
export const renames = ({ opcode }: Operation): boolean =>
  ops[opcode].rearranges === true && opcode !== "convert_layout";

/** The scalars that the elements of a tile are computed from. */
function scalarsUnder(value: Value): readonly Value[] {
  if (shapeOf(value.type).length === 0) return [value];
  return value.definition?.operands.flatMap(scalarsUnder) ?? [];
}
