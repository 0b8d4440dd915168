/**
 * @file The state that the lowering of all operations shares: the emitter, the layouts, and what stands for each IR value.
 */
import { type Block, isInteger, type Kernel, type Opcode, type Operation, type Value } from "../../ir/index.ts";
import type { LinearLayout } from "../../layout/index.ts";
import { analyzeRanges, type Ranges } from "../../passes/index.ts";
import { type Element, isSum } from "./element.ts";
import type { ElementwiseOptions } from "./elementwise.ts";
import type { Emitter, Scope } from "./emitter.ts";
import { isRegister, type Node, registerNames } from "./instruction.ts";
import type { MemoryRoots } from "./roots.ts";
import { readShared, type SharedCopy, type StagedTile } from "./shared.ts";
import { Tile, type View } from "./tile.ts";
import { findUpdates, type Update } from "./updates.ts";

export interface LoweringOptions extends ElementwiseOptions {
  /** Emit `.loc` and comments that name the author's lines. */
  readonly lineInfo: boolean;
  /** See PtxOptions. */
  readonly numStages: number;
}

/** What stands for an IR value: a tile in registers, one that waits in shared memory for a dot, or a view. */
export type Lowered = Tile | StagedTile | View;

export class Lowering {
  readonly kernel: Kernel;
  readonly emitter: Emitter;
  readonly layouts: ReadonlyMap<Value, LinearLayout>;
  readonly roots: MemoryRoots;
  readonly options: LoweringOptions;
  readonly #ranges: Ranges;
  readonly values = new Map<Value, Lowered>();
  readonly #blocks = new Map<Operation, Block>();
  /** The blocks in which forgotten values were made again: beyond those they are forgotten again. */
  readonly #remade = new Map<Value, Scope>();
  readonly #residentWords = new Map<Block, number>();
  /** Staged tiles that were read to registers, and where. */
  readonly #readTiles = new Map<Value, { readonly tile: Tile; readonly scope: Scope }>();
  /** Tiles that were written to shared memory to change their layout, and where. */
  readonly #copies = new Map<Value, { readonly copies: SharedCopy[]; readonly scope: Scope }>();
  /** The operations that use each value. */
  readonly uses: ReadonlyMap<Value, readonly Operation[]>;
  /** Loads whose tile comes to shared memory by itself (pipeline.ts), and what is to be emitted before an operation. */
  readonly staged = new Map<Operation, StagedTile>();
  readonly before = new Map<Operation, () => void>();
  /** Operations of which nothing is to be emitted at their place. */
  readonly skipped = new Set<Operation>();
  /** Of conditional updates, by the operation that makes the change: it is lowered with the select. */
  readonly updates: ReadonlyMap<Operation, Update>;
  /** The result of the reduction lowered last, and the block that it is in. */
  reduced: { readonly tile: Tile; readonly scope: Scope } | undefined;
  /** Reductions of which each thread only makes its own part (src/passes/partial-sums.ts). */
  readonly partial = new Set<Operation>();
  /** Set by lower.ts, which knows all operations; control flow calls them for its blocks. */
  lowerBlock: (block: Block) => void = () => {};
  lowerOperation: (operation: Operation) => void = () => {};

  constructor(
    kernel: Kernel,
    emitter: Emitter,
    layouts: ReadonlyMap<Value, LinearLayout>,
    roots: MemoryRoots,
    options: LoweringOptions,
  ) {
    this.kernel = kernel;
    this.emitter = emitter;
    this.layouts = layouts;
    this.roots = roots;
    this.options = options;
    this.#ranges = analyzeRanges(kernel);
    this.uses = findUses(kernel, this.#blocks);
    this.updates = findUpdates(kernel, (value) => this.uses.get(value) ?? []);
  }

  layoutOf(value: Value): LinearLayout | undefined {
    return this.layouts.get(value);
  }

  /** What stands for a value. One that was forgotten is made again, here. */
  lowered(value: Value): Lowered {
    const scope = this.#remade.get(value);
    if (scope && !this.emitter.isOpen(scope)) this.values.delete(value);
    if (!this.values.has(value) && value.definition) {
      this.#remade.set(value, this.emitter.scope);
      this.lowerOperation(value.definition);
    }
    const lowered = this.values.get(value);
    if (!lowered) throw new Error(`${value.name ?? value.definition?.opcode} is used before it is made`);
    return lowered;
  }

  tile(value: Value): Tile {
    const lowered = this.lowered(value);
    if (lowered.kind === "staged") return this.#readBack(value, lowered);
    if (!(lowered instanceof Tile))
      throw new Error(`${value.name ?? value.definition?.opcode} is not a tile in registers`);
    return lowered;
  }

  /** A tile that waits in shared memory, in registers too: read once, by the first who computes with it. */
  #readBack(value: Value, { dtype, layout, memory, place }: StagedTile): Tile {
    const known = this.#readTiles.get(value);
    if (known && this.emitter.isOpen(known.scope)) return known.tile;
    const tile = readShared(this.emitter, dtype, this.layoutOf(value) ?? layout, memory, place);
    this.#readTiles.set(value, { tile, scope: this.emitter.scope });
    return tile;
  }

  /** The copies of a tile in shared memory from which it may be read in other layouts: none from before a loop, which would keep their places all through it. */
  copiesOf(value: Value): SharedCopy[] {
    const { scope } = this.emitter;
    let known = this.#copies.get(value);
    if (known?.scope !== scope) {
      known = { copies: [], scope };
      this.#copies.set(value, known);
    }
    return known.copies;
  }

  view(value: Value): View {
    const lowered = this.lowered(value);
    if (lowered.kind !== "view") throw new Error(`${value.name ?? value.definition?.opcode} is not a view`);
    return lowered;
  }

  scalar(value: Value): Element {
    return this.tile(value).scalar(this.emitter);
  }

  /** The conditional update that a select is the end of. */
  updateOf(select: Operation): Update | undefined {
    const changed = select.operands[1]!.definition;
    return changed && this.updates.get(changed);
  }

  /**
   * After a loop: what was computed before it and is not used in it would take registers all through it, if it is used again. What is only
   * index arithmetic, or read from memory that does not change, is forgotten and made again where it is asked for, which is cheaper.
   */
  forgetUnusedIn(nodes: readonly Node[]): void {
    const used = registerNames(nodes);
    const isKept = (element: Element): boolean => {
      const base = isSum(element) ? element.base : element;
      return !isRegister(base) || used.has(base.name);
    };
    this.emitter.forget(isKept);
    this.#copies.clear();
    for (const [value, lowered] of this.values) {
      const { definition } = value;
      if (!(lowered instanceof Tile) || !definition) continue;
      if (!isIndexArithmetic(definition) && !this.#canReadAgain(value)) continue;
      if (!lowered.isDeferred && registersOf(lowered, this.emitter).every(isKept)) continue;
      // One register for another is nothing gained.
      if (lowered.registers === 1 && !definition.operands.every((operand) => this.#isAtHand(operand, isKept))) continue;
      this.values.delete(value);
    }
  }

  /** Whether the value takes no register of its own to be had: it is kept anyway, or follows from parameters and indices alone. */
  #isAtHand(value: Value, isKept: (element: Element) => boolean): boolean {
    const { definition } = value;
    const lowered = this.values.get(value);
    if (!(lowered instanceof Tile) || lowered.registers > 1) return true;
    if (lowered.elements(this.emitter).every(isKept)) return true;
    if ((this.uses.get(value)?.length ?? 0) > 1) return true;
    // Parameters, and what the loops around carry.
    if (definition === undefined) return true;
    if (definition.opcode === "view_size" || definition.opcode === "view_stride")
      return this.kernel.body.parameters.includes(definition.operands[0]!);
    return isIndexArithmetic(definition) && definition.operands.every((operand) => this.#isAtHand(operand, isKept));
  }

  /** Whether the value is a large tile of memory that the kernel does not write, and nothing in a loop would read it again in every turn. */
  #canReadAgain(value: Value): boolean {
    const { definition } = value;
    if (definition === undefined || this.staged.has(definition)) return false;
    const { opcode, operands } = definition;
    const users = this.uses.get(value) ?? [];
    if (!users.every((user) => this.isInSameBlock(user, definition))) return false;
    if (opcode === "cast" || opcode === "convert_layout") return this.#canReadAgain(operands[0]!);
    if (opcode !== "view_load" && opcode !== "load") return false;
    const registers = this.layoutOf(value)?.sizeOf("register") ?? 1;
    return registers >= MIN_REGISTERS_READ_AGAIN && this.roots.access.get(this.roots.rootOf(operands[0]!)) === "read";
  }

  /** How many words the operands of dots take that are kept in registers beside an operation for loops in its block. */
  residentWords(operation: Operation): number {
    return this.#residentWords.get(this.#blocks.get(operation)!) ?? 0;
  }

  keepResident(operation: Operation, words: number): void {
    this.#residentWords.set(this.#blocks.get(operation)!, words);
  }

  /** How an i32 becomes 64 bits: one that is known not to be negative has a zero as its upper half. */
  wideningOf(value: Value): "i32" | "u32" {
    return (this.#ranges.of(value)?.low ?? -1n) >= 0n ? "u32" : "i32";
  }

  isUsed(value: Value): boolean {
    return (this.uses.get(value)?.length ?? 0) > 0;
  }

  /** Whether the value is carried by the loop whose body the operation stands in. */
  isParameterOfBlock(value: Value, operation: Operation): boolean {
    return this.#blocks.get(operation)!.parameters.includes(value);
  }

  isInSameBlock(a: Operation, b: Operation): boolean {
    return this.#blocks.get(a) === this.#blocks.get(b);
  }
}

/** What holds the tile, as it is. */
const registersOf = (tile: Tile, emitter: Emitter): readonly Element[] =>
  tile.packed ? tile.words(emitter) : tile.elements(emitter);

/** Fewer registers than these are not worth another access to memory. */
const MIN_REGISTERS_READ_AGAIN = 4;

/** Operations on indices and masks, which cost an instruction an element. */
const indexOpcodes: ReadonlySet<Opcode> = new Set<Opcode>([
  ...([
    "program_id",
    "num_programs",
    "arange",
    "splat",
    "broadcast",
    "expand_dims",
    "add",
    "sub",
    "mul",
    "div",
  ] as const),
  ...(["neg", "min", "max", "and", "or", "not", "compare", "select", "multiple_of"] as const),
]);
const isIndexArithmetic = ({ opcode, operands, results: [result] }: Operation): boolean =>
  indexOpcodes.has(opcode) &&
  // A division by what is known only at run time is no cheap one.
  (opcode !== "div" || isConstantTile(operands[1]!)) &&
  result!.type.kind === "tile" &&
  (isInteger(result!.type.dtype) || result!.type.dtype === "bool");

const isConstantTile = ({ definition }: Value): boolean =>
  definition?.opcode === "constant" ||
  ((definition?.opcode === "splat" || definition?.opcode === "broadcast") && isConstantTile(definition.operands[0]!));

function findUses(kernel: Kernel, blocks: Map<Operation, Block>): Map<Value, Operation[]> {
  const uses = new Map<Value, Operation[]>();
  const visit = (block: Block): void => {
    for (const operation of block.operations) {
      blocks.set(operation, block);
      for (const operand of operation.operands) {
        const list = uses.get(operand);
        if (list) list.push(operation);
        else uses.set(operand, [operation]);
      }
      operation.blocks.forEach(visit);
    }
  };
  visit(kernel.body);
  return uses;
}
