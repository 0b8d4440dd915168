/**
 * @file reduce: first within each thread, then among the lanes that share a row by butterfly shuffles (integers of a whole warp by redux), then
 * across warps through shared memory (the plan is the layout's: src/layout/reduction.ts). Every thread ends with the same bits.
 *
 * argmax and argmin are a maximum of 64-bit keys: the value, in an order of integers, above the complement of its index.
 */
import type { DType, Operation, ReduceKind } from "../../ir/index.ts";
import { LANE, LinearLayout, planReduction, REGISTER, type ReductionPlan, tileDims, WARP } from "../../layout/index.ts";
import { type Combine, type CombineKind, combineAll, combiner, PARALLEL } from "./combine.ts";
import { coordinatesAlong, threadBitsClear } from "./coordinates.ts";
import { type Element, floatImmediate, isFloatImmediate, registerOf } from "./element.ts";
import { mapElements } from "./elementwise.ts";
import type { Emitter } from "./emitter.ts";
import { fromWords, shuffleElement, toWords } from "./exchange.ts";
import type { Register } from "./instruction.ts";
import type { Lowering } from "./lowering.ts";
import { convertThroughShared } from "./shared.ts";
import { Tile } from "./tile.ts";

export function lowerReduce(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  const tile = lowering.tile(operation.operands[0]!);
  const axis = operation.attributes.axis as number;
  const kind = operation.attributes.kind as ReduceKind;
  if (kind !== "argmax" && kind !== "argmin") {
    const reduced = lowering.partial.has(operation)
      ? ownPart(emitter, tile, axis, kind)
      : reduceTile(emitter, tile, axis, kind);
    lowering.reduced = { tile: reduced, scope: emitter.scope };
    return reduced;
  }
  if (tile.kind === "i64") return longArgument(emitter, tile, axis, kind);
  const keys = argumentKeys(emitter, tile, axis, kind === "argmin");
  const best = reduceTile(emitter, keys, axis, "max");
  const indices = best.elements(emitter).map((key) => {
    const word = emitter.op("b32", "cvt.u32.u64", registerOf(emitter, key, "i64"));
    return emitter.op("b32", "not.b32", word);
  });
  return Tile.ofElements("i32", best.layout, indices);
}

export function reduceTile(emitter: Emitter, tile: Tile, axis: number, kind: CombineKind): Tile {
  return combineParts(emitter, ownPart(emitter, tile, axis, kind), planReduction(tile.layout!, axis), kind);
}

/** What each thread can say of its own elements, as a tile of the reduced shape. */
function ownPart(emitter: Emitter, tile: Tile, axis: number, kind: CombineKind): Tile {
  const dtype = tile.kind as DType;
  const layout = tile.layout!;
  const plan = planReduction(layout, axis);
  const combine = combiner(emitter, kind, dtype);
  const source = tile.elements(emitter);
  // Results are chains beside each other.
  const chains = Math.max(1, Math.ceil(PARALLEL / plan.accumulate.length));
  let elements = plan.accumulate.map((registers) =>
    combineAll(
      registers.map((register) => source[register]!),
      combine,
      chains,
    ),
  );
  for (const step of plan.inThread) elements = elements.map((own, r) => combine(own, elements[r ^ step[REGISTER]!]!));
  return Tile.ofElements(dtype, layout.outs.length === 1 ? undefined : plan.result, elements);
}

/** Combines the parts of all threads that have one. */
export function combineParts(emitter: Emitter, parts: Tile, plan: ReductionPlan, kind: CombineKind): Tile {
  const dtype = parts.kind as DType;
  const combine = combiner(emitter, kind, dtype);
  let elements = [...parts.elements(emitter)];
  const atOnce = isWholeWarp(emitter, plan) && warpReduction(emitter, kind, dtype);
  if (atOnce) elements = elements.map(atOnce);
  else
    for (const step of plan.inWarp)
      elements = elements.map((own, r) => {
        const partner = elements[r ^ (step[REGISTER] ?? 0)]!;
        return combine(own, shuffleElement(emitter, "bfly", partner, dtype, step[LANE] ?? 0));
      });
  if (plan.acrossWarps.length > 0) elements = acrossWarps(emitter, dtype, plan, elements, combine);
  return Tile.ofElements(dtype, parts.layout, elements);
}

/** Whether all lanes of a warp have a part of each row, in the same register. */
const isWholeWarp = ({ target }: Emitter, { inWarp }: ReductionPlan): boolean =>
  2 ** inWarp.length === target.warpSize && inWarp.every((step) => !step[REGISTER]);

/** What combines an integer of all lanes of a warp in an instruction or a few; undefined where there is no such thing. */
function warpReduction(emitter: Emitter, kind: CombineKind, dtype: DType): ((own: Element) => Element) | undefined {
  const redux = (operation: string, own: Register): Register => emitter.op("b32", `redux.sync.${operation}`, own, -1);
  const bitwise = kind === "and" || kind === "or" || kind === "xor";
  const extreme = kind === "max" || kind === "min";
  if (dtype === "bool")
    return (own) => {
      const bit = emitter.op("b32", "selp.b32", 1, 0, registerOf(emitter, own, "bool"));
      return emitter.op("pred", "setp.ne.s32", redux(`${kind}.b32`, bit), 0);
    };
  if (dtype === "i64" && extreme)
    return (own) => {
      const [low, high] = toWords(emitter, own, "i64");
      const best = redux(`${kind}.s32`, high!);
      // Where the upper words are equal, the lower ones decide.
      const inPlay = emitter.op("pred", "setp.eq.s32", high!, best);
      const other = kind === "max" ? 0 : 0xffffffff;
      return fromWords(
        emitter,
        [redux(`${kind}.u32`, emitter.op("b32", "selp.b32", low!, other, inPlay)), best],
        "i64",
      );
    };
  if (dtype === "i64" || dtype === "f32" || !(bitwise || extreme || kind === "sum")) return undefined;
  const operation = bitwise ? `${kind}.b32` : `${kind === "sum" ? "add" : kind}.${dtype === "u32" ? "u32" : "s32"}`;
  return (own) => redux(operation, registerOf(emitter, own, dtype));
}

/** The value as parts: one thread of those that have a part of it holds it, the others 0. */
export function asPart(emitter: Emitter, tile: Tile, { inWarp, acrossWarps }: ReductionPlan): Tile {
  const lanes = inWarp.reduce((bits, step) => bits | (step[LANE] ?? 0), 0);
  const warps = acrossWarps.reduce((bits, step) => bits | (step[WARP] ?? 0), 0);
  const owner = threadBitsClear(emitter, lanes | (warps * emitter.target.warpSize));
  const zero = floatImmediate(0);
  const elements = mapElements(emitter, [tile.elements(emitter)], (_, [element]) =>
    (isFloatImmediate(element) && element.bits === 0) || !owner
      ? element!
      : emitter.op("f32", "selp.f32", registerOf(emitter, element!, "f32"), zero, owner.predicate),
  );
  return Tile.ofElements(tile.kind, tile.layout, elements);
}

/**
 * The parts of a row that different warps hold become a tile with one more axis; every thread reads all parts of its rows from shared memory
 * and combines them, all in the same order.
 */
function acrossWarps(
  emitter: Emitter,
  dtype: DType,
  { result, acrossWarps: steps }: ReductionPlan,
  elements: readonly Element[],
  combine: Combine,
): Element[] {
  const bits = steps.length;
  const parts = 1 << bits;
  const outs = tileDims([...result.shape, parts]);
  const columns = result.columns.map((column) => column << bits);
  const warps = columns.length - result.bitsOf(WARP);
  steps.forEach((step, i) => {
    // The highest warp bit of a step is in no earlier step.
    columns[warps + (31 - Math.clz32(step[WARP]!))]! |= 1 << i;
  });
  const held = new LinearLayout(result.ins, outs, columns);
  const wanted = new LinearLayout(
    result.ins.map((dim) => (dim.name === REGISTER ? { ...dim, bits: dim.bits + bits } : dim)),
    outs,
    [...Array.from({ length: bits }, (_, i) => 1 << i), ...result.columns.map((column) => column << bits)],
  );
  const all = convertThroughShared(emitter, Tile.ofElements(dtype, held, elements), wanted).elements(emitter);
  return elements.map((_, r) => combineAll(all.slice(r * parts, (r + 1) * parts), combine));
}

/** For each element a 64-bit key: larger for a better value, then for a smaller index. */
function argumentKeys(emitter: Emitter, tile: Tile, axis: number, least: boolean): Tile {
  const dtype = tile.kind as DType;
  const indices = coordinatesAlong(emitter, tile.layout!, axis);
  const keys = mapElements(emitter, [tile.elements(emitter), indices], (_, [value, index]) => {
    const order = orderKey(emitter, registerOf(emitter, value!, dtype), dtype, least);
    const complement = emitter.pure("b32", "not.b32", [registerOf(emitter, index!, "i32")]);
    return emitter.op("b64", "mov.b64", { kind: "vector", elements: [complement, order] });
  });
  return Tile.ofElements("i64", tile.layout, keys);
}

/** A signed integer that orders as the value does (backwards for `least`); NaN is worse than everything. */
function orderKey(emitter: Emitter, value: Register, dtype: DType, least: boolean): Register {
  const b = (opcode: string, ...sources: Parameters<Emitter["op"]>[2][]): Register =>
    emitter.op("b32", opcode, ...sources);
  let key = value;
  if (dtype === "u32") key = b("xor.b32", value, 0x80000000);
  if (dtype === "f32") {
    // -0 becomes +0; the magnitude of a negative number counts backwards.
    const bits = emitter.op("f32", "add.rn.f32", value, floatImmediate(0));
    const flip = b("and.b32", b("shr.s32", bits, 31), 0x7fffffff);
    key = b("xor.b32", bits, flip);
  }
  if (least) key = b("not.b32", key);
  if (dtype !== "f32") return key;
  return b("selp.b32", key, 0x80000000, emitter.op("pred", "setp.eq.f32", value, value));
}

/** Values of 64 bits leave no room for the index: the extreme first, then the least index that has it. */
function longArgument(emitter: Emitter, tile: Tile, axis: number, kind: "argmax" | "argmin"): Tile {
  const extreme = reduceTile(emitter, tile, axis, kind === "argmax" ? "max" : "min");
  const indices = coordinatesAlong(emitter, tile.layout!, axis);
  const { accumulate } = planReduction(tile.layout!, axis);
  const owner: number[] = [];
  accumulate.forEach((registers, result) => {
    for (const register of registers) owner[register] = result;
  });
  const best = extreme.elements(emitter);
  const candidates = tile.elements(emitter).map((value, register) => {
    // Copies have no owner; they are not combined.
    if (owner[register] === undefined) return 0x7fffffff;
    const same = emitter.op(
      "pred",
      "setp.eq.s64",
      registerOf(emitter, value, "i64"),
      registerOf(emitter, best[owner[register]]!, "i64"),
    );
    return emitter.op("b32", "selp.b32", registerOf(emitter, indices[register]!, "i32"), 0x7fffffff, same);
  });
  return reduceTile(emitter, Tile.ofElements("i32", tile.layout, candidates), axis, "min");
}
