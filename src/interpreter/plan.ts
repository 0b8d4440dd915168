/**
 * @file Turns a kernel into steps, once: every value gets its typed array, every operation a closure over the arrays of its operands
 * and results. Running a program is then running the steps. Control flow is here too, since it owns blocks.
 */
import { type Block, conditionOf, type Opcode, type Operation, type Value } from "../ir/index.ts";
import { arrayFor, copyArray, type TileArray } from "./arrays.ts";
import { bitcast, cast } from "./casts.ts";
import { assert, print } from "./debugging.ts";
import { dot } from "./dot.ts";
import { addPointer, binary, compare, fma, multipleOf, select, unary } from "./elementwise.ts";
import type { Machine } from "./machine.ts";
import type { OperationContext, Plan, Step } from "./operation.ts";
import { atomicCas, atomicRmw, load, store } from "./pointers.ts";
import { reduce, scan } from "./reductions.ts";
import { resultCheck } from "./results.ts";
import {
  arange,
  broadcast,
  constant,
  gather,
  histogram,
  join,
  programId,
  sameElements,
  splat,
  split,
  trans,
} from "./shapes.ts";
import { makeView, viewLoad, viewPointer, viewSize, viewStore, viewStride } from "./views.ts";

/** What every operation does; control flow excepted. */
const plans: Readonly<Record<Exclude<Opcode, "loop" | "if" | "yield">, Plan>> = {
  constant,
  program_id: programId,
  num_programs: programId,
  arange,
  splat,
  broadcast,
  expand_dims: sameElements,
  reshape: sameElements,
  trans,
  join,
  split,
  neg: unary,
  abs: unary,
  floor: unary,
  ceil: unary,
  sqrt: unary,
  rsqrt: unary,
  reciprocal: unary,
  exp: unary,
  exp2: unary,
  log: unary,
  log2: unary,
  sin: unary,
  cos: unary,
  tanh: unary,
  not: unary,
  add: binary,
  sub: binary,
  mul: binary,
  div: binary,
  rem: binary,
  min: binary,
  max: binary,
  and: binary,
  or: binary,
  xor: binary,
  shl: binary,
  shr: binary,
  umulhi: binary,
  fma,
  compare,
  select,
  cast,
  bitcast,
  multiple_of: multipleOf,
  convert_layout: sameElements,
  dot,
  reduce,
  scan,
  gather,
  histogram,
  add_pointer: addPointer,
  load,
  store,
  atomic_rmw: atomicRmw,
  atomic_cas: atomicCas,
  make_view: makeView,
  view_pointer: viewPointer,
  view_size: viewSize,
  view_stride: viewStride,
  view_load: viewLoad,
  view_store: viewStore,
  print,
  assert,
};

/** A block's steps and how often they ran: one counter a block counts all of its operations. */
export class PlannedBlock {
  readonly operations: readonly Operation[];
  readonly inner: PlannedBlock[] = [];
  readonly steps: Step[] = [];
  executions = 0;

  constructor(operations: readonly Operation[]) {
    this.operations = operations;
  }

  run(): void {
    this.executions++;
    const { steps } = this;
    for (let i = 0; i < steps.length; i++) steps[i]!();
  }
}

export class Planner {
  readonly #machine: Machine;
  readonly #arrays = new Map<Value, TileArray>();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** The array of a value; block parameters get theirs when first asked for. */
  array(value: Value): TileArray {
    const known = this.#arrays.get(value);
    if (known) return known;
    const made = arrayFor(value.type);
    this.#arrays.set(value, made);
    return made;
  }

  /** Plans a block. At its end, what it yields is copied into `destinations`. */
  block(block: Block, destinations: readonly TileArray[]): PlannedBlock {
    const planned = new PlannedBlock(block.operations);
    for (const operation of block.operations) {
      if (operation.opcode === "loop") this.#loop(operation, planned);
      else if (operation.opcode === "if") this.#if(operation, planned);
      else if (operation.opcode === "yield") this.#assign(destinations, operation.operands, planned.steps);
      else this.#operation(operation, plans[operation.opcode], planned.steps);
    }
    return planned;
  }

  #operation(operation: Operation, plan: Plan, steps: Step[]): void {
    const context: OperationContext = {
      operation,
      machine: this.#machine,
      operands: operation.operands.map((value) => this.array(value)),
      result: (index = 0) => this.array(operation.results[index]!),
      alias: (array) => {
        this.#arrays.set(operation.results[0]!, array);
      },
    };
    for (const step of [plan(context), resultCheck(context)]) if (step) steps.push(step);
  }

  /** The parameters of the block are assigned before each round; after the last they are the results. */
  #loop(operation: Operation, parent: PlannedBlock): void {
    const [from, to, step] = operation.operands.slice(0, 3).map((value) => this.array(value));
    const block = operation.blocks[0]!;
    const induction = this.array(block.parameters[0]!);
    const carried = block.parameters.slice(1).map((value) => this.array(value));
    for (const [i, value] of operation.results.entries()) this.#arrays.set(value, carried[i]!);
    this.#assign(carried, operation.operands.slice(3), parent.steps);
    const body = this.block(block, carried);
    parent.inner.push(body);
    const condition = conditionOf(operation);
    const again = condition && this.array(condition);
    const machine = this.#machine;
    parent.steps.push(() => {
      const [first, end, increment] = [from![0] as number, to![0] as number, step![0] as number];
      if (increment <= 0)
        machine.fail("LOOP_STEP", operation, undefined, `the step must be positive, but is ${increment}`);
      for (let i = first; i < end; i += increment) {
        induction[0] = i;
        body.run();
        if (again && !again[0]) break;
      }
    });
  }

  #if(operation: Operation, parent: PlannedBlock): void {
    const condition = this.array(operation.operands[0]!);
    const results = operation.results.map((value) => this.array(value));
    const [yes, no] = operation.blocks.map((block) => this.block(block, results)) as [PlannedBlock, PlannedBlock];
    parent.inner.push(yes, no);
    parent.steps.push(() => (condition[0] !== 0 ? yes : no).run());
  }

  /** Appends steps that assign all values at once: those that an earlier assignment would overwrite go through a copy. */
  #assign(destinations: readonly TileArray[], values: readonly Value[], steps: Step[]): void {
    const copies: Step[] = [];
    const overwritten = new Set<ArrayBufferLike>();
    destinations.forEach((to, i) => {
      let from = this.array(values[i]!);
      if (from === to) return;
      if (overwritten.has(from.buffer)) {
        const [original, kept] = [from, arrayFor(values[i]!.type)];
        steps.push(() => copyArray(kept, original));
        from = kept;
      }
      copies.push(() => copyArray(to, from));
      overwritten.add(to.buffer);
    });
    steps.push(...copies);
  }
}
