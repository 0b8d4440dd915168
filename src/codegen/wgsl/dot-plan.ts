/**
 * @file Chooses, for every dot, how each operand is reached: from the registers of the thread that needs it, from global memory at the
 * moment of use, or by way of workgroup memory; and finds the dots that are carried out together.
 *
 * On a CPU, global memory is an ordinary, cached memory, and workgroup memory is just a slower copy of it; so what can be computed for
 * any coordinates from memory that the kernel does not write is read where it is used. A GPU wants each element fetched once for the whole
 * workgroup.
 */
import { type Block, type Kernel, type Operation, ops, shapeOf, type Value, walk } from "../../ir/index.ts";
import { type Analysis, costOf, type DotPlan, type OperandSource } from "./analysis.ts";
import { isSoftware, type WgslCapabilities } from "./capabilities.ts";
import type { Distribution } from "./distribution.ts";

/**
 * The chains of dots, each by its last dot. In a chain dot(a2, b2, dot(a1, b1, c)) only the next dot needs a sum, and nothing is
 * carried out in between; operands of the same shape come from the same kind of place, and not by way of workgroup memory.
 */
export function chainDots(
  kernel: Kernel,
  analysis: Analysis,
  writable: (load: Operation) => boolean,
): ReadonlyMap<Operation, readonly Operation[]> {
  const chains = new Map<Operation, readonly Operation[]>();
  /** The dot of each block after which nothing was carried out. */
  const latest = new Map<Block, Operation>();
  walk(kernel.body, (operation, block) => {
    if (!analysis.isAnchor(operation) && !writable(operation)) return;
    const before = latest.get(block);
    latest.delete(block);
    if (operation.opcode !== "dot") return;
    latest.set(block, operation);
    const joined = before && operation.operands[2] === before.results[0] && analysis.usesOf(before.results[0]!) === 1;
    const chain = joined && alike(before, operation, analysis) ? chains.get(before)! : [];
    if (chain.length > 0) chains.delete(before!);
    chains.set(operation, [...chain, operation]);
  });
  return chains;
}

function alike(first: Operation, second: Operation, { plans }: Analysis): boolean {
  const [one, other] = [plans.get(first)!, plans.get(second)!];
  const depth = ({ operands: [a] }: Operation) => shapeOf(a!.type)[1];
  if (one.a === "staged" || one.b === "staged") return false;
  return one.a === other.a && one.b === other.b && depth(first) === depth(second);
}

export function planDots(
  kernel: Kernel,
  distributionOf: (value: Value) => Distribution,
  writable: (load: Operation) => boolean,
  capabilities: WgslCapabilities,
): ReadonlyMap<Operation, DotPlan> {
  const plans = new Map<Operation, DotPlan>();
  const blocks = new Map<Operation, unknown>();
  walk(kernel.body, (operation, parent) => blocks.set(operation, parent));
  walk(kernel.body, (operation, parent) => {
    if (operation.opcode !== "dot") return;
    const [a, b] = operation.operands as [Value, Value, Value];
    const accumulator = distributionOf(operation.results[0]!);
    const rowsLocal = distributionOf(a).isLocal(1) && distributionOf(a).sameAxis(0, accumulator, 0);
    const columnsLocal = distributionOf(b).isLocal(0) && distributionOf(b).sameAxis(1, accumulator, 1);
    const here = (value: Value): boolean => loadsOf(value).every((load) => blocks.get(load) === parent);
    const source = (value: Value, local: boolean, shared: boolean): OperandSource => {
      const free = isSoftware(capabilities) && isFree(value, writable);
      // What one thread alone needs, again and again, it keeps.
      if (free && (!local || here(value) || shared)) return "memory";
      return local ? "registers" : "staged";
    };
    plans.set(operation, { a: source(a, rowsLocal, false), b: source(b, columnsLocal, accumulator.isLocal(1)) });
  });
  return plans;
}

/** What an element may cost, in simple instructions, that is computed again rather than handed over: a few loads and some arithmetic. */
const mostAgain = 200;

/**
 * Whether any thread can compute any element of a value, from scalars and memory that the kernel does not write, and cheaply so: a value that
 * is used twice, by what is used twice, and so on, would take as many instructions as there are paths to it.
 */
export function isFree(value: Value, writable: (load: Operation) => boolean): boolean {
  const left = (of: Value, budget: number): number => {
    const operation = of.definition;
    if (shapeOf(of.type).length === 0) return budget;
    if (!operation) return -1;
    const { opcode, operands } = operation;
    const virtual =
      ops[opcode].effect === "none" &&
      opcode !== "dot" &&
      opcode !== "reduce" &&
      opcode !== "scan" &&
      opcode !== "gather" &&
      opcode !== "histogram";
    const readable = ops[opcode].effect === "read" && !writable(operation);
    if (!virtual && !readable) return -1;
    return operands.reduce((rest, operand) => (rest < 0 ? rest : left(operand, rest)), budget - costOf(opcode));
  };
  return left(value, mostAgain) >= 0;
}

function loadsOf(value: Value): readonly Operation[] {
  const operation = value.definition;
  if (!operation || shapeOf(value.type).length === 0) return [];
  if (ops[operation.opcode].effect === "read") return [operation];
  return operation.operands.flatMap(loadsOf);
}

/** The axis along which neighbouring elements of a free value are neighbours in memory, if its loads agree on one. */
export function contiguousAxis(value: Value): number | undefined {
  const operation = value.definition;
  if (!operation) return undefined;
  const { opcode, operands, attributes } = operation;
  const rank = shapeOf(value.type).length;
  if (rank === 0) return undefined;
  if (opcode === "load" || opcode === "view_load") return rank - 1;
  if (opcode === "trans") {
    const inner = contiguousAxis(operands[0]!);
    return inner === undefined ? undefined : (attributes.permutation as readonly number[]).indexOf(inner);
  }
  if (!ops[opcode].elementwise && opcode !== "convert_layout") return undefined;
  const axes = operands.map(contiguousAxis).filter((axis) => axis !== undefined);
  return axes.every((axis) => axis === axes[0]) ? axes[0] : undefined;
}
