/**
 * @file What axis analysis says about one load or store: along which tile axis memory runs, how well it is aligned, and in what groups
 * elements are masked. A code generator takes as vector width what divides all three and its own largest access.
 */
import { elementBytes, type KernelParameter, type Operation, shapeOf, type Value } from "../ir/index.ts";
import type { AxisAnalysis } from "./axis-analysis.ts";
import { elementDivisibility, largestDivisor, powerOfTwoIn, unitOf } from "./axis-info.ts";
import { integerConstantOf } from "./fold.ts";

/** Of `view_load` and `view_store`. */
export interface ViewAccess {
  /** The tile axis along which consecutive elements are consecutive in memory: the last, if the view's last stride is 1. */
  readonly axis: number | null;
  /** Divides the address, in bytes, of the first element of each of the tile's rows along `axis` that lie in the view. */
  readonly alignment: number;
  /** Aligned groups of so many elements along `axis` lie either all inside or all outside the view: a power of two. */
  readonly group: number;
}

/**
 * Strides along axes of size 1 may be anything: in the view, their index is 0. A parameter whose last stride is 1 has no other stride
 * that breaks its alignment; the launch checks that.
 */
export function viewAccess(operation: Operation, analysis: AxisAnalysis): ViewAccess {
  const stored = operation.opcode === "view_store";
  const [view, ...rest] = operation.operands;
  const indices = stored ? rest.slice(1) : rest;
  const shape = shapeOf(stored ? rest[0]!.type : operation.results[0]!.type);
  const bytes = elementBytes[view!.type.dtype];
  const last = indices.length - 1;
  const { base, strides, size } = describe(view!, analysis);
  if (shape.length === 0 || strides.at(-1) !== "unit") return { axis: null, alignment: bytes, group: 1 };

  const inBounds = (operation.attributes.inBounds as boolean[]).at(-1)!;
  const start = elementDivisibility(analysis.of(indices[last]!));
  let alignment = Math.min(base, start * bytes);
  for (const [axis, index] of indices.slice(0, -1).entries()) {
    const stride = strides[axis]!;
    const rows = axis >= indices.length - shape.length ? shape[axis - (indices.length - shape.length)]! : 1;
    const steps = rows > 1 ? 1 : elementDivisibility(analysis.of(index));
    alignment = Math.min(alignment, (stride === "unit" ? 1 : stride) * bytes * steps);
  }
  const group = inBounds ? shape.at(-1)! : Math.min(shape.at(-1)!, start, size);
  return { axis: shape.length - 1, alignment, group };
}

interface ViewDescription {
  /** Divides the base address, in bytes. */
  readonly base: number;
  /** Divides each stride, in elements; "unit": the stride is 1. */
  readonly strides: readonly (number | "unit")[];
  /** Divides the last size. */
  readonly size: number;
}

function describe(view: Value, analysis: AxisAnalysis): ViewDescription {
  const { kernel } = analysis;
  const parameter = kernel.parameters[kernel.body.parameters.indexOf(view)];
  if (parameter) return describeParameter(parameter);
  const made = view.definition;
  const bytes = elementBytes[view.type.dtype];
  const rank = view.type.kind === "view" ? view.type.rank : 0;
  if (made?.opcode !== "make_view") return { base: bytes, strides: Array<number>(rank).fill(1), size: 1 };
  const strides = made.operands.slice(1 + rank);
  return {
    base: elementDivisibility(analysis.of(made.operands[0]!), bytes),
    strides: strides.map((stride) =>
      integerConstantOf(stride) === 1n ? "unit" : elementDivisibility(analysis.of(stride)),
    ),
    size: rank === 0 ? 1 : elementDivisibility(analysis.of(made.operands[rank]!)),
  };
}

function describeParameter({ dtype, rank, facts }: KernelParameter): ViewDescription {
  const bytes = elementBytes[dtype];
  const { alignment: promised = 1, unitStride = false } = facts;
  const alignment = Math.max(powerOfTwoIn(promised), bytes);
  const stride = unitStride ? alignment / bytes : 1;
  return {
    base: alignment,
    strides: Array.from({ length: rank }, (_, axis) => (unitStride && axis === rank - 1 ? "unit" : stride)),
    size: 1,
  };
}

/** Of `load`, `store` and atomics through a tile of pointers. */
export interface PointerAccess {
  readonly axis: number | null;
  /** Aligned groups of so many elements along `axis` are consecutive in memory, aligned to their size, and masked as one. */
  readonly width: number;
}

/** The axis with the widest groups, if all the masks must hold. */
export function pointerAccess(pointer: Value, masks: readonly Value[], analysis: AxisAnalysis): PointerAccess {
  const address = analysis.of(pointer);
  const masked = masks.map((mask) => analysis.of(mask).constancy);
  let best: PointerAccess = { axis: null, width: 1 };
  for (const axis of shapeOf(pointer.type).keys()) {
    const aligned = Math.max(1, address.divisibility[axis]! / unitOf(pointer));
    const alike = masked.map((constancy) => constancy[axis]!);
    const width = Math.min(address.contiguity[axis]!, aligned, largestDivisor, ...alike);
    if (width > best.width) best = { axis, width };
  }
  return best;
}
