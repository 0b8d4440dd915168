/**
 * @file Axis analysis: contiguity, divisibility and constancy of every integer and pointer value, from program ids, `arange`, the facts
 * about parameters and the author's `multiple_of`. Loops: a fixpoint from the initial values down. From it code generators compute
 * the widest access that is always right.
 */
import {
  type Block,
  elementBytes,
  type Kernel,
  type KernelParameter,
  type Operation,
  type Value,
  yieldedValues,
} from "../ir/index.ts";
import {
  type AxisInfo,
  axesOf,
  elementDivisibility,
  infoOf,
  meet,
  powerOfTwoIn,
  sameInfo,
  unitOf,
  unknownInfo,
} from "./axis-info.ts";
import { transfer } from "./axis-transfer.ts";
import { analyzeRanges } from "./ranges.ts";

export interface AxisAnalysis {
  readonly kernel: Kernel;
  /** Nothing known (all ones) of a value that is neither integer, bool nor pointer. */
  of(value: Value): AxisInfo;
}

export function analyzeAxes(kernel: Kernel): AxisAnalysis {
  const known = new Map<Value, AxisInfo>();
  const ranges = analyzeRanges(kernel);
  const info = (value: Value): AxisInfo => known.get(value) ?? unknownInfo(value);
  const context = { info, range: ranges.of };
  const parameters = new Map(kernel.parameters.map((parameter, i) => [kernel.body.parameters[i]!, parameter]));
  for (const [value, parameter] of parameters) known.set(value, ofParameter(value, parameter));

  const visitBlock = (block: Block): void => block.operations.forEach(visit);
  const visit = (operation: Operation): void => {
    const { opcode, operands, results, attributes, blocks } = operation;
    if (opcode === "loop") visitLoop(operation);
    else if (opcode === "if") {
      blocks.forEach(visitBlock);
      const [inThen, inElse] = blocks.map(yieldedValues);
      for (const [i, result] of results.entries())
        known.set(result, meet(info(inThen![i]!), info(inElse![i]!), unitOf(result)));
    } else if (opcode === "view_pointer") {
      const facts = parameters.get(operands[0]!)?.facts;
      const [result] = results;
      const alignment = facts ? alignmentOf(result!, facts.alignment) : elementBytes[result!.type.dtype];
      known.set(
        result!,
        infoOf([1], () => [1, alignment, 1]),
      );
    } else if (opcode === "view_stride") {
      const divisibility = strideDivisibility(parameters.get(operands[0]!), attributes.axis as number);
      known.set(
        results[0]!,
        infoOf([1], () => [1, divisibility, 1]),
      );
    } else for (const result of results) known.set(result, transfer(operation, result, context));
  };
  const visitLoop = ({ operands, results, blocks }: Operation): void => {
    const [from, , step, ...initial] = operands;
    const [induction, ...carried] = blocks[0]!.parameters;
    const stride = Math.min(elementDivisibility(info(from!)), elementDivisibility(info(step!)));
    known.set(
      induction!,
      infoOf([1], () => [1, stride, 1]),
    );
    for (const [i, value] of carried.entries()) known.set(value, info(initial[i]!));
    for (let changed = true; changed; ) {
      visitBlock(blocks[0]!);
      changed = false;
      for (const [i, value] of carried.entries()) {
        const before = info(value);
        const after = meet(before, info(yieldedValues(blocks[0]!)[i]!), unitOf(value));
        changed ||= !sameInfo(before, after);
        known.set(value, after);
      }
    }
    for (const [i, result] of results.entries()) known.set(result, info(carried[i]!));
  };
  visitBlock(kernel.body);
  return { kernel, of: info };
}

/** A pointer is at least aligned to its elements. */
const alignmentOf = (value: Value, alignment = 1): number =>
  Math.max(powerOfTwoIn(alignment), elementBytes[value.type.dtype]);

/** By its facts, a tensor whose last stride is 1 has other strides that keep the alignment of its address. In elements. */
function strideDivisibility(tensor: KernelParameter | undefined, axis: number): number {
  if (!tensor?.facts.unitStride || axis === tensor.rank - 1) return 1;
  return Math.max(1, powerOfTwoIn(tensor.facts.alignment ?? 1) / elementBytes[tensor.dtype]);
}

function ofParameter(value: Value, { kind, facts }: KernelParameter): AxisInfo {
  if (kind === "tensor") return unknownInfo(value);
  const divisibility = kind === "pointer" ? alignmentOf(value, facts.alignment) : powerOfTwoIn(facts.divisibleBy ?? 1);
  return infoOf(axesOf(value), () => [1, divisibility, 1]);
}
