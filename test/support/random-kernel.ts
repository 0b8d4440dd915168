/**
 * @file Random well-typed kernels with inputs that fit them, for properties such as "no pass changes what a kernel computes" and "all
 * back ends agree". A kernel is built from a tape of numbers: each decision takes the next one, and 0, the simplest, when the tape is
 * at its end; so fast-check shrinks a kernel by shrinking the tape.
 *
 * Every program writes its own part of each output; the order of programs does not matter, nor does that of atomics. Every access is in
 * bounds or masked, divisors are positive and shifts in range.
 */

import fc from "fast-check";
import type { StorageArray } from "../../src/interpreter/index.ts";
import {
  Builder,
  blockParameter,
  type DType,
  isFloat,
  type Kernel,
  type KernelParameter,
  pointerType,
  printKernel,
  tileType,
  type Value,
  viewType,
} from "../../src/ir/index.ts";
import { randomData } from "./random-data.ts";
import { growElementwise } from "./random-elementwise.ts";
import { growShapes } from "./random-shapes.ts";
import { type Item, RandomValues, type RandomValuesOptions, shapeOfItem } from "./random-values.ts";
import { Tape } from "./tape.ts";

export interface RandomKernelOptions extends RandomValuesOptions {
  /** Loads of what the same program stored before. */
  readonly readBack?: boolean;
  readonly atomics?: boolean;
}

export interface RandomTensor {
  readonly data: StorageArray;
  readonly shape?: readonly number[];
  readonly strides?: readonly number[];
}

export interface RandomKernel {
  readonly kernel: Kernel;
  /** As the interpreter takes them; copy the tensors before a launch, which writes to them. */
  readonly arguments: Readonly<Record<string, RandomTensor | number | bigint | boolean>>;
  readonly grid: readonly [number, number, number];
  /** The parameters that hold results. */
  readonly outputs: readonly string[];
}

export function randomKernel(options: RandomKernelOptions = {}): fc.Arbitrary<RandomKernel> {
  return fc.array(fc.nat(0xffff), { minLength: 100, maxLength: 400, size: "max" }).map((numbers) => {
    const made = new KernelGenerator(new Tape(numbers), options).generate();
    const text = `${printKernel(made.kernel)}grid ${made.grid}\n${JSON.stringify(made.arguments, showBigints)}`;
    return Object.assign(made, { [fc.toStringMethod]: () => text });
  });
}

const showBigints = (_: string, value: unknown): unknown =>
  typeof value === "bigint" ? `${value}n` : ArrayBuffer.isView(value) ? [...(value as Int32Array)].join() : value;

/** An output in which every program has elements of its own, one for each element of a tile. */
interface Stored {
  readonly pointer: Value;
  readonly shape: readonly number[];
}

class KernelGenerator {
  readonly #tape: Tape;
  readonly #options: RandomKernelOptions;
  readonly #builder = new Builder();
  readonly #values: RandomValues;
  readonly #parameters: KernelParameter[] = [];
  readonly #parameterValues: Value[] = [];
  readonly #arguments: Record<string, RandomTensor | number> = {};
  readonly #outputs: string[] = [];
  /** Pointer outputs that this program may read again. */
  readonly #stored: Stored[] = [];
  readonly #grid: readonly [number, number, number];
  /** The program's number in the launch. */
  #program!: Value;
  #depth = 0;

  constructor(tape: Tape, options: RandomKernelOptions) {
    this.#tape = tape;
    this.#options = options;
    this.#values = new RandomValues(this.#builder, tape, options);
    this.#grid = [1 + tape.next(3), 1 + tape.next(2), 1];
  }

  generate(): RandomKernel {
    const b = this.#builder;
    const x = b.value("program_id", [], { axis: 0 }, { names: ["x"] });
    const y = b.value("program_id", [], { axis: 1 }, { names: ["y"] });
    const rows = b.value("num_programs", [], { axis: 0 });
    this.#program = b.value("add", [x, b.value("mul", [y, rows])], {}, { names: ["program"] });
    this.#values.push(this.#program, 6);
    if (this.#tape.next(2) === 0) this.#scalar("n", "i32", this.#tape.next(32), {});
    else this.#scalar("n", "i32", 8 * this.#tape.next(4), { divisibleBy: 8 });
    this.#scalar("s", "f32", this.#tape.next(5) - 2, {});
    this.#values.push(b.value("arange", [], { start: 0, end: 8 }), 8);
    this.#loadView();
    for (let steps = 0; steps < 60 && !this.#tape.atEnd; steps++) this.#grow();
    const count = 4 + this.#tape.next(8);
    for (let i = 0; i < count; i++) this.#store(this.#values.recent(i));
    const kernel: Kernel = {
      name: "random",
      parameters: this.#parameters,
      body: b.finish(this.#parameterValues),
      constants: {},
      grid: null,
      hints: {},
    };
    return { kernel, arguments: this.#arguments, grid: this.#grid, outputs: this.#outputs };
  }

  /** Appends one thing or a few. */
  #grow(): void {
    const elementwise = (): void => growElementwise(this.#values);
    const shapes = (): void => growShapes(this.#values);
    const kinds: (() => void)[] = [
      ...[elementwise, elementwise, shapes, elementwise, elementwise, shapes, elementwise, elementwise, shapes],
      () => this.#loadView(),
      () => this.#gather(),
      () => this.#store(this.#values.any()),
      () => this.#loop(),
      () => this.#loop(),
      () => this.#if(),
    ];
    if (this.#options.atomics ?? true) kinds.push(() => this.#atomic());
    if (this.#options.readBack && this.#stored.length > 0) {
      const stored = this.#stored.at(-1 - this.#tape.next(Math.min(2, this.#stored.length)))!;
      kinds.push(
        () => this.#readBack(stored),
        () => this.#overwrite(stored),
        () => this.#hazard(stored),
        () => this.#hazard(stored),
      );
    }
    this.#tape.pick(kinds)();
  }

  // --- parameters -------------------------------------------------------------------------------------------------------------

  #scalar(name: string, dtype: DType, value: number, facts: KernelParameter["facts"]): void {
    const parameter = blockParameter(tileType(dtype), name);
    this.#parameters.push({ name, kind: "scalar", dtype, rank: 0, facts });
    this.#parameterValues.push(parameter);
    this.#arguments[name] = value;
    this.#values.push(parameter, Math.abs(value));
  }

  #pointer(stem: string, dtype: DType, data: StorageArray): Value {
    const name = `${stem}${this.#parameters.length}`;
    const parameter = blockParameter(pointerType(dtype), name);
    this.#parameters.push({ name, kind: "pointer", dtype, rank: 0, facts: { alignment: 16 } });
    this.#parameterValues.push(parameter);
    this.#arguments[name] = { data };
    return parameter;
  }

  #view(stem: string, dtype: DType, tensor: Required<RandomTensor>, facts: KernelParameter["facts"]): Value {
    const name = `${stem}${this.#parameters.length}`;
    const rank = tensor.shape.length;
    const parameter = blockParameter(viewType(dtype, rank), name);
    this.#parameters.push({ name, kind: "tensor", dtype, rank, facts });
    this.#parameterValues.push(parameter);
    this.#arguments[name] = tensor;
    return parameter;
  }

  #data(dtype: DType, length: number): StorageArray {
    return randomData(dtype, length, this.#tape.next(0x10000), this.#values.exact);
  }

  // --- memory -----------------------------------------------------------------------------------------------------------------

  /** A view of rank 1 to 3, row-major, with padded rows, or with its last two axes exchanged; now and then made in the kernel. */
  #loadView(): void {
    const dtype = this.#values.dtype();
    const rank = 1 + this.#tape.next(3);
    const shape = Array.from({ length: rank }, () => 1 + this.#tape.next(12));
    const form = this.#tape.next(4);
    const padded = shape.map((size, axis) => (form === 1 && axis === rank - 1 ? Math.ceil(size / 16) * 16 : size));
    const strides = padded.map((_, axis) => padded.slice(axis + 1).reduce((product, size) => product * size, 1));
    const length = padded.reduce((product, size) => product * size, 1);
    const data = this.#data(dtype, length);
    let view: Value;
    if (form === 3) {
      const b = this.#builder;
      const base = this.#pointer("p", dtype, data);
      const numbers = [...shape, ...strides].map((n) => b.constant(n, "i32"));
      view = b.value("make_view", [base, ...numbers], { rank });
    } else {
      if (form === 2 && rank > 1) {
        [shape[rank - 2], shape[rank - 1]] = [shape[rank - 1]!, shape[rank - 2]!];
        [strides[rank - 2], strides[rank - 1]] = [strides[rank - 1]!, strides[rank - 2]!];
      }
      const facts = form === 1 ? { unitStride: true, alignment: 16 } : form === 0 ? { unitStride: true } : {};
      view = this.#view("v", dtype, { data, shape, strides }, facts);
    }
    const tileRank = this.#tape.next(rank + 1);
    const tile = this.#values.shape(tileRank);
    const indices: Value[] = [];
    const inBounds: boolean[] = [];
    for (const [axis, size] of shape.entries()) {
      const tileAxis = axis - (rank - tileRank);
      const index = this.#index();
      if (tileAxis < 0) indices.push(this.#values.clampIndex(index, size));
      else if (tile[tileAxis]! <= size && this.#tape.next(2) === 0) {
        indices.push(this.#values.clampIndex(index, size - tile[tileAxis]! + 1));
        inBounds.push(true);
      } else {
        indices.push(index);
        inBounds.push(false);
      }
    }
    const loaded = this.#builder.value("view_load", [view, ...indices], { shape: tile, inBounds });
    this.#values.push(loaded, 4);
  }

  /** A small i32 scalar, not always inside. */
  #index(): Value {
    const b = this.#builder;
    const choice = this.#tape.next(3);
    if (choice === 0) return b.constant(this.#tape.next(4), "i32");
    const scalar = this.#values.get("i32", []).value;
    return choice === 1 ? b.value("and", [scalar, b.constant(7, "i32")]) : scalar;
  }

  /** Elements of a buffer of 64 at offsets that are computed, or run on from a multiple of 8. */
  #gather(): void {
    const b = this.#builder;
    const dtype = this.#values.dtype();
    const offsets = this.#values.anyOf("i32");
    const shape = shapeOfItem(offsets);
    const run = shape.length > 0 && this.#tape.next(2) === 0;
    const scalar = b.value("and", [this.#values.get("i32", []).value, b.constant(7, "i32")]);
    const start = this.#values.splat(b.value("mul", [scalar, b.constant(8, "i32")]), shape);
    const free = run ? b.value("add", [start, this.#values.iota(shape)]) : offsets.value;
    const wrapped = b.value("and", [free, b.constant(63, "i32", shape)]);
    const wide = this.#tape.next(3) === 2 && this.#values.allows("i64");
    const offset = wide ? b.value("cast", [wrapped], { dtype: "i64" }) : wrapped;
    const base = this.#pointer("p", dtype, this.#data(dtype, 64));
    const pointer = b.value("add_pointer", [this.#values.splat(base, shape), offset]);
    const operands = [pointer];
    const masked = this.#tape.next(3);
    if (masked > 0) operands.push(this.#values.get("bool", shape).value);
    const other = masked > 1 ? this.#values.get(dtype, shape) : undefined;
    if (other) operands.push(other.value);
    this.#values.push(b.value("load", operands), Math.max(4, other?.bound ?? 0));
  }

  /** To an output of its own: a pointer's consecutive elements, or a view that may be smaller than the tile. */
  #store(item: Item): void {
    const b = this.#builder;
    const shape = shapeOfItem(item);
    const { dtype } = item.value.type;
    const programs = this.#grid[0] * this.#grid[1];
    if (this.#tape.next(2) === 0) {
      const count = shape.reduce((product, extent) => product * extent, 1);
      const data = randomData(dtype, count * programs, 0, true);
      const base = this.#pointer("out", dtype, data);
      const masked = this.#tape.next(2) === 0 ? [] : [this.#values.get("bool", shape).value];
      b.create("store", [this.#ownPart(base, shape), item.value, ...masked]);
      this.#outputs.push(this.#parameters.at(-1)!.name);
      this.#stored.push({ pointer: base, shape });
      return;
    }
    const sizes = shape.map((extent) => Math.max(1, extent - this.#tape.next(3)));
    const strides = [...sizes, 1].map((_, axis) => sizes.slice(axis).reduce((product, size) => product * size, 1));
    const data = randomData(dtype, strides[0]! * programs, 0, true);
    const view = this.#view("out", dtype, { data, shape: [programs, ...sizes], strides }, { unitStride: true });
    const starts = shape.map(() => b.constant(this.#tape.next(3) - 1, "i32"));
    b.create("view_store", [view, item.value, this.#program, ...starts], { inBounds: shape.map(() => false) });
    this.#outputs.push(this.#parameters.at(-1)!.name);
  }

  /** This program's addresses, one for each element of a tile. */
  #ownPart(base: Value, shape: readonly number[]): Value {
    const b = this.#builder;
    const count = shape.reduce((product, extent) => product * extent, 1);
    const start = b.value("mul", [this.#program, b.constant(count, "i32")]);
    const offset =
      shape.length === 0 ? start : b.value("add", [this.#values.splat(start, shape), this.#values.iota(shape)]);
    return b.value("add_pointer", [this.#values.splat(base, shape), offset]);
  }

  #readBack({ pointer, shape }: Stored): Item {
    const loaded = this.#builder.value("load", [this.#ownPart(pointer, shape)]);
    return this.#values.push(loaded, this.#values.exact ? this.#values.limit(loaded.type.dtype) : Infinity);
  }

  #overwrite({ pointer, shape }: Stored): void {
    this.#builder.create("store", [this.#ownPart(pointer, shape), this.#values.get(pointer.type.dtype, shape).value]);
  }

  /** Reads before, inside and after a loop or if that may write. */
  #hazard(stored: Stored): void {
    this.#readBack(stored);
    const inside = (): void => {
      this.#store(this.#readBack(stored));
      if (this.#tape.next(3) > 0) this.#overwrite(stored);
    };
    if (this.#tape.next(2) === 0) this.#loop(inside);
    else this.#if(inside);
    this.#store(this.#readBack(stored));
  }

  /** One kind a buffer, the old value unused: then the order of programs does not matter. */
  #atomic(): void {
    const b = this.#builder;
    const dtype = this.#tape.next(2) === 1 && this.#values.allows("u32") ? "u32" : "i32";
    const item = this.#values.anyOf(dtype);
    const shape = shapeOfItem(item);
    const kind = this.#tape.pick(["add", "max", "min", "and", "or", "xor"]);
    const base = this.#pointer("out", dtype, randomData(dtype, 16, 1, true));
    this.#outputs.push(this.#parameters.at(-1)!.name);
    const offset = b.value("and", [this.#values.get("i32", shape).value, b.constant(15, "i32", shape)]);
    const pointer = b.value("add_pointer", [this.#values.splat(base, shape), offset]);
    const masked = this.#tape.next(2) === 0 ? [] : [this.#values.get("bool", shape).value];
    b.create("atomic_rmw", [pointer, item.value, ...masked], { kind });
  }

  // --- control ----------------------------------------------------------------------------------------------------------------

  #loop(inside?: () => void): void {
    if (this.#depth >= 2) return;
    const b = this.#builder;
    const values = this.#values;
    const step = 1 + this.#tape.next(3);
    const from = this.#tape.next(3) - 1;
    const dynamic = this.#tape.next(2) === 1;
    const to = dynamic
      ? b.value("and", [values.get("i32", []).value, b.constant(3, "i32")])
      : b.constant(from + this.#tape.next(4) * step - this.#tape.next(2), "i32");
    const initial = Array.from({ length: this.#tape.next(4) }, () => values.carryable(values.any()));
    const induction = blockParameter(tileType("i32"), "i");
    const carried = initial.map((item, i) => blockParameter(item.value.type, i === 0 ? "acc" : undefined));
    const block = b.block([induction, ...carried], () =>
      this.#inside(() => {
        values.push(induction, 16);
        carried.forEach((value, i) => {
          values.push(value, initial[i]!.bound);
        });
        inside?.();
        const yields = this.#fill(carried, initial);
        const condition = this.#tape.next(3) === 2 ? [values.get("bool", []).value] : [];
        b.create("yield", [...yields.map((item) => item.value), ...condition]);
      }),
    );
    const bounds = [b.constant(from, "i32"), to, b.constant(step, "i32")];
    const { results } = b.create("loop", [...bounds, ...initial.map(({ value }) => value)], {}, { blocks: [block] });
    results.forEach((value, i) => {
      values.push(value, initial[i]!.bound);
    });
  }

  #if(inside?: () => void): void {
    if (this.#depth >= 2) return;
    const b = this.#builder;
    const condition = this.#values.get("bool", []).value;
    const like = Array.from({ length: this.#tape.next(3) }, () => this.#values.any().value);
    const blocks = [0, 1].map(() =>
      b.block([], () =>
        this.#inside(() => {
          inside?.();
          const yields = this.#fill(like);
          b.create(
            "yield",
            yields.map((item) => item.value),
          );
        }),
      ),
    );
    const { results } = b.create("if", [condition], {}, { blocks });
    for (const value of results) this.#values.push(value, this.#values.carriedBound(value.type.dtype));
  }

  /** Grows a block and gives values of the types of `like` for its yield: new ones, or now and then those themselves, or the initial ones. */
  #fill(like: readonly Value[], initial: readonly Item[] = []): Item[] {
    const steps = 1 + this.#tape.next(4);
    for (let i = 0; i < steps; i++) this.#grow();
    return like.map((value, i) => {
      const way = this.#tape.next(8);
      const known = way === 7 ? this.#values.find(value) : way === 6 ? initial[i] : undefined;
      return this.#values.carryable(known ?? this.#values.get(value.type.dtype, shapeOfItem({ value, bound: 0 })));
    });
  }

  /** Values made inside are not seen outside, nor is what was stored only there read. */
  #inside(fill: () => void): void {
    this.#depth++;
    this.#values.scope(fill);
    this.#depth--;
  }
}

/** Whether two results are equal: bit by bit, but for the bits of a NaN. */
export function sameData(dtype: DType, a: StorageArray, b: StorageArray): boolean {
  if (a.length !== b.length) return false;
  if (!isFloat(dtype)) return a.every((value: number | bigint, i: number) => value === b[i]);
  const isNan = (value: number): boolean =>
    dtype === "f32" ? Number.isNaN(value) : (value & 0x7fff) > (dtype === "f16" ? 0x7c00 : 0x7f80);
  return (a as Float32Array).every((value, i) => Object.is(value, b[i]) || (isNan(value) && isNan(b[i] as number)));
}
