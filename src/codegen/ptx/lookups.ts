/**
 * @file Lookups of a pipeline: what a table says of where a tile lies is loaded one turn before the tile's copy is issued, so that the copy
 * does not wait for it. It waits in registers that each turn assigns anew.
 */
import type { Operation, Value } from "../../ir/index.ts";
import type { Prefetch } from "../../passes/index.ts";
import {
  divisorOf,
  type Element,
  elementKey,
  isConstant,
  moveType,
  operandOf,
  registerClassOf,
  registerOf,
} from "./element.ts";
import type { Register } from "./instruction.ts";
import type { Lowering } from "./lowering.ts";
import { Tile } from "./tile.ts";

/** The tile that stands for a lookup, and its registers: element `from` of what is loaded goes to `register`. */
interface Entry {
  readonly tile: Tile;
  readonly targets: readonly { readonly register: Register; readonly from: number }[];
}

/** What stands for lookups where copies are issued. */
export type Entries = ReadonlyMap<Operation, Tile>;

/** Lowers operations of a loop's body, other than at their own place, for a turn with this index. */
export function lowerSlice(
  lowering: Lowering,
  index: readonly [parameter: Value, element: Element],
  slice: readonly Operation[],
  entries?: Entries,
): void {
  lowering.values.set(index[0], Tile.ofElements("i32", undefined, [index[1]]));
  for (const operation of slice) {
    const entry = entries?.get(operation);
    if (entry) lowering.values.set(operation.results[0]!, entry);
    else lowering.lowerOperation(operation);
  }
}

/** The lookups of the loads that are issued at one point for one turn. */
export class Lookups {
  readonly #lowering: Lowering;
  readonly #parameter: Value;
  readonly #operations: readonly Operation[];
  readonly #slice: readonly Operation[];
  readonly #entries: ReadonlyMap<Operation, Entry>;

  /** `index`: any index of the loop, `parameter`: the value that stands for it in the body. */
  constructor(lowering: Lowering, parameter: Value, prefetches: readonly Prefetch[], index: Element) {
    this.#lowering = lowering;
    this.#parameter = parameter;
    this.#operations = unique(prefetches.flatMap(({ lookups }) => lookups));
    this.#slice = unique(prefetches.flatMap(({ lookupSlice }) => lookupSlice));
    this.#entries = this.#makeEntries(index);
  }

  /** As they are loaded in the block at hand: new at each call, since the registers may have been assigned. */
  get now(): Entries {
    const { emitter } = this.#lowering;
    const { depth } = emitter;
    const views = new Map<Element, Register>();
    const entries = new Map<Operation, Tile>();
    for (const [operation, { tile, targets }] of this.#entries) {
      for (const { register } of targets) views.set(register, emitter.view(register, { depth }));
      const elements = tile.elements(emitter).map((element) => views.get(element) ?? element);
      entries.set(operation, Tile.ofElements(tile.kind, tile.layout, elements));
    }
    return entries;
  }

  /** What is found for turns that do not exist: any value, since nothing is copied in them. */
  clear(): void {
    for (const { targets } of this.#entries.values())
      for (const { register } of targets) this.#lowering.emitter.emit(`mov.${moveType[register.class]}`, [register, 0]);
  }

  /** Loads them for the turn with this index, unless `condition` (alike in all threads) is false. */
  load(index: Element, condition: Element): void {
    const { emitter } = this.#lowering;
    if (this.#operations.length === 0 || condition === false) return;
    const nodes = emitter.block(() => {
      for (const [operation, tile] of this.#lower(index)) {
        const elements = tile.elements(emitter);
        for (const { register, from } of this.#entries.get(operation)!.targets)
          emitter.emit(`mov.${moveType[register.class]}`, [register, operandOf(emitter, elements[from]!, tile.kind)]);
      }
    });
    if (condition === true) for (const node of nodes) emitter.push(node);
    else
      emitter.push({
        kind: "if",
        label: emitter.label("lookups"),
        condition: { predicate: registerOf(emitter, condition, "bool") },
        whenTrue: nodes,
        whenFalse: [],
      });
  }

  #lower(index: Element): Map<Operation, Tile> {
    lowerSlice(this.#lowering, [this.#parameter, index], [...this.#slice, ...this.#operations]);
    return new Map(this.#operations.map((operation) => [operation, this.#lowering.tile(operation.results[0]!)]));
  }

  /** Registers for what the lookups will load. They are lowered once to see which elements there are; that code is not kept. */
  #makeEntries(index: Element): Map<Operation, Entry> {
    const { emitter } = this.#lowering;
    const entries = new Map<Operation, Entry>();
    if (this.#operations.length === 0) return entries;
    let tiles = new Map<Operation, Tile>();
    emitter.block(() => {
      tiles = this.#lower(index);
    });
    for (const [operation, tile] of tiles) {
      const loaded = tile.elements(emitter);
      const targets = new Map<string | number, { readonly register: Register; readonly from: number }>();
      const name = emitter.uniqueName(operation.results[0]!.name ?? "entry");
      const elements = loaded.map((element, from): Element => {
        if (isConstant(element)) return element;
        const key = elementKey(element);
        let target = targets.get(key);
        if (!target) {
          const options = { name, depth: emitter.depth, divisor: divisorOf(element) };
          target = { register: emitter.register(registerClassOf[tile.kind], options), from };
          targets.set(key, target);
        }
        return target.register;
      });
      entries.set(operation, {
        tile: Tile.ofElements(tile.kind, tile.layout, elements),
        targets: [...targets.values()],
      });
    }
    return entries;
  }
}

const unique = <T>(list: readonly T[]): T[] => [...new Set(list)];
