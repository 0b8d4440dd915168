/**
 * @file Walks a block: virtual operations wait for their users, anchors are carried out one after the other, roots join groups. Loops and
 * branches become `for` and `if`; what they carry lives in variables and arrays that are assigned at their end.
 */
import { type Block, conditionOf, type Operation, ops, shapeOf, type Value } from "../../ir/index.ts";
import { terminator } from "../access.ts";
import { atomicRoot, finishAtomic } from "./atomics.ts";
import { debugRoot } from "./debug.ts";
import { emitDots } from "./dot.ts";
import { exchange } from "./exchange.ts";
import { atom, type Expr } from "./expression.ts";
import { emitGather } from "./gather.ts";
import type { Generator } from "./generator.ts";
import type { Group, Root } from "./groups.ts";
import { emitHistogram } from "./histogram.ts";
import { viewOf } from "./loads.ts";
import { nameOf } from "./names.ts";
import { reduceRoot } from "./reduce.ts";
import { emitScan } from "./scan.ts";
import { storeRoot } from "./stores.ts";
import { heldType } from "./types.ts";
import type { Storage } from "./variables.ts";

/** Where a value of a loop or branch lives: a storage for tiles, scalars and pointers, variables for the parts of a view. */
type Place = { readonly storage: Storage } | { readonly view: readonly Expr[] };

/** What the block being walked yields into, for results that can be written in place. */
interface Carried {
  readonly parameters: readonly Value[];
  readonly places: readonly Place[];
  readonly body: Block;
}

/** Generates the code of a block; `finish` makes that of its `yield`. */
export function emitBlock(generator: Generator, block: Block, finish?: () => void, carried?: Carried): void {
  generator.inBlock(block, () => {
    for (const operation of block.operations)
      if (operation.opcode !== "yield") emitOperation(generator, operation, carried);
    generator.groups.flushAll();
    finish?.();
  });
}

function emitOperation(generator: Generator, operation: Operation, carried: Carried | undefined): void {
  const { groups, analysis } = generator;
  const [result] = operation.results;
  if (!analysis.isAnchor(operation)) {
    if (result && analysis.roots.has(result)) groups.promise(result, groups.add(materialise(generator, result)));
    return;
  }
  if (analysis.isDead(operation)) return;
  switch (operation.opcode) {
    case "store":
    case "view_store":
      groups.flush(groups.add(inOrder(generator, storeRoot(generator, operation))));
      return;
    case "print":
    case "assert":
      groups.flush(groups.add(debugRoot(generator, operation)));
      return;
    case "atomic_rmw":
    case "atomic_cas":
      groups.flushAll();
      groups.flush(groups.add(atomicRoot(generator, operation)));
      finishAtomic(generator, operation);
      return;
    case "reduce":
      groups.promise(result!, groups.add(reduceRoot(generator, operation)));
      return;
    case "convert_layout":
      exchange(generator, operation);
      return;
    case "scan":
      emitScan(generator, operation);
      return;
    case "gather":
      emitGather(generator, operation);
      return;
    case "histogram":
      emitHistogram(generator, operation);
      return;
    case "dot": {
      const chain = generator.chains.get(operation);
      if (!chain) return;
      groups.flushAll();
      emitDots(generator, chain, targetInPlace(generator, chain, carried));
      return;
    }
    case "loop":
      emitLoop(generator, operation);
      return;
    case "if":
      emitIf(generator, operation);
      return;
    default:
      throw new Error(`no code for ${operation.opcode}: a bug in Tilewright`);
  }
}

/** Computes a tile once, and keeps it if not all of its users share the loop. */
function materialise(generator: Generator, value: Value): Root {
  const operation = value.definition!;
  let storage: Storage | undefined;
  return {
    distribution: generator.distribution(value),
    operation,
    location: operation.location,
    inputs: operation.operands,
    accesses:
      ops[operation.opcode].effect === "read"
        ? [{ parameter: generator.roots.of(operation.operands[0]!), kind: "read" }]
        : [],
    before(group: Group) {
      const elsewhere = [...generator.analysis.consumersOf(value)].some((consumer) => !group.carriesOut(consumer));
      if (elsewhere) storage = generator.variables.declare(value);
    },
    body(index) {
      const element = generator.elements.of(value, index);
      if (storage) generator.writer.line(`${generator.variables.place(storage, index.at)} = ${element};`);
    },
    after() {
      if (storage) generator.variables.keep(value, storage);
    },
  };
}

/** Makes sure that loads of what is about to be written, if they are still to come, happen before. */
function inOrder(generator: Generator, root: Root): Root {
  const written = root.accesses!.map(({ parameter }) => parameter);
  if (generator.bindings.of(written[0]!).access === "readwrite") generator.groups.flushReaders(written[0]!, root);
  return root;
}

/** Assigns a value to the place where a loop or branch keeps it. */
function assign(generator: Generator, value: Value, { storage }: { readonly storage: Storage }): Root {
  return {
    distribution: storage.distribution,
    operation: undefined,
    location: undefined,
    inputs: [value],
    body(index) {
      const place = generator.variables.place(storage, index.at);
      const element = generator.elements.of(value, index);
      if (element.text !== place.text) generator.writer.line(`${place} = ${element};`);
    },
  };
}

// --- loops --------------------------------------------------------------------------------------------------------------------

function emitLoop(generator: Generator, loop: Operation): void {
  const { writer, groups } = generator;
  const body = loop.blocks[0]!;
  const [from, to, step, ...initial] = loop.operands;
  const [variable, ...parameters] = body.parameters;
  const condition = conditionOf(loop);
  groups.flushAll();
  writer.source(loop.location);
  const bounds = [from!, to!, step!].map((bound) => uniformScalar(generator, bound));
  // A number of turns that a CPU driver knows is an invitation to unroll.
  if (bounds.every(({ constant }) => constant !== undefined))
    bounds[1] = atom(generator.constants.loopBound(bounds[1]!.constant!), 0);
  const places = parameters.map((parameter) => declarePlace(generator, parameter));
  assignAll(generator, initial, places, []);

  markUniform(generator, loop);
  generator.arena.enterLoop();
  generator.hazards.enterLoop();
  const counter = writer.names.unique(variable!.name ?? "n");
  writer.nest(`for (var ${counter} = ${bounds[0]}; ${counter} < ${bounds[1]}; ${counter} += ${bounds[2]})`, () => {
    const counterStorage: Storage = {
      name: counter,
      distribution: generator.distribution(variable!),
      depth: writer.depth,
    };
    generator.variables.keep(variable!, counterStorage);
    for (const [i, parameter] of parameters.entries()) bindPlace(generator, parameter, places[i]!, writer.depth);
    emitBlock(
      generator,
      body,
      () => {
        // Before the carried values change, of which it may be made.
        const again = condition && uniformScalar(generator, condition);
        assignAll(generator, terminator(body).operands.slice(0, places.length), places, parameters);
        if (again) writer.nest(`if (!(${again}))`, () => writer.line("break;"));
      },
      { parameters, places, body },
    );
  });
  for (const [i, result] of loop.results.entries()) bindPlace(generator, result, places[i]!, writer.depth);
}

function declarePlace(generator: Generator, value: Value): Place {
  const { writer } = generator;
  const name = nameOf(value);
  if (value.type.kind !== "view")
    return { storage: generator.variables.declareAs(name, heldType(value.type), generator.distribution(value)) };
  const parts = [
    "offset",
    ...["size", "stride"].flatMap((what) =>
      Array.from({ length: (value.type as { rank: number }).rank }, (_, axis) => `${what}${axis}`),
    ),
  ];
  return { view: parts.map((part) => writer.variable(`${name}_${part}`, "i32", "0")) };
}

/** Says that `value` is what `place` holds, from `depth` on. */
function bindPlace(generator: Generator, value: Value, place: Place, depth: number): void {
  if ("storage" in place) {
    generator.variables.keep(value, { ...place.storage, depth });
    return;
  }
  const [offset, ...rest] = place.view.map(({ text }) => atom(text, depth));
  const rank = rest.length / 2;
  generator.views.set(value, { offset: offset!, sizes: rest.slice(0, rank), strides: rest.slice(rank) });
}

/**
 * Assigns values to places, as if all at once: a value that is computed from what another assignment overwrites (the old values are
 * those of `parameters`) is computed first.
 */
function assignAll(
  generator: Generator,
  values: readonly Value[],
  places: readonly Place[],
  parameters: readonly Value[],
): void {
  const { writer, groups } = generator;
  groups.flushAll();
  const pending: (() => void)[] = [];
  const roots: Root[] = [];
  for (const [i, value] of values.entries()) {
    const place = places[i]!;
    if (value === parameters[i]) continue;
    if ("view" in place) {
      const view = viewOf(generator, value);
      const parts = [view.offset, ...view.sizes, ...view.strides].map((part) =>
        generator.writer.bindAnew("next", part),
      );
      for (const [j, variable] of place.view.entries()) pending.push(() => writer.line(`${variable} = ${parts[j]};`));
      continue;
    }
    const { storage } = place;
    if (generator.variables.of(value)?.name === storage.name) continue;
    if (storage.distribution.rank === 0) {
      const next = generator.elements.scalar(value);
      // A let, since a place that it reads may be assigned before it.
      const held = parameters.length > 1 ? writer.bindHere("next", next) : next;
      pending.push(() => writer.line(`${storage.name} = ${held};`));
      continue;
    }
    const others = parameters.filter((_, j) => j !== i);
    const overwritten = groups
      .leavesOf([value])
      .some((leaf) => others.includes(leaf.value) || (leaf.value === parameters[i] && !leaf.aligned));
    if (overwritten) {
      const copy = generator.variables.declareAs("next", heldType(value.type), storage.distribution);
      groups.flush(groups.add(assign(generator, value, { storage: copy })));
      generator.variables.keep(value, copy);
    }
    roots.push(assign(generator, value, { storage }));
  }
  for (const root of roots) groups.add(root);
  groups.flushAll();
  for (const run of pending) run();
}

/**
 * Where a chain of dots can leave its result at once: in the place of the carried value that it becomes, if nobody needs the old value any more.
 */
function targetInPlace(
  generator: Generator,
  chain: readonly Operation[],
  carried: Carried | undefined,
): Storage | undefined {
  if (!carried) return undefined;
  const { analysis, groups } = generator;
  const last = chain.at(-1)!;
  const [result] = last.results;
  const yielded = terminator(carried.body).operands;
  const at = yielded.indexOf(result!);
  const parameter = carried.parameters[at];
  if (at < 0 || !parameter || yielded.indexOf(result!, at + 1) >= 0) return undefined;
  const place = carried.places[at]!;
  if (!("storage" in place) || place.storage.distribution.key !== generator.distribution(result!).key) return undefined;
  const order = carried.body.operations;
  const position = order.indexOf(last);
  const needed = [...analysis.consumersOf(parameter)].some(
    (consumer) => order.indexOf(analysis.ancestorIn(carried.body, consumer)!) > position,
  );
  const factors = chain.flatMap(({ operands: [a, b] }) => [a!, b!]);
  const asOperand = groups.leavesOf(factors).some(({ value }) => value === parameter);
  const accumulator = chain[0]!.operands[2]!;
  const shifted = groups.leavesOf([accumulator]).some(({ value, aligned }) => value === parameter && !aligned);
  if (needed || asOperand || shifted) return undefined;
  return { ...place.storage, depth: generator.writer.depth };
}

// --- branches -----------------------------------------------------------------------------------------------------------------

function emitIf(generator: Generator, operation: Operation): void {
  const { writer, groups, hazards } = generator;
  groups.flushAll();
  writer.source(operation.location);
  const condition = uniformScalar(generator, operation.operands[0]!);
  const places = operation.results.map((result) => declarePlace(generator, result));
  const arm = (block: Block) => () =>
    emitBlock(generator, block, () => assignAll(generator, terminator(block).operands, places, []));
  const second = operation.blocks[1]!;
  const empty = second.operations.length === 1 && terminator(second).operands.length === 0;
  writer.nest(`if (${condition})`, arm(operation.blocks[0]!), empty ? undefined : arm(second));
  // Which arm ran is not known here: whatever either did may just have happened.
  hazards.enterLoop();
  generator.arena.enterLoop();
  markUniform(generator, operation);
  for (const [i, result] of operation.results.entries()) bindPlace(generator, result, places[i]!, writer.depth);
}

// --- uniformity ---------------------------------------------------------------------------------------------------------------

/** A scalar that control flow may depend on: every thread has the same value, and WGSL's analysis can see it. */
function uniformScalar(generator: Generator, value: Value): Expr {
  generator.groups.ready([value]);
  const expression = generator.elements.scalar(value);
  if (expression.constant !== undefined) return expression;
  const bound = generator.writer.bindAnew(nameOf(value), expression);
  if (isUniform(generator, value)) return bound;
  return generator.arena.makeUniform(bound, value.type, nameOf(value));
}

/** Whether WGSL can see that a scalar is the same for all threads. */
function isUniform(generator: Generator, value: Value): boolean {
  if (generator.uniform.has(value)) return true;
  const operation = value.definition;
  if (!operation) return generator.kernel.body.parameters.includes(value);
  if (generator.analysis.isAnchor(operation)) return false;
  if (
    ops[operation.opcode].effect === "read" &&
    generator.bindings.of(generator.roots.of(operation.operands[0]!)).access !== "read"
  )
    return false;
  return operation.operands.every((operand) => shapeOf(operand.type).length === 0 && isUniform(generator, operand));
}

/** Finds the carried scalars of a loop (the results of a branch) that are uniform: all that go into them are. */
function markUniform(generator: Generator, operation: Operation): void {
  const { uniform } = generator;
  if (operation.opcode === "if") {
    const arms = operation.blocks.map((block) => terminator(block).operands);
    operation.results.forEach((result, i) => {
      if (shapeOf(result.type).length === 0 && arms.every((values) => isUniform(generator, values[i]!)))
        uniform.add(result);
    });
    return;
  }
  const body = operation.blocks[0]!;
  const [variable, ...parameters] = body.parameters;
  const yielded = terminator(body).operands;
  uniform.add(variable!);
  const candidates = new Set(parameters.keys());
  for (const i of candidates)
    if (shapeOf(parameters[i]!.type).length > 0 || !isUniform(generator, operation.operands[i + 3]!))
      candidates.delete(i);
  for (const i of candidates) uniform.add(parameters[i]!);
  // Until nothing changes: assume them uniform, and take back those for which that does not hold.
  for (let changed = true; changed; ) {
    changed = false;
    for (const i of candidates) {
      if (isUniform(generator, yielded[i]!)) continue;
      candidates.delete(i);
      uniform.delete(parameters[i]!);
      changed = true;
    }
  }
  for (const i of candidates) uniform.add(operation.results[i]!);
}
