/**
 * @file Which loads and stores reach four neighbours along the last axis at once: where the facts about the parameter and the analysis of
 * the indices say that the four are neighbours in memory and that the first stands at a multiple of four elements.
 */
import { elementBytes, type Operation, shapeOf, type Value } from "../../ir/index.ts";
import { viewAccess } from "../../passes/index.ts";
import type { Buffer } from "./bindings.ts";
import type { Distribution } from "./distribution.ts";
import type { Generator } from "./generator.ts";

/** Elements that are accessed together. */
export const wide = 4;

/** Whether a load or store may access `wide` elements at once, if a thread takes neighbours along the last axis. */
export function isWide(generator: Generator, operation: Operation): boolean {
  const { opcode, operands, results } = operation;
  const load = opcode === "load" || opcode === "view_load";
  if (!load && opcode !== "store" && opcode !== "view_store") return false;
  const address = operands[0]!;
  const buffer = generator.bindings.of(generator.roots.of(address));
  if (!(load ? canLoadWide(buffer) : canStoreWide(buffer))) return false;
  const shape = shapeOf((load ? results[0]! : operands[1]!).type);
  if (shape.length === 0 || shape.at(-1)! < wide) return false;
  return address.type.kind === "view" ? wideInView(generator, operation) : wideBehindPointers(generator, address);
}

/** Whether a thread's registers along the last axis hold neighbours, at least `wide` of them. */
export function holdsNeighbours(distribution: Distribution): boolean {
  const bits = distribution.rank > 0 ? distribution.registerBits(distribution.rank - 1) : [];
  return bits[0] === 0 && bits[1] === 1;
}

const canLoadWide = ({ packing, parameter: { dtype, facts } }: Buffer): boolean =>
  packing === "quads" || (packing === "packed" && elementBytes[dtype] === 1 && (facts.alignment ?? 1) % wide === 0);

/** Only elements smaller than a word gain from being stored together. */
const canStoreWide = ({ packing, parameter: { dtype } }: Buffer): boolean =>
  packing === "atomic" && elementBytes[dtype] < 4;

function wideInView(generator: Generator, operation: Operation): boolean {
  const { axis, alignment } = viewAccess(operation, generator.axes);
  return axis !== null && alignment % (wide * elementBytes[operation.operands[0]!.type.dtype]) === 0;
}

function wideBehindPointers(generator: Generator, pointers: Value): boolean {
  const { contiguity, divisibility } = generator.axes.of(pointers);
  const last = contiguity.length - 1;
  return contiguity[last]! >= wide && divisibility[last]! % (wide * elementBytes[pointers.type.dtype]) === 0;
}
