/**
 * @file cast and bitcast. Every cast rounds once; float to integer goes towards zero and saturates, NaN to 0; integer to integer keeps
 * the low bits.
 */
import type { DType } from "../../ir/index.ts";
import {
  type Element,
  elementKey,
  floatImmediate,
  floatValue,
  isConstant,
  isFloatImmediate,
  isInteger,
  operandOf,
  registerOf,
} from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { type IntegerKind, widen } from "./integers.ts";
import { integerToOddFloat } from "./math.ts";
import { isHalf, narrowToHalf, narrowToHalves, shared, Tile, widenHalves } from "./tile.ts";

const signedType: Readonly<Partial<Record<DType, "s32" | "u32" | "s64">>> = {
  i8: "s32",
  i32: "s32",
  u32: "u32",
  i64: "s64",
};

/** `widening`: how an i32 becomes an i64. */
export function castTile(emitter: Emitter, tile: Tile, dtype: DType, widening: "i32" | "u32" = "i32"): Tile {
  const from = dtype === "i64" && tile.kind === "i32" ? widening : (tile.kind as DType);
  if (from === dtype) return tile;
  const source = isHalf(from) ? widenHalves(emitter, tile) : tile.elements(emitter);
  const sourceKind = isHalf(from) ? "f32" : from;
  if (isHalf(dtype) && sourceKind === "f32") return narrowToHalves(emitter, dtype, tile.layout, source);
  return Tile.ofElements(
    dtype,
    tile.layout,
    shared(source, (element) => castElement(emitter, element, sourceKind, dtype)),
  );
}

/** `from` is not f16 or bf16 here. */
function castElement(emitter: Emitter, element: Element, from: DType, to: DType): Element {
  if (from === "bool") return fromBool(emitter, element, to);
  if (to === "bool") return toBool(emitter, element, from);
  if (from === "f32") return to === "f32" ? element : floatToInteger(emitter, element, to);
  if (to === "f32" || isHalf(to)) return integerToFloat(emitter, element, from, to);
  return integerToInteger(emitter, element, from, to);
}

function fromBool(emitter: Emitter, element: Element, to: DType): Element {
  const isFloat = to === "f32" || isHalf(to);
  const [one, zero] = isFloat ? [floatImmediate(1), floatImmediate(0)] : [1, 0];
  if (typeof element === "boolean") return element ? one : zero;
  const condition = registerOf(emitter, element, "bool");
  if (to === "f32") return emitter.op("f32", "selp.f32", one, zero, condition);
  if (isFloat) return emitter.op("b16", "selp.b16", operandOf(emitter, one, to), 0, condition);
  return to === "i64" ? emitter.op("b64", "selp.b64", 1, 0, condition) : emitter.op("b32", "selp.b32", 1, 0, condition);
}

function toBool(emitter: Emitter, element: Element, from: DType): Element {
  if (isInteger(element)) return BigInt(element) !== 0n;
  if (isFloatImmediate(element)) return floatValue(element) !== 0;
  const operand = registerOf(emitter, element, from);
  if (from === "f32") return emitter.op("pred", "setp.neu.f32", operand, floatImmediate(0));
  return emitter.pure("pred", `setp.ne.${signedType[from]}`, [operand, 0]);
}

function floatToInteger(emitter: Emitter, element: Element, to: DType): Element {
  const operand = registerOf(emitter, element, "f32");
  if (to === "i64") {
    // NaN gives the least integer here, unlike in 32 bits.
    const value = emitter.op("b64", "cvt.rzi.s64.f32", operand);
    return emitter.op("b64", "selp.b64", value, 0, emitter.op("pred", "setp.eq.f32", operand, operand));
  }
  if (to === "u32") return emitter.op("b32", "cvt.rzi.u32.f32", operand);
  const value = emitter.op("b32", "cvt.rzi.s32.f32", operand);
  if (to === "i32") return value;
  return emitter.op("b32", "min.s32", emitter.op("b32", "max.s32", value, -128), 127);
}

function integerToFloat(emitter: Emitter, element: Element, from: DType, to: DType): Element {
  const type = signedType[from]!;
  if (isInteger(element) && to === "f32" && Number.isSafeInteger(Number(element)))
    return floatImmediate(Number(element));
  const operand = registerOf(emitter, element, from);
  if (to === "f32") return emitter.op("f32", `cvt.rn.f32.${type}`, operand);
  if (to === "f16") return emitter.op("b16", `cvt.rn.f16.${type}`, operand);
  return narrowToHalf(emitter, integerToOddFloat(emitter, operand, type), "bf16");
}

function integerToInteger(emitter: Emitter, element: Element, from: DType, to: DType): Element {
  if (isInteger(element)) return integerConstant(BigInt(element), to);
  if (to === "i64") return widen(emitter, element, from === "u32" ? "u32" : "i32");
  const narrow = from === "i64" ? lowWord(emitter, element) : element;
  return to === "i8" && from !== "i8" ? wrapByte(emitter, narrow) : narrow;
}

function integerConstant(value: bigint, to: DType): number | bigint {
  if (to === "i64") return value;
  if (to === "u32") return Number(BigInt.asUintN(32, value));
  return Number(BigInt.asIntN(to === "i8" ? 8 : 32, value));
}

function lowWord(emitter: Emitter, element: Element): Element {
  const register = registerOf(emitter, element, "i64");
  return emitter.pure("b32", "cvt.u32.u64", [register], register.divisor);
}

/** The low byte of an i32, sign-extended: how an i8 is held. */
export function wrapByte(emitter: Emitter, element: Element): Element {
  if (isInteger(element)) return Number(BigInt.asIntN(8, BigInt(element)));
  return emitter.pure("b32", "bfe.s32", [registerOf(emitter, element, "i32"), 0, 8]);
}

/** The same bits as another dtype of the same size. */
export function bitcastTile(emitter: Emitter, tile: Tile, dtype: DType): Tile {
  const from = tile.kind as DType;
  if (from === dtype) return tile;
  if (isHalf(dtype)) {
    if (tile.packed) return Tile.ofWords(dtype, tile.layout, tile.words(emitter));
    const elements = shared(tile.elements(emitter), (element) => registerOf(emitter, element, from));
    return Tile.ofElements(dtype, tile.layout, elements);
  }
  const elements = shared(tile.elements(emitter), (element) => {
    if (!isConstant(element)) return registerOf(emitter, element, from);
    const bits = isFloatImmediate(element) ? element.bits : Number(BigInt.asUintN(32, BigInt(element as number)));
    if (dtype === "f32") return { kind: "float", bits } as const;
    return dtype === "i32" ? bits | 0 : bits;
  });
  return Tile.ofElements(dtype, tile.layout, elements);
}

/** x, known to be a multiple of `divisor`. */
export function multipleOf(emitter: Emitter, tile: Tile, divisor: number): Tile {
  const power = divisor & -divisor;
  const views = new Map<string | number, Element>();
  const elements = tile.elements(emitter).map((element) => {
    if (isConstant(element)) return element;
    const key = elementKey(element);
    let known = views.get(key);
    if (!known) {
      const register = registerOf(emitter, element, tile.kind as IntegerKind);
      known = emitter.view(register, { divisor: Math.max(register.divisor, power) });
      views.set(key, known);
    }
    return known;
  });
  return Tile.ofElements(tile.kind, tile.layout, elements);
}
