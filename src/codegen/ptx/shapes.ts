/**
 * @file Operations that make tiles of constants or move elements without changing them. None moves a value between threads by itself: the
 * operand is brought to the layout from which the result arises register by register.
 */
import { type Attribute, type DType, elementCount, type Operation, shapeOf } from "../../ir/index.ts";
import {
  LinearLayout,
  layoutOfJoin,
  REGISTER,
  registersOfBroadcast,
  sourceOfBroadcast,
  sourceOfExpandDims,
  sourceOfReshape,
  sourceOfTranspose,
  splitBit,
} from "../../layout/index.ts";
import { convertTile } from "./convert.ts";
import { coordinatesAlong } from "./coordinates.ts";
import { type Element, type ElementKind, floatImmediate } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { symbol } from "./instruction.ts";
import { addIntegers } from "./integers.ts";
import type { Lowering } from "./lowering.ts";
import { narrowToHalf, Tile } from "./tile.ts";

const registersOf = (layout: LinearLayout | undefined): number => layout?.sizeOf(REGISTER) ?? 1;
const kindOf = (type: { kind: string; dtype: DType }): ElementKind =>
  type.kind === "pointer" ? "pointer" : type.dtype;

function filled(kind: ElementKind, layout: LinearLayout | undefined, element: Element): Tile {
  return Tile.ofElements(kind, layout, new Array<Element>(registersOf(layout)).fill(element));
}

export function lowerConstant(lowering: Lowering, operation: Operation): Tile {
  const { value, dtype } = operation.attributes as { value: Attribute; dtype: DType };
  const layout = lowering.layoutOf(operation.results[0]!);
  return filled(dtype, layout, constantElement(lowering.emitter, value as number | bigint | boolean, dtype));
}

function constantElement(emitter: Emitter, value: number | bigint | boolean, dtype: DType): Element {
  if (dtype === "f32") return floatImmediate(value as number);
  if (dtype === "f16" || dtype === "bf16") return narrowToHalf(emitter, floatImmediate(value as number), dtype);
  if (typeof value === "bigint" && value >= -(2n ** 53n) && value <= 2n ** 53n) return Number(value);
  return value;
}

export function lowerGrid(lowering: Lowering, operation: Operation): Tile {
  const axis = "xyz"[operation.attributes.axis as number]!;
  const register = operation.opcode === "program_id" ? "%ctaid" : "%nctaid";
  return Tile.ofElements("i32", undefined, [lowering.emitter.pure("b32", "mov.u32", [symbol(`${register}.${axis}`)])]);
}

export function lowerArange(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  const layout = lowering.layoutOf(operation.results[0]!)!;
  const start = operation.attributes.start as number;
  const elements = coordinatesAlong(emitter, layout, 0).map((at) => addIntegers(emitter, at, start, "i32"));
  return Tile.ofElements("i32", layout, elements);
}

export function lowerShape(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  const { opcode, operands, results, attributes } = operation;
  const result = results[0]!;
  const layout = lowering.layoutOf(result);
  const source = lowering.tile(operands[0]!);
  const from = shapeOf(operands[0]!.type);
  const kind = kindOf(result.type);
  if (opcode === "splat" || !source.layout) return filled(kind, layout, source.scalar(emitter));
  if (!layout) return firstElement(lowering, source);
  switch (opcode) {
    case "broadcast": {
      const tile = convertTile(emitter, source, sourceOfBroadcast(layout, from));
      return tile.select(emitter, layout, registersOfBroadcast(layout, from));
    }
    case "expand_dims":
      return relabel(
        emitter,
        convertTile(emitter, source, sourceOfExpandDims(layout, attributes.axis as number)),
        layout,
      );
    case "reshape":
      return relabel(emitter, convertTile(emitter, source, sourceOfReshape(layout, from)), layout);
    case "trans":
      return relabel(
        emitter,
        convertTile(emitter, source, sourceOfTranspose(layout, attributes.permutation as number[])),
        layout,
      );
    default:
      throw new Error(`${opcode} is not a change of shape`);
  }
}

const everyRegister = (layout: LinearLayout): number[] => Array.from({ length: registersOf(layout) }, (_, i) => i);
const relabel = (emitter: Emitter, tile: Tile, layout: LinearLayout): Tile =>
  tile.select(emitter, layout, everyRegister(layout));

/** A tile of one element, reshaped to a scalar: every thread holds it. */
function firstElement(lowering: Lowering, source: Tile): Tile {
  if (elementCount(source.layout!.shape) !== 1) throw new Error("only a tile of one element is a scalar");
  return Tile.ofElements(source.kind, undefined, [source.scalar(lowering.emitter)]);
}

export function lowerJoin(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  const [a, b] = operation.operands.map((value) => lowering.tile(value));
  const elements = [a!.elements(emitter), b!.elements(emitter)];
  const count = elements[0]!.length;
  // Scalars are joined to a tile of two elements that every thread holds.
  const own = a!.layout ? layoutOfJoin(a!.layout) : undefined;
  const joined = Array.from({ length: 2 * count }, (_, i) => elements[i % 2]![i >> 1]!);
  const layout = lowering.layoutOf(operation.results[0]!)!;
  if (own) return convertTile(emitter, Tile.ofElements(a!.kind, own, joined), layout);
  return convertTile(emitter, Tile.ofElements(a!.kind, pairEverywhere(layout), joined), layout);
}

export function lowerSplit(lowering: Lowering, operation: Operation): Tile[] {
  const { emitter } = lowering;
  let source = lowering.tile(operation.operands[0]!);
  const half = lowering.layoutOf(operation.results[0]!);
  let bit = splitBit(source.layout!);
  if (bit === undefined) {
    const wanted = half ? layoutOfJoin(half) : pairEverywhere(source.layout!);
    source = convertTile(emitter, source, wanted);
    bit = splitBit(wanted)!;
  }
  const chosen = bit;
  const elements = source.elements(emitter);
  const own = half && source.layout!.removeInBits(REGISTER, 1 << chosen);
  const layout = own?.mapColumns(half!.outs, (column) => column >> 1);
  return [0, 1].map((which) => {
    const kept = elements.filter((_, register) => ((register >> chosen) & 1) === which);
    return Tile.ofElements(source.kind, layout, layout ? kept : kept.slice(0, 1));
  });
}

/** Both elements of a tile [2] in two registers of every thread. */
function pairEverywhere(layout: LinearLayout): LinearLayout {
  const ins = layout.ins.map((dim) => (dim.name === REGISTER ? { ...dim, bits: 1 } : dim));
  const threads = layout.columns.length - layout.bitsOf(REGISTER);
  return new LinearLayout(ins, layout.outs, [1, ...new Array<number>(threads).fill(0)]);
}
