/**
 * @file Reading global memory: addresses in views and behind pointers, and elements out of packed words. Where four neighbours are
 * wanted (see `Lane`) and the parameter's facts allow it, one access fetches all four.
 */
import type { DType, Operation, Value } from "../../ir/index.ts";
import type { Buffer } from "./bindings.ts";

import { atom, call, compare, conjunction, Expr, literal, precedence } from "./expression.ts";
import type { Generator } from "./generator.ts";
import { nameOf } from "./names.ts";
import { indexKey, type TileIndex } from "./tile-index.ts";
import { heldType, zeroOf } from "./types.ts";
import { holdsNeighbours, isWide } from "./wide-access.ts";

/** A view taken apart: the element where it starts, sizes and strides, all i32. */
export interface View {
  readonly offset: Expr;
  readonly sizes: readonly Expr[];
  readonly strides: readonly Expr[];
}

export function viewOf(generator: Generator, value: Value): View {
  const kept = generator.views.get(value);
  if (kept) return kept;
  const { kernel, bindings } = generator;
  const operation = value.definition;
  if (!operation) {
    const { name, rank, facts } = kernel.parameters[kernel.body.parameters.indexOf(value)]!;
    const fields = (what: string) =>
      Array.from({ length: rank }, (_, axis) => atom(bindings.field(`${name}.${what}.${axis}`), 0));
    const strides = fields("stride");
    if (facts.unitStride && rank > 0) strides[rank - 1] = literal(1);
    return { offset: atom(bindings.field(`${name}.offset`), 0), sizes: fields("shape"), strides };
  }
  const [pointer, ...rest] = operation.operands;
  const rank = operation.attributes.rank as number;
  return {
    offset: generator.elements.scalar(pointer!),
    sizes: rest.slice(0, rank).map((size) => generator.elements.scalar(size)),
    strides: rest.slice(rank).map((stride) => generator.elements.word(stride)),
  };
}

/** The element of its buffer that a `view_load` or `view_store` accesses at `index` of its tile, and whether it is inside the view. */
export function viewAddress(
  generator: Generator,
  operation: Operation,
  indices: readonly Value[],
  index: TileIndex,
): { readonly offset: Expr; readonly inside: Expr | undefined } {
  const { writer } = generator;
  const view = viewOf(generator, operation.operands[0]!);
  const inBounds = operation.attributes.inBounds as readonly boolean[];
  const leading = indices.length - index.at.length;
  const name = generator.roots.of(operation.operands[0]!);
  const terms = [view.offset];
  const conditions: (Expr | undefined)[] = [];
  for (const [i, start] of indices.entries()) {
    const axis = i - leading;
    let position = generator.elements.scalar(start);
    if (axis >= 0) {
      position = position.plus(generator.elements.coordinate(index, axis));
      if (!inBounds[axis]) {
        position = writer.bindIndex(`${name}_${i === indices.length - 1 ? "column" : `index${i}`}`, position);
        // Unsigned, so that positions before the start are outside too.
        let inside = compare(unsigned(position), "<", unsigned(view.sizes[i]!));
        if (axis < index.at.length - 1) inside = writer.bindIndex(`${name}_inside`, inside);
        conditions.push(inside);
      }
    }
    terms.push(position.times(view.strides[i]!));
  }
  return { offset: sumByDepth(generator, terms, `${name}_at`), inside: conjunction(conditions) };
}

const unsigned = (x: Expr): Expr => (x.constant === undefined ? call("u32", x) : atom(`${x.constant >>> 0}u`, 0));

/** The sum of the terms, those that change least often first, so that partial sums are computed outside the loops. */
function sumByDepth(generator: Generator, terms: readonly Expr[], name: string): Expr {
  let sum = literal(0);
  for (const term of [...terms].sort((a, b) => a.depth - b.depth)) {
    if (term.depth > sum.depth && sum.constant === undefined) sum = generator.writer.bindIndex(name, sum);
    sum = sum.plus(term);
  }
  return sum;
}

/** The element at `index` of the tile that a `load` or `view_load` gives. */
export function loadElement(generator: Generator, operation: Operation, index: TileIndex): Expr {
  const { operands } = operation;
  const buffer = generator.bindings.of(generator.roots.of(operands[0]!));
  const { dtype } = buffer.parameter;
  const zero = atom(zeroOf(heldType(operation.results[0]!.type)), 0);
  if (operation.opcode === "view_load") {
    const { offset, inside } = viewAddress(generator, operation, operands.slice(1), index);
    const loaded = quadElement(generator, operation, buffer, index) ?? elementAt(generator, buffer, offset);
    return inside ? call("select", zero, loaded, inside) : loaded;
  }
  const [pointer, mask, other] = operands;
  const loaded =
    quadElement(generator, operation, buffer, index) ??
    elementAt(generator, buffer, generator.elements.of(pointer!, index));
  if (!mask) return loaded;
  const otherwise = other ? generator.elements.of(other, index) : constantZero(generator, dtype);
  return call("select", otherwise, loaded, generator.elements.of(mask, index));
}

const constantZero = (generator: Generator, dtype: DType): Expr =>
  generator.constants.of(dtype === "bool" ? false : dtype === "i64" ? 0n : 0, dtype);

/** The lane's element of four that are loaded at once; undefined where that is not known to be possible. */
function quadElement(generator: Generator, operation: Operation, buffer: Buffer, index: TileIndex): Expr | undefined {
  const { lane } = index;
  if (lane?.axis !== index.at.length - 1 || !isWide(generator, operation)) return undefined;
  if (index.distribution && !holdsNeighbours(index.distribution)) return undefined;
  const { operands, results, opcode } = operation;
  const key = `quad ${generator.elements.idOf(results[0]!)} ${indexKey(lane.base)}`;
  let quad = generator.writer.recall(key);
  if (!quad) {
    const offset =
      opcode === "view_load"
        ? viewAddress(generator, operation, operands.slice(1), lane.base).offset
        : generator.elements.of(operands[0]!, lane.base);
    const floor = Math.max(generator.depthOf(operation), generator.writer.conditionalDepth);
    const vector = atom(`${buffer.name}[${offset.shiftRight(2)}]`, Math.max(offset.depth, floor));
    quad = generator.writer.bind(`${nameOf(results[0]!)}_quad`, vector);
    generator.writer.remember(key, quad);
  }
  return componentOf(quad, buffer.parameter.dtype, lane.offset);
}

/** Element `offset` of four that were loaded together. */
function componentOf(quad: Expr, dtype: DType, offset: number): Expr {
  switch (dtype) {
    case "f16":
      return atom(`unpack2x16float(${quad}.${"xy"[offset >> 1]}).${"xy"[offset & 1]}`, quad.depth);
    case "bf16": {
      const word = `${quad}.${"xy"[offset >> 1]}`;
      return atom(`bitcast<f32>(${offset & 1 ? `${word} & 0xffff0000u` : `${word} << 16u`})`, quad.depth);
    }
    case "i8":
      return atom(`extractBits(bitcast<i32>(${quad}), ${offset * 8}u, 8u)`, quad.depth);
    case "bool":
      return new Expr(`((${quad} >> ${offset * 8}u) & 255u) != 0u`, quad.depth, precedence.relational);
    default:
      return atom(`${quad}.${"xyzw"[offset]}`, quad.depth);
  }
}

/** One element of a buffer, as held. */
export function elementAt(generator: Generator, buffer: Buffer, offset: Expr): Expr {
  const { packing, name, parameter } = buffer;
  const { dtype } = parameter;
  const at = (index: Expr): string => (packing === "atomic" ? `atomicLoad(&${name}[${index}])` : `${name}[${index}]`);
  if (dtype === "f32" || dtype === "i32" || dtype === "u32" || dtype === "i64") {
    if (packing === "quads") {
      const bound = generator.writer.bindIndex("at", offset);
      return atom(`${name}[${bound.shiftRight(2)}][${bound.mask(3)}]`, offset.depth);
    }
    const loaded = atom(at(offset), offset.depth);
    return packing === "atomic" && dtype === "f32" ? call("bitcast<f32>", loaded) : loaded;
  }
  if (packing === "half") return call("f32", atom(at(offset), offset.depth));
  const bound = generator.writer.bindIndex("at", offset);
  const { depth } = bound;
  if (dtype === "i8" || dtype === "bool") {
    const word = at(bound.shiftRight(2));
    const shift = bound.mask(3).times(8);
    return dtype === "i8"
      ? atom(`extractBits(bitcast<i32>(${word}), u32(${shift}), 8u)`, depth)
      : new Expr(`((${word} >> u32(${shift})) & 255u) != 0u`, depth, precedence.relational);
  }
  const word =
    packing === "quads" ? `${name}[${bound.shiftRight(2)}][${bound.shiftRight(1).mask(1)}]` : at(bound.shiftRight(1));
  const half = `${word} >> u32(${bound.mask(1).times(16)})`;
  return dtype === "f16" ? atom(`unpack2x16float(${half}).x`, depth) : atom(`bitcast<f32>((${half}) << 16u)`, depth);
}
