/**
 * @file scan: the axis is brought into an order in which each thread holds a run of it and the lanes follow each other. Then: scan the
 * run, scan the runs' totals over the lanes by shuffles, and add what comes before to each element of the run.
 */
import type { DType, Operation, ScanKind } from "../../ir/index.ts";
import { blocked, type LinearLayout, registerParts, unpackCoordinates } from "../../layout/index.ts";
import { combiner } from "./combine.ts";
import { convertTile } from "./convert.ts";
import { threadIndex } from "./coordinates.ts";
import { type Element, registerClassOf, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { shuffleElement } from "./exchange.ts";
import type { Lowering } from "./lowering.ts";
import { Tile } from "./tile.ts";

/** The axis within a warp: runs in registers, then lanes; the other axes over the rest. */
export function scanLayout(shape: readonly number[], axis: number, numWarps: number, warpSize: number): LinearLayout {
  const others = shape
    .map((_, i) => i)
    .filter((i) => i !== axis)
    .reverse();
  const sizePerThread = shape.map((extent, i) => (i === axis ? Math.max(1, extent / warpSize) : 1));
  const threadsPerWarp = shape.map((extent, i) => (i === axis ? Math.min(extent, warpSize) : 1));
  const warpsPerCta = shape.map(() => 1);
  let lanes = warpSize / threadsPerWarp[axis]!;
  let warps = numWarps;
  for (const other of others) {
    threadsPerWarp[other] = Math.min(lanes, shape[other]!);
    lanes /= threadsPerWarp[other]!;
    warpsPerCta[other] = Math.min(warps, shape[other]! / threadsPerWarp[other]!);
    warps /= warpsPerCta[other]!;
  }
  // What is left over holds copies.
  const last = others.at(-1) ?? axis;
  threadsPerWarp[last]! *= lanes;
  warpsPerCta[last]! *= warps;
  return blocked({ shape, sizePerThread, threadsPerWarp, warpsPerCta, order: [axis, ...others] });
}

export function lowerScan(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  const source = lowering.tile(operation.operands[0]!);
  const { axis, kind, reverse } = operation.attributes as { axis: number; kind: ScanKind; reverse: boolean };
  const { shape } = source.layout!;
  const { warpSize } = emitter.target;
  const layout = scanLayout(shape, axis, emitter.numWarps, warpSize);
  const tile = convertTile(emitter, source, layout);
  const dtype = tile.kind as DType;
  const combine = combiner(emitter, kind, dtype);
  const elements = [...tile.elements(emitter)];
  const lanes = Math.min(shape[axis]!, warpSize);

  for (const run of runsAlong(layout, axis)) {
    const order = reverse ? [...run].reverse() : run;
    for (let i = 1; i < order.length; i++)
      elements[order[i]!] = combine(elements[order[i - 1]!]!, elements[order[i]!]!);
    if (lanes === 1) continue;
    const before = totalBefore(emitter, elements[order.at(-1)!]!, dtype, combine, lanes, reverse);
    for (const register of order) elements[register] = before(elements[register]!);
  }
  return Tile.ofElements(dtype, layout, elements);
}

/** The registers of each line of the thread, along the axis. */
function runsAlong(layout: LinearLayout, axis: number): number[][] {
  const lines = new Map<string, { register: number; at: number }[]>();
  registerParts(layout).forEach((part, register) => {
    const coordinates = unpackCoordinates(layout.outs, part);
    const at = coordinates[axis]!;
    coordinates[axis] = 0;
    const key = coordinates.join();
    const line = lines.get(key);
    if (line) line.push({ register, at });
    else lines.set(key, [{ register, at }]);
  });
  return [...lines.values()].map((line) => line.sort((a, b) => a.at - b.at).map(({ register }) => register));
}

/**
 * Scans the runs' totals over groups of `lanes` lanes and gives a function that puts what comes before the own run in front of an element
 * (which leaves it as it is in the first lane).
 */
function totalBefore(
  emitter: Emitter,
  own: Element,
  dtype: DType,
  combine: (a: Element, b: Element) => Element,
  lanes: number,
  reverse: boolean,
): (element: Element) => Element {
  const registerClass = registerClassOf[dtype];
  const type = registerClass === "f32" ? "f32" : registerClass;
  const position = emitter.pure("b32", "and.b32", [threadIndex(emitter), lanes - 1]);
  const mode = reverse ? "down" : "up";
  /** Whether the lane at `distance` before exists, and its value. */
  const earlier = (value: Element, distance: number) => {
    const exists = reverse
      ? emitter.pure("pred", "setp.lt.s32", [position, lanes - distance])
      : emitter.pure("pred", "setp.ge.s32", [position, distance]);
    return { exists, value: shuffleElement(emitter, mode, value, dtype, distance) };
  };
  let total = own;
  for (let distance = 1; distance < lanes; distance *= 2) {
    const { exists, value } = earlier(total, distance);
    const both = registerOf(emitter, combine(value, total), dtype);
    total = emitter.op(registerClass, `selp.${type}`, both, registerOf(emitter, total, dtype), exists);
  }
  const { exists, value } = earlier(total, 1);
  return (element) => {
    const both = registerOf(emitter, combine(value, element), dtype);
    return emitter.op(registerClass, `selp.${type}`, both, registerOf(emitter, element, dtype), exists);
  };
}
