/**
 * @file How an op that only moves or drops elements changes the layout of a tile, in both directions. Forward (`layoutOf...`):
 * the layout of the result when no value leaves its thread. Backward (`sourceOf...`): the layout of the source from which a wanted
 * layout of the result arises without moves; undefined where there is none.
 */
import { axisName, LANE, type LayoutDim, layoutError, REGISTER, tileDims } from "./dims.ts";
import { applyColumns } from "./gf2.ts";
import { LinearLayout } from "./linear-layout.ts";

// Reductions

/**
 * The result of a reduction along `axis`, once every thread that holds part of a row holds the row's result: the axis is dropped.
 * The lanes and warps that shared a row become copies (basis 0); registers that did are one.
 */
export function layoutOfReduce(layout: LinearLayout, axis: number): LinearLayout {
  return dropAxis(layout, axis).removeZeroBases(REGISTER);
}

/**
 * The register of `layoutOfReduce(layout, axis)` into which each register of `layout` is reduced: a list indexed by register.
 */
export function registersOfReduce(layout: LinearLayout, axis: number): number[] {
  const dropped = dropAxis(layout, axis);
  let next = 0;
  const columns = dropped.basesOf(REGISTER).map((basis) => (basis === 0 ? 0 : 1 << next++));
  return Array.from({ length: layout.sizeOf(REGISTER) }, (_, register) => applyColumns(columns, register));
}

/**
 * A source of shape `sourceShape` whose reduction along `axis` has layout `result`: the axis is spread over the lanes, then the
 * warps, that hold nothing but copies in `result`, then over new registers.
 */
export function sourceOfReduce(result: LinearLayout, axis: number, sourceShape: readonly number[]): LinearLayout {
  const outs = tileDims(sourceShape);
  const grown = insertAxis(result, axis, outs);
  const unit = 1 << shiftOfAxis(outs, axis);
  const bits = outs[axis].bits;
  let placed = 0;
  const columns = grown.columns.map((column) => (column === 0 && placed < bits ? unit << placed++ : column));
  const rest = Array.from({ length: bits - placed }, (_, i) => unit << (placed + i));
  return withRegisters(new LinearLayout(grown.ins, outs, columns), rest, "above");
}

// Changes of rank

/** A new axis of extent 1 at `axis`. */
export function layoutOfExpandDims(layout: LinearLayout, axis: number): LinearLayout {
  return layout.reshapeOuts(tileDims(layout.shape.toSpliced(axis, 0, 1)));
}

/** The inverse of `layoutOfExpandDims`. */
export function sourceOfExpandDims(result: LinearLayout, axis: number): LinearLayout {
  if (result.shape[axis] !== 1)
    throw layoutError(
      "LAYOUT_SIZE",
      `axis ${axis} of [${result.shape}] was not made by expandDims: its extent is not 1`,
    );
  return result.reshapeOuts(tileDims(result.shape.toSpliced(axis, 1)));
}

/** A row-major reshape: no value moves, whatever the layout. */
export function layoutOfReshape(layout: LinearLayout, newShape: readonly number[]): LinearLayout {
  return layout.reshapeOuts(tileDims(newShape));
}

/** The inverse of `layoutOfReshape`. */
export function sourceOfReshape(result: LinearLayout, sourceShape: readonly number[]): LinearLayout {
  return result.reshapeOuts(tileDims(sourceShape));
}

/** Axis `i` of the result is axis `permutation[i]` of the source. */
export function layoutOfTranspose(layout: LinearLayout, permutation: readonly number[]): LinearLayout {
  if (permutation.length !== layout.outs.length || new Set(permutation).size !== permutation.length)
    throw layoutError("LAYOUT_ORDER", `[${permutation}] does not permute the axes of [${layout.shape}]`);
  const moved = layout.transposeOuts(permutation.map((axis) => layout.outs[axis].name));
  return moved.reshapeOuts(tileDims(moved.shape));
}

/** The inverse of `layoutOfTranspose`. */
export function sourceOfTranspose(result: LinearLayout, permutation: readonly number[]): LinearLayout {
  const inverse = permutation.map((_, axis) => permutation.indexOf(axis));
  return layoutOfTranspose(result, inverse);
}

// Broadcasts

/** Axes of extent 1 grow to `newShape` (of the same rank): each thread repeats its values in new registers. */
export function layoutOfBroadcast(layout: LinearLayout, newShape: readonly number[]): LinearLayout {
  const outs = tileDims(newShape);
  checkBroadcast(layout.shape, newShape);
  const repack = growColumns(layout.outs, outs);
  const grown = layout.mapColumns(outs, (column) => applyColumns(repack, column));
  const added: number[] = [];
  for (let axis = newShape.length - 1; axis >= 0; axis--)
    if (layout.outs[axis].bits === 0)
      for (let bit = 0; bit < outs[axis].bits; bit++) added.push(1 << (shiftOfAxis(outs, axis) + bit));
  return withRegisters(grown, added, "above");
}

/** The source of shape `sourceShape` whose broadcast has layout `result`: every thread needs one value for all that it repeats. */
export function sourceOfBroadcast(result: LinearLayout, sourceShape: readonly number[]): LinearLayout {
  checkBroadcast(sourceShape, result.shape);
  const outs = tileDims(sourceShape);
  const shrink = new Array<number>(result.outBits).fill(0);
  growColumns(outs, result.outs).forEach((place, bit) => {
    shrink[31 - Math.clz32(place)] = 1 << bit;
  });
  return result.mapColumns(outs, (column) => applyColumns(shrink, column)).removeZeroBases(REGISTER);
}

/** For each register of `result` the register of `sourceOfBroadcast(result, sourceShape)` that holds its value. */
export function registersOfBroadcast(result: LinearLayout, sourceShape: readonly number[]): number[] {
  const outs = tileDims(sourceShape);
  const kept = growColumns(outs, result.outs).reduce((mask, place) => mask | place, 0);
  let next = 0;
  const columns = result.basesOf(REGISTER).map((basis) => ((basis & kept) === 0 ? 0 : 1 << next++));
  return Array.from({ length: result.sizeOf(REGISTER) }, (_, register) => applyColumns(columns, register));
}

// Join and split along a new last axis

/** `join(a, b)`: a new last axis of extent 2, in the lowest register bit: registers 2i and 2i+1 hold a's and b's register i. */
export function layoutOfJoin(layout: LinearLayout): LinearLayout {
  const outs = tileDims([...layout.shape, 2]);
  const grown = layout.mapColumns(outs, (column) => column << 1);
  return withRegisters(grown, [1], "below");
}

/**
 * Both halves of a split along the last axis of extent 2; undefined where a thread does not hold both halves of what it holds
 * (the axis is not a register bit of its own), and the source must be converted first.
 */
export function layoutOfSplit(layout: LinearLayout): LinearLayout | undefined {
  const bit = splitBit(layout);
  if (bit === undefined) return undefined;
  const outs = tileDims(layout.shape.slice(0, -1));
  return layout.removeInBits(REGISTER, 1 << bit).mapColumns(outs, (column) => column >> 1);
}

/**
 * Both halves of a split where lanes hold the halves, after lanes and registers have been exchanged: the lane bit that told the halves apart then
 * stands for the highest register bit, or for copies where there is none. The exchange stays within a warp. Undefined where the axis is no
 * lane bit of its own.
 */
export function layoutOfSplitLanes(layout: LinearLayout): LinearLayout | undefined {
  const bit = layout.basesOf(LANE).indexOf(1);
  const touching = layout.columns.filter((column) => (column & 1) === 1).length;
  if (bit < 0 || touching !== 1) return undefined;
  const registers = layout.bitsOf(REGISTER);
  const ins = layout.ins.map((dim) => (dim.name === REGISTER ? { ...dim, bits: Math.max(0, dim.bits - 1) } : dim));
  const columns = [...layout.columns];
  columns[registers + bit] = registers > 0 ? columns[registers - 1]! : 0;
  if (registers > 0) columns.splice(registers - 1, 1);
  return new LinearLayout(
    ins,
    tileDims(layout.shape.slice(0, -1)),
    columns.map((column) => column >> 1),
  );
}

/** The register bit that tells the halves of a split apart: registers with it clear are the first half. */
export function splitBit(layout: LinearLayout): number | undefined {
  if (layout.shape.at(-1) !== 2)
    throw layoutError("LAYOUT_SIZE", `split needs a last axis of extent 2: [${layout.shape}]`);
  const bit = layout.basesOf(REGISTER).indexOf(1);
  const touching = layout.columns.filter((column) => (column & 1) === 1).length;
  return bit >= 0 && touching === 1 ? bit : undefined;
}

/** The layout of both operands of a join with layout `result`; undefined where the new axis is not a register bit. */
export const sourceOfJoin = layoutOfSplit;

/** A source of a split whose halves have layout `result`. */
export const sourceOfSplit = layoutOfJoin;

// Helpers

/** Forgets an axis: the remaining axes are numbered anew, what differed in the axis alone becomes a copy. */
function dropAxis(layout: LinearLayout, axis: number): LinearLayout {
  if (!(axis in layout.outs)) throw layoutError("LAYOUT_UNKNOWN_DIM", `no axis ${axis} in a tile [${layout.shape}]`);
  const names = layout.outs.map(({ name }) => name).toSpliced(axis, 1);
  const inputs = layout.ins.map(({ name }) => name);
  const dropped = layout.sublayout(inputs, names);
  return dropped.reshapeOuts(tileDims(dropped.shape));
}

/** The layout as it is, of a tile that has one more axis, on which it is at 0. */
function insertAxis(layout: LinearLayout, axis: number, outs: readonly LayoutDim[]): LinearLayout {
  const expanded = layoutOfExpandDims(layout, axis);
  const repack = growColumns(expanded.outs, outs);
  return expanded.mapColumns(outs, (column) => applyColumns(repack, column));
}

/** The places that the bits of `small` take in `large`, which has the same axes, some of them larger. */
function growColumns(small: readonly LayoutDim[], large: readonly LayoutDim[]): number[] {
  const columns: number[] = [];
  for (let axis = small.length - 1; axis >= 0; axis--) {
    if (small[axis].bits > large[axis].bits)
      throw layoutError(
        "LAYOUT_SIZE",
        `${axisName(axis)} shrinks from ${1 << small[axis].bits} to ${1 << large[axis].bits}`,
      );
    for (let bit = 0; bit < small[axis].bits; bit++) columns.push(1 << (shiftOfAxis(large, axis) + bit));
  }
  return columns;
}

function checkBroadcast(from: readonly number[], to: readonly number[]): void {
  if (from.length !== to.length || from.some((extent, axis) => extent !== 1 && extent !== to[axis]))
    throw layoutError("LAYOUT_SIZE", `[${from}] cannot be broadcast to [${to}]: expand the rank first`);
}

function shiftOfAxis(outs: readonly LayoutDim[], axis: number): number {
  return outs.slice(axis + 1).reduce((shift, dim) => shift + dim.bits, 0);
}

/** More register bits with the given packed bases, above or below those that are there. */
function withRegisters(layout: LinearLayout, bases: readonly number[], where: "above" | "below"): LinearLayout {
  const index = layout.ins.findIndex((dim) => dim.name === REGISTER);
  if (index !== layout.ins.length - 1)
    throw layoutError("LAYOUT_ORDER", `the registers must be the fastest input dimension of\n${layout}`);
  const bits = layout.ins[index].bits;
  const columns = layout.columns.toSpliced(where === "above" ? bits : 0, 0, ...bases);
  return new LinearLayout(layout.ins.with(index, { name: REGISTER, bits: bits + bases.length }), layout.outs, columns);
}
