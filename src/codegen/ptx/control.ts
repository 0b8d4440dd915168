/**
 * @file Loops and branches. Carried values live in registers of their own, named after the author's names, that are assigned before the
 * loop and at the end of its body.
 *
 * Tiles of addresses and indices mostly move as one: all elements of a thread that share a register advance by the same amount. So
 * a carried tile first gets one register for each base, its elements keep their constants, and what is known of the base's
 * divisibility is assumed to stay. If what the body yields turns out otherwise, the body is made again with less assumed.
 */
import { type Block, conditionOf, type Operation, type Value } from "../../ir/index.ts";
import { planReduction, type ReductionPlan } from "../../layout/index.ts";
import { findPartialSums } from "../../passes/index.ts";
import {
  divisorOf,
  type Element,
  type ElementKind,
  elementKey,
  isConstant,
  isSum,
  moveType,
  operandOf,
  registerClassOf,
  registerOf,
} from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { type Instruction, isRegister, type Node, type Operand, type Register } from "./instruction.ts";
import { subtractIntegers } from "./integers.ts";
import type { Lowered, Lowering } from "./lowering.ts";
import { openPipeline } from "./pipeline.ts";
import { asPart, combineParts } from "./reduce.ts";
import { Tile } from "./tile.ts";

/** The elements that make up a value, and how to put it together again. */
interface Parts {
  readonly elements: readonly Element[];
  readonly kinds: readonly ElementKind[];
  rebuild(elements: readonly Element[]): Lowered;
}

function partsOf(lowering: Lowering, value: Value): Parts {
  const { emitter } = lowering;
  const lowered = lowering.lowered(value);
  if (lowered.kind === "view") {
    const { pointer, sizes, strides } = lowered;
    return {
      elements: [pointer, ...sizes, ...strides],
      kinds: ["pointer", ...sizes.map(() => "i32" as const), ...strides.map(() => "i64" as const)],
      rebuild: ([base, ...rest]) => ({
        ...lowered,
        pointer: base!,
        sizes: rest.slice(0, sizes.length),
        strides: rest.slice(sizes.length),
      }),
    };
  }
  // What waits in shared memory is carried in registers.
  return partsOfTile(emitter, lowering.tile(value));
}

function partsOfTile(emitter: Emitter, tile: Tile): Parts {
  const { kind, layout } = tile;
  if (tile.packable) {
    const words = tile.words(emitter);
    return { elements: words, kinds: words.map(() => "i32"), rebuild: (list) => Tile.ofWords(kind, layout, list) };
  }
  const elements = tile.elements(emitter);
  return { elements, kinds: elements.map(() => kind), rebuild: (list) => Tile.ofElements(kind, layout, list) };
}

/** An instruction that makes `register` equal to `element`. */
export function move(register: Register, element: Element, kind: ElementKind, emitter: Emitter): Instruction {
  const instruction = (opcode: string, ...sources: Operand[]): Instruction => ({
    kind: "instruction",
    opcode,
    operands: [register, ...sources],
  });
  if (typeof element === "boolean") return instruction("setp.eq.s32", 0, element ? 0 : 1);
  if (isSum(element))
    return instruction(register.class === "b64" ? "add.s64" : "add.s32", element.base, element.offset);
  return instruction(`mov.${moveType[register.class]}`, operandOf(emitter, element, kind));
}

// Loops

/** How much is assumed of carried integers and addresses. */
type Assumption = "bases and divisors" | "bases" | "nothing";
const assumptions: readonly Assumption[] = ["bases and divisors", "bases", "nothing"];

/** One carried register and the elements that it stands for: each is the register plus a constant. */
interface Slot {
  readonly kind: ElementKind;
  readonly register: Register;
  readonly initial: Element;
  readonly members: readonly { readonly index: number; readonly offset: number }[];
}

interface Carried {
  readonly parts: Parts;
  readonly slots: readonly Slot[];
}

const isIndex = (kind: ElementKind): boolean =>
  kind === "i32" || kind === "i64" || kind === "u32" || kind === "pointer";

export function lowerLoop(lowering: Lowering, loop: Operation): void {
  const { emitter } = lowering;
  const body = loop.blocks[0]!;
  const [from, to, step] = loop.operands.slice(0, 3).map((value) => lowering.scalar(value));
  const sums = partialSums(lowering, loop);
  const initial = loop.operands.slice(3).map((value, i) => {
    const plan = sums.get(i);
    return plan ? partsOfTile(emitter, asPart(emitter, lowering.tile(value), plan)) : partsOf(lowering, value);
  });
  const condition = conditionOf(loop);
  const name = emitter.uniqueName(body.parameters[0]!.name ?? "i");
  const names = body.parameters.slice(1).map(({ name: own }) => (own ? emitter.uniqueName(own) : undefined));
  const pipeline = openPipeline(lowering, loop, { from: from!, to: to!, step: step! });
  pipeline?.fill();
  const buffers = emitter.buffers.length;
  for (const assumption of assumptions) {
    const depth = emitter.depth + 1;
    const divisor = Math.min(divisorOf(from!), divisorOf(step!));
    const index = emitter.register("b32", { name, depth, divisor });
    const carried = initial.map((parts, i) => ({
      parts,
      slots: makeSlots(emitter, parts, names[i], depth, assumption),
    }));
    lowering.values.set(body.parameters[0]!, Tile.ofElements("i32", undefined, [index]));
    body.parameters.slice(1).forEach((parameter, i) => {
      lowering.values.set(parameter, carried[i]!.parts.rebuild(elementsOf(carried[i]!, (slot) => slot.register)));
    });
    let holds = true;
    let again: Register | undefined;
    const nodes = emitter.block(
      () => {
        pipeline?.enter(index);
        lowering.lowerBlock(body);
        const yielded = body.operations.at(-1)!.operands;
        const next = carried.map((own, i) => nextSlots(emitter, own, partsOf(lowering, yielded[i]!)));
        holds = next.every((values) => values !== undefined);
        if (!holds) return;
        const slots = carried.flatMap(({ slots: own }) => own);
        const values = next.flatMap((own) => own!);
        const goesOn = condition && conditionSlot(emitter);
        if (goesOn) assign(emitter, [...slots, goesOn], [...values, lowering.scalar(condition!)]);
        else assign(emitter, slots, values);
        pipeline?.advance();
        emitter.emit("add.s32", [index, index, operandOf(emitter, step!, "i32")]);
        again = emitter.op("pred", "setp.lt.s32", index, operandOf(emitter, to!, "i32"));
        if (goesOn) again = emitter.op("pred", "and.pred", again, goesOn.register);
      },
      containsLoop(body) ? "outer" : "innermost",
    );
    if (!holds) {
      emitter.buffers.length = buffers;
      continue;
    }
    const start = operandOf(emitter, from!, "i32");
    const entered = typeof from === "number" && typeof to === "number" && from < to;
    const enter = entered
      ? undefined
      : {
          predicate: emitter.op(
            "pred",
            "setp.lt.s32",
            registerOf(emitter, from!, "i32"),
            operandOf(emitter, to!, "i32"),
          ),
        };
    emitter.emit("mov.b32", [index, start]);
    for (const { slots } of carried)
      for (const { register, initial: value, kind } of slots) emitter.push(move(register, value, kind, emitter));
    const repeat = { predicate: again! };
    emitter.push({ kind: "loop", label: emitter.label("loop"), enter, body: nodes, repeat, location: loop.location });
    pipeline?.drain();
    lowering.forgetUnusedIn(nodes);
    loop.results.forEach((result, i) => {
      const after = new Map<Slot, Register>();
      for (const slot of carried[i]!.slots) after.set(slot, emitter.view(slot.register, { depth: emitter.depth }));
      const last = carried[i]!.parts.rebuild(elementsOf(carried[i]!, (slot) => after.get(slot)!));
      const plan = sums.get(i);
      lowering.values.set(result, plan ? combineParts(emitter, last as Tile, plan, "sum") : last);
    });
    return;
  }
}

/** Where a loop keeps whether another turn may follow, while the carried values change of which that may be made. */
const conditionSlot = (emitter: Emitter): Slot => ({
  kind: "bool",
  register: emitter.register("pred"),
  initial: true,
  members: [],
});

const containsLoop = (block: Block): boolean =>
  block.operations.some(({ opcode, blocks }) => opcode === "loop" || blocks.some(containsLoop));

/** The sums that are carried in parts, which the threads add up after the loop; by the number of the carried value. */
function partialSums(lowering: Lowering, loop: Operation): Map<number, ReductionPlan> {
  const plans = new Map<number, ReductionPlan>();
  for (const { carried, reduce } of findPartialSums(loop, (value) => lowering.uses.get(value) ?? [])) {
    const plan = planReduction(lowering.layoutOf(reduce.operands[0]!)!, reduce.attributes.axis as number);
    if (plan.inWarp.length + plan.acrossWarps.length === 0) continue;
    plans.set(carried, plan);
    lowering.partial.add(reduce);
  }
  return plans;
}

function makeSlots(
  emitter: Emitter,
  { elements, kinds }: Parts,
  name: string | undefined,
  depth: number,
  assumption: Assumption,
): Slot[] {
  const slots: Slot[] = [];
  const byBase = new Map<number, { index: number; offset: number }[]>();
  elements.forEach((element, index) => {
    const kind = kinds[index]!;
    const grouped = assumption !== "nothing" && isIndex(kind) && !isConstant(element);
    const base = isSum(element) ? element.base : element;
    const offset = grouped && isSum(element) ? element.offset : 0;
    const members = grouped ? byBase.get((base as Register).id) : undefined;
    if (members) {
      members.push({ index, offset });
      return;
    }
    const own = [{ index, offset }];
    if (grouped) byBase.set((base as Register).id, own);
    const initial = grouped ? base : element;
    const divisor = assumption === "bases and divisors" && isIndex(kind) ? divisorOf(initial) : 1;
    const register = emitter.register(registerClassOf[kind], { ...(name && { name }), depth, divisor });
    slots.push({ kind, register, initial, members: own });
  });
  return slots;
}

function elementsOf({ parts, slots }: Carried, registerOfSlot: (slot: Slot) => Register): Element[] {
  const elements = new Array<Element>(parts.elements.length);
  for (const slot of slots) {
    const base = registerOfSlot(slot);
    for (const { index, offset } of slot.members) elements[index] = offset === 0 ? base : { kind: "sum", base, offset };
  }
  return elements;
}

/** The next value of each slot, or undefined where the elements of a slot do not move as one or lose their divisor. */
function nextSlots(emitter: Emitter, { slots }: Carried, { elements }: Parts): Element[] | undefined {
  const next: Element[] = [];
  for (const { members, kind, register } of slots) {
    let value: Element | undefined;
    for (const { index, offset } of members) {
      const element = elements[index]!;
      const integerKind = kind as "i32";
      const moved = offset === 0 ? element : subtractIntegers(emitter, element, offset, integerKind);
      if (value === undefined) value = moved;
      else if (elementKey(value) !== elementKey(moved)) return undefined;
    }
    if (divisorOf(value!) < register.divisor) return undefined;
    next.push(value!);
  }
  return next;
}

/** The carried registers take their next values, all at once: a value that another slot still reads is saved first. */
function assign(emitter: Emitter, slots: readonly Slot[], next: readonly Element[]): void {
  const names = new Set(slots.map(({ register }) => register.name));
  const sources = slots.map((slot, i): Element => {
    const element = next[i]!;
    const reads = isSum(element) ? element.base : element;
    if (!isRegister(reads) || !names.has(reads.name) || reads.name === slot.register.name) return element;
    const saved = emitter.register(reads.class);
    emitter.push(move(saved, element, slot.kind, emitter));
    return saved;
  });
  slots.forEach(({ register, kind }, i) => {
    const element = sources[i]!;
    if (isRegister(element) && element.name === register.name) return;
    emitter.push(move(register, element, kind, emitter));
  });
}

// Branches

export function lowerIf(lowering: Lowering, operation: Operation): void {
  const { emitter } = lowering;
  const condition = lowering.scalar(operation.operands[0]!);
  if (typeof condition === "boolean") {
    const chosen = operation.blocks[condition ? 0 : 1]!;
    lowering.lowerBlock(chosen);
    operation.results.forEach((result, i) => {
      lowering.values.set(result, lowering.lowered(yielded(chosen)[i]!));
    });
    return;
  }
  const arms = operation.blocks.map((block) => lowerArm(lowering, block));
  operation.results.forEach((result, i) => {
    const [first, second] = arms.map(({ parts }) => parts[i]!);
    const name = result.name === undefined ? undefined : emitter.uniqueName(result.name);
    const registers = new Map<string, Register>();
    const elements = first!.elements.map((element, j) => {
      const other = second!.elements[j]!;
      const key = `${elementKey(element)},${elementKey(other)}`;
      let register = registers.get(key);
      if (!register) {
        const kind = first!.kinds[j]!;
        const divisor = isIndex(kind) ? Math.min(divisorOf(element), divisorOf(other)) : 1;
        register = emitter.register(registerClassOf[kind], { ...(name && { name }), divisor });
        registers.set(key, register);
        arms[0]!.nodes.push(move(register, element, kind, emitter));
        arms[1]!.nodes.push(move(register, other, kind, emitter));
      }
      return register;
    });
    lowering.values.set(result, first!.rebuild(elements));
  });
  emitter.push({
    kind: "if",
    label: emitter.label("if"),
    condition: { predicate: registerOf(emitter, condition, "bool") },
    whenTrue: arms[0]!.nodes,
    whenFalse: arms[1]!.nodes,
  });
}

const yielded = (block: Block): readonly Value[] => block.operations.at(-1)!.operands;

function lowerArm(lowering: Lowering, block: Block): { nodes: Node[]; parts: Parts[] } {
  let parts: Parts[] = [];
  const nodes = lowering.emitter.block(() => {
    lowering.lowerBlock(block);
    parts = yielded(block).map((value) => partsOf(lowering, value));
  });
  return { nodes, parts };
}
