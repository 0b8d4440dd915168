/**
 * @file Matrix products. Each thread computes its own block of the accumulator, in small pieces of `rows` x `columns` that stay in variables
 * while it walks along k; all loops around a piece stay loops. Where all threads of a subgroup need the same elements of b, each lane
 * fetches a part and the lanes hand them round. A chain of dots (see dot-plan.ts) is one walk along k in which all of its products are added,
 * so that what their operands have in common is loaded and computed once.
 */
import { dotResult, type Operation, shapeOf, type TileType, type Value } from "../../ir/index.ts";
import type { DotPlan } from "./analysis.ts";
import { isSoftware } from "./capabilities.ts";
import { contiguousAxis } from "./dot-plan.ts";
import { overRegisters } from "./exchange.ts";
import { atom, compare, deepest, type Expr, literal, precedence } from "./expression.ts";
import type { Generator } from "./generator.ts";
import { freeIndex, heldIndex, laneOf, type TileIndex } from "./tile-index.ts";
import { dotTuning } from "./tuning.ts";
import type { Storage } from "./variables.ts";

/** Gives the elements of an operand at rows (of a) or columns (of b) and consecutive k. */
interface Piece {
  /** First row and column of the accumulator, as register indices, and their coordinates. */
  readonly row: Expr;
  readonly column: Expr;
  /** First k, and the same within the part of k that is staged. */
  readonly k: Expr;
  readonly stagedK: Expr;
}

/** The operands of one dot. Those of a chain are of one kind. */
interface Factors {
  readonly a: Value;
  readonly b: Value;
}

/** Carries out a chain of dots. `target`: where its last result goes. */
export function emitDots(generator: Generator, chain: readonly Operation[], target: Storage | undefined): void {
  new DotEmitter(generator, chain, target).emit();
}

class DotEmitter {
  readonly #generator: Generator;
  readonly #last: Operation;
  readonly #storage: Storage;
  /** One entry a dot; operands that are staged are of a dot alone. */
  readonly #factors: readonly Factors[];
  readonly #accumulator: Value;
  readonly #sources: DotPlan;
  /** The size of a piece. */
  readonly #rows: number;
  readonly #columns: number;
  readonly #depth: number;
  /** Along k, how much is staged at a time. */
  readonly #part: number;
  readonly #parts: number;
  /** What is multiplied and added up; so workgroup memory holds it. */
  readonly #sumType: TileType;
  /** Lanes of a subgroup that share the fetching of b; 1 if each thread fetches for itself. */
  readonly #lanes: number;

  constructor(generator: Generator, chain: readonly Operation[], target: Storage | undefined) {
    this.#generator = generator;
    this.#last = chain.at(-1)!;
    this.#factors = chain.map(({ operands: [a, b] }) => ({ a: a!, b: b! }));
    this.#accumulator = chain[0]!.operands[2]!;
    this.#sumType = { kind: "tile", dtype: dotResult(this.#factors[0]!.a.type.dtype), shape: [] };
    this.#sources = generator.analysis.plans.get(this.#last)!;
    this.#storage = target ?? generator.variables.declare(this.#last.results[0]!);
    const { extents } = this.#storage.distribution;
    const [m, n] = this.#lines;
    const k = shapeOf(this.#factors[0]!.a.type)[1]!;
    const lines = (this.#sources.a === "staged" ? m : 0) + (this.#sources.b === "staged" ? n : 0);
    this.#part = lines === 0 ? k : Math.min(k, 2 ** Math.floor(Math.log2(generator.arena.capacity / lines)));
    this.#parts = k / this.#part;
    this.#rows = Math.min(extents[0]!, 4);
    this.#columns = Math.min(extents[1]!, dotTuning(generator.capabilities).columns);
    this.#depth = Math.min(this.#part, 4);
    const { features, subgroupMinSize = 4 } = generator.capabilities;
    const shared =
      this.#storage.distribution.isLocal(1) && this.#sources.b === "memory" && isSoftware(generator.capabilities);
    const quads = (this.#columns * this.#depth) / 4;
    const lanes = Math.min(subgroupMinSize, quads, generator.threads);
    this.#lanes = features.subgroups && shared && lanes > 1 && this.#columns % 4 === 0 && this.#depth === 4 ? lanes : 1;
  }

  emit(): void {
    const { writer, groups, arena } = this.#generator;
    writer.source(this.#last.location);
    if (this.#parts === 1) {
      this.#stage(literal(0));
      this.#multiply(literal(0), this.#accumulator);
    } else {
      const { distribution } = this.#storage;
      overRegisters(this.#generator, distribution, (index) => {
        const initial = this.#generator.elements.of(this.#accumulator, index);
        const place = this.#generator.variables.place(this.#storage, index.at);
        if (initial.text !== place.text) writer.line(`${place} = ${initial};`);
      });
      arena.enterLoop();
      groups.loop(this.#parts, "part", (part) => {
        this.#stage(part);
        this.#multiply(part, undefined);
      });
    }
    this.#generator.variables.keep(this.#last.results[0]!, this.#storage);
  }

  // --- workgroup memory -------------------------------------------------------------------------------------------------------

  /** Rows of a and columns of b. */
  get #lines(): readonly [rows: number, columns: number] {
    return shapeOf(this.#accumulator.type) as [number, number];
  }

  /** Where in the arena row (of a) or column (of b) number `line` stands at `k` of the part. */
  #slot(side: "a" | "b", line: Expr, k: Expr): Expr {
    const [m, n] = this.#lines;
    const base = side === "b" && this.#sources.a === "staged" ? m * this.#part : 0;
    // b is kept by rows of k, so that neighbouring columns are neighbours.
    const at = side === "a" ? line.times(this.#part).plus(k) : k.times(n).plus(line);
    return at.plus(literal(base));
  }

  /** Copies the part of the staged operands into workgroup memory. */
  #stage(part: Expr): void {
    const { arena } = this.#generator;
    const sides = (["a", "b"] as const).filter((side) => this.#sources[side] === "staged");
    if (sides.length === 0) return;
    const lines = sides.map((side) => this.#lines[side === "a" ? 0 : 1]);
    arena.begin(lines.reduce((sum, line) => sum + line, 0) * this.#part);
    for (const side of sides) this.#stageOperand(side, part);
    arena.publish();
  }

  #stageOperand(side: "a" | "b", part: Expr): void {
    const { writer, arena, groups } = this.#generator;
    const value = this.#factors[0]![side];
    const distribution = this.#generator.distribution(value);
    const kAxis = side === "a" ? 1 : 0;
    const body = (index: TileIndex): void => {
      const k = this.#generator.elements.coordinate(index, kAxis);
      const line = this.#generator.elements.coordinate(index, 1 - kAxis);
      const inPart = this.#parts > 1 ? compare(k.shiftRight(Math.log2(this.#part)), "==", part) : undefined;
      const within = this.#parts > 1 ? k.mask(this.#part - 1) : k;
      writer.when([this.#generator.invocation.firstCopy(distribution), inPart], () =>
        arena.write(this.#slot(side, line, within), this.#generator.elements.of(value, index), this.#sumType),
      );
    };
    groups.flush(groups.add({ distribution, operation: undefined, location: undefined, inputs: [value], body }));
  }

  // --- the product ------------------------------------------------------------------------------------------------------------

  /** Adds the product over one part of k; starts from `initial`, or from what the storage holds. */
  #multiply(part: Expr, initial: Value | undefined): void {
    const { groups } = this.#generator;
    const { extents } = this.#storage.distribution;
    const along = (count: number, name: string, step: number, body: (index: Expr) => void) =>
      groups.repeat(count, name, body, step);
    along(extents[0]!, "i", this.#rows, (row) =>
      along(extents[1]!, "j", this.#columns, (column) => {
        const sums = this.#open(row, column, initial);
        along(this.#part, "k", this.#depth, (stagedK) => {
          const piece = { row, column, stagedK, k: part.times(this.#part).plus(stagedK) };
          for (const factors of this.#factors) this.#accumulate(sums, factors, piece);
        });
        this.#close(row, column, sums);
      }),
    );
  }

  /** Four columns to a variable, where there are four. */
  get #width(): number {
    return this.#columns % 4 === 0 ? 4 : 1;
  }

  #at(row: Expr, column: Expr, i: number, j: number): TileIndex {
    return heldIndex(this.#storage.distribution, [row.plus(literal(i)), column.plus(literal(j))]);
  }

  #open(row: Expr, column: Expr, initial: Value | undefined): Expr[][] {
    const { writer } = this.#generator;
    return range(this.#rows).map((i) =>
      range(this.#columns / this.#width).map((j) => {
        const values = range(this.#width).map((lane) => {
          const index = this.#at(row, column, i, j * this.#width + lane);
          return initial
            ? this.#generator.elements.of(initial, index)
            : this.#generator.variables.place(this.#storage, index.at);
        });
        const type = this.#width === 4 ? `vec4${this.#sumType.dtype[0]}` : this.#sumType.dtype;
        return writer.variable(`sum_${i}_${j}`, type, this.#vector(values).text);
      }),
    );
  }

  /** Puts the piece at a row and column into the storage. */
  #close(row: Expr, column: Expr, sums: readonly (readonly Expr[])[]): void {
    const { writer, capabilities } = this.#generator;
    const [rows, columns] = this.#storage.distribution.extents as [number, number];
    const [down, across] = [rows / this.#rows, columns / this.#columns];
    if (down * across > dotTuning(capabilities).knownPieces) {
      this.#store(row, column, sums);
      return;
    }
    for (const i of range(down))
      for (const j of range(across)) {
        const [atRow, atColumn] = [literal(i * this.#rows), literal(j * this.#columns)];
        const inRows = down > 1 ? compare(row, "==", atRow) : undefined;
        const inColumns = across > 1 ? compare(column, "==", atColumn) : undefined;
        writer.when([inRows, inColumns], () => this.#store(atRow, atColumn, sums));
      }
  }

  #store(row: Expr, column: Expr, sums: readonly (readonly Expr[])[]): void {
    const { writer } = this.#generator;
    for (const [i, line] of sums.entries())
      for (const [j, sum] of line.entries())
        for (const lane of range(this.#width)) {
          const place = this.#generator.variables.place(
            this.#storage,
            this.#at(row, column, i, j * this.#width + lane).at,
          );
          writer.line(`${place} = ${this.#width === 4 ? `${sum}.${"xyzw"[lane]}` : sum};`);
        }
  }

  #accumulate(sums: readonly (readonly Expr[])[], factors: Factors, piece: Piece): void {
    const { writer } = this.#generator;
    const a = range(this.#rows).map((i) => this.#rowOfA(factors.a, piece, i));
    const b = this.#blockOfB(factors.b, piece);
    for (const k of range(this.#depth))
      for (const [i, line] of sums.entries())
        for (const [j, sum] of line.entries()) {
          const column = b[k]![j]!;
          const left = a[i]![k]!;
          writer.line(`${sum} += ${left.in(precedence.product)} * ${column.in(precedence.unary)};`);
        }
  }

  /** Elements k, k + 1, ... of one row of a. */
  #rowOfA(a: Value, { row, k, stagedK }: Piece, i: number): readonly Expr[] {
    const { writer, arena } = this.#generator;
    const at = row.plus(literal(i));
    const name = (value: Expr, step: number) => writer.bind(`a_${i}_${step}`, value);
    if (this.#sources.a === "staged") {
      const line = this.#coordinate(0, at);
      return range(this.#depth).map((step) =>
        name(arena.read(this.#slot("a", line, stagedK.plus(literal(step))), this.#accumulator.type), step),
      );
    }
    const base =
      this.#sources.a === "registers"
        ? heldIndex(this.#generator.distribution(a), [at, k])
        : freeIndex([this.#coordinate(0, at), k]);
    return this.#fetch(a, base, 1).map(name);
  }

  #coordinate(axis: number, at: Expr): Expr {
    const { distribution } = this.#storage;
    return this.#generator.elements.coordinate(
      heldIndex(distribution, axis === 0 ? [at, literal(0)] : [literal(0), at]),
      axis,
    );
  }

  /** Consecutive elements along `axis`, as many as a piece is deep. */
  #fetch(value: Value, base: TileIndex, axis: number): readonly Expr[] {
    if (this.#depth === 4) return this.#generator.elements.quad(value, base, axis);
    return range(this.#depth).map((step) =>
      this.#generator.elements.of(value, { ...base, at: base.at.with(axis, base.at[axis]!.plus(literal(step))) }),
    );
  }

  /** For each k of the piece the elements of its columns, `width` at a time. */
  #blockOfB(b: Value, piece: Piece): readonly (readonly Expr[])[] {
    if (this.#lanes > 1) return this.#sharedBlockOfB(b, piece);
    const { writer } = this.#generator;
    const elements =
      this.#sources.b !== "staged" && this.#width === 4 && this.#depth === 4
        ? this.#quadsOfB(b, piece)
        : this.#elementsOfB(b, piece);
    return elements.map((line, k) =>
      range(this.#columns / this.#width).map((j) =>
        writer.bind(`b_${k}_${j}`, this.#vector(line.slice(j * this.#width, (j + 1) * this.#width))),
      ),
    );
  }

  #elementsOfB(b: Value, { column, k, stagedK }: Piece): readonly (readonly Expr[])[] {
    const { arena } = this.#generator;
    return range(this.#depth).map((step) =>
      range(this.#columns).map((j) => {
        const at = column.plus(literal(j));
        if (this.#sources.b === "staged")
          return arena.read(
            this.#slot("b", this.#coordinate(1, at), stagedK.plus(literal(step))),
            this.#accumulator.type,
          );
        return this.#generator.elements.of(b, this.#indexOfB(b, k.plus(literal(step)), at));
      }),
    );
  }

  #indexOfB(b: Value, k: Expr, column: Expr): TileIndex {
    return this.#sources.b === "registers"
      ? heldIndex(this.#generator.distribution(b), [k, column])
      : freeIndex([k, this.#coordinate(1, column)]);
  }

  #quadsOfB(b: Value, { column, k }: Piece): readonly (readonly Expr[])[] {
    if (fetchAxis(b) === 1)
      return range(4).map((step) =>
        range(this.#columns / 4).flatMap((j) => {
          const base = this.#indexOfB(b, k.plus(literal(step)), column.plus(literal(4 * j)));
          // Four registers are four neighbours only if the layout says so.
          return range(4).map((lane) => this.#generator.elements.of(b, laneOf(base, 1, lane)));
        }),
      );
    const lines = range(this.#columns).map((j) =>
      this.#generator.elements.quad(b, this.#indexOfB(b, k, column.plus(literal(j))), 0),
    );
    return range(4).map((step) => lines.map((line) => line[step]!));
  }

  /** As above, each lane fetching a part. Lanes beyond the first `lanes` fetch what others fetch too. */
  #sharedBlockOfB(b: Value, { column, k }: Piece): readonly (readonly Expr[])[] {
    const { writer } = this.#generator;
    const generator = this.#generator;
    const along = fetchAxis(b);
    const perLine = this.#columns / 4;
    const quads = this.#columns;
    const lane = generator.invocation.subgroupLane(this.#lanes);
    const start = this.#coordinate(1, column);
    const mine = range(quads / this.#lanes).map((turn) => {
      const number = lane.plus(literal(turn * this.#lanes));
      const base =
        along === 0
          ? freeIndex([k, start.plus(number)])
          : freeIndex([k.plus(numberShift(number, perLine)), start.plus(number.mask(perLine - 1).times(4))]);
      return writer.bind(`fetched_${turn}`, this.#vector(generator.elements.quad(b, base, along)));
    });
    const handed = range(quads).map((number) => {
      const source = mine[Math.floor(number / this.#lanes)]!;
      return writer.bind(`b_${number}`, atom(`subgroupBroadcast(${source}, ${number % this.#lanes}u)`, writer.depth));
    });
    if (along === 1) return range(4).map((step) => handed.slice(step * perLine, (step + 1) * perLine));
    return range(4).map((step) =>
      range(perLine).map((j) => {
        const parts = handed.slice(4 * j, 4 * j + 4).map((quad) => atom(`${quad}.${"xyzw"[step]}`, quad.depth));
        return writer.bind(`b_${step}_${j}`, this.#vector(parts));
      }),
    );
  }

  /** One value as itself, four as a vector; `v.x, v.y, v.z, v.w` as `v`. */
  #vector(values: readonly Expr[]): Expr {
    if (values.length === 1) return values[0]!;
    const whole = /^(\w+)\.x$/.exec(values[0]!.text)?.[1];
    if (whole && values.every((value, i) => value.text === `${whole}.${"xyzw"[i]}`))
      return atom(whole, deepest(values));
    const type = `vec4${this.#sumType.dtype[0]}`;
    return atom(`${type}(${values.map((value) => value.text).join(", ")})`, deepest(values));
  }
}

/** The axis of b along which four elements are fetched together. */
const fetchAxis = (b: Value): 0 | 1 => (contiguousAxis(b) === 0 ? 0 : 1);

const numberShift = (number: Expr, perLine: number): Expr => number.shiftRight(Math.log2(perLine));

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
