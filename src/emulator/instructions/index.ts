/**
 * @file `instructions`: every opcode that the emulator executes, by family. Where one opcode has several number types, the type at the
 * end of its name decides.
 */
import { asyncCopy } from "../memory/async-copy.ts";
import { atomic } from "../memory/atomic.ts";
import { load, store } from "../memory/load-store.ts";
import { loadMatrix, moveMatrix } from "../memory/matrix.ts";
import type { Decoder } from "../translate/decoder.ts";
import * as bits from "./bits.ts";
import { call } from "./calls.ts";
import * as compare from "./compare.ts";
import { convert } from "./convert.ts";
import * as float16 from "./float16.ts";
import * as float32 from "./float32.ts";
import { float64Arithmetic } from "./float64.ts";
import * as integer from "./integer.ts";
import { carryArithmetic } from "./integer64.ts";
import { matrixMultiply } from "./mma.ts";
import { convertAddress, isInSpace, move } from "./move.ts";
import * as synchronise from "./synchronise.ts";
import type { Family, Translator } from "./table.ts";
import * as warpWide from "./warp-wide.ts";

interface ByType {
  readonly integers?: Translator;
  readonly f16?: Translator;
  readonly f32?: Translator;
  readonly f64?: Translator;
}

/** Chooses by the last modifier. */
const byType =
  ({ integers, f16, f32, f64 }: ByType): Translator =>
  (decoder: Decoder) => {
    const last = decoder.instruction.modifiers.at(-1) ?? "";
    const chosen = last === "f32" ? f32 : last === "f64" ? f64 : /^b?f16(x2)?$/.test(last) ? f16 : integers;
    return (chosen ?? (() => decoder.unknown("a type that it has")))(decoder);
  };

const withCarry =
  (plain: Translator): Translator =>
  (decoder) =>
    decoder.instruction.modifiers[0] === "cc" ? carryArithmetic(decoder) : plain(decoder);

const arithmetic = byType({
  integers: integer.integerArithmetic,
  f16: float16.float16Arithmetic,
  f32: float32.roundedFloat32,
  f64: float64Arithmetic,
});
const rounded = byType({ f32: float32.roundedFloat32, f64: float64Arithmetic });
const transcendental = byType({ f16: float16.functionFloat16, f32: float32.functionFloat32, f64: float64Arithmetic });
const extreme = byType({
  integers: integer.integerArithmetic,
  f16: float16.extremeFloat16,
  f32: float32.extremeFloat32,
  f64: float64Arithmetic,
});
const sign = byType({
  integers: integer.integerArithmetic,
  f16: float16.signFloat16,
  f32: float32.signFloat32,
  f64: float64Arithmetic,
});

export const instructions: Family = {
  abs: sign,
  activemask: warpWide.activeMask,
  add: withCarry(arithmetic),
  addc: carryArithmetic,
  and: bits.logical,
  atom: atomic,
  bar: synchronise.barrier,
  barrier: synchronise.barrier,
  bfe: bits.extractField,
  bfi: bits.insertField,
  bfind: bits.findBit,
  bra: synchronise.branch,
  brev: bits.reverseBits,
  brx: synchronise.branchTable,
  call,
  clz: bits.count,
  cnot: bits.logicalNot,
  copysign: float32.copySignFloat32,
  cos: transcendental,
  cp: asyncCopy,
  cvt: convert,
  cvta: convertAddress,
  discard: synchronise.nothing,
  div: arithmetic,
  dp4a: integer.byteDot,
  ex2: transcendental,
  exit: synchronise.exit,
  fence: synchronise.fence,
  fma: arithmetic,
  isspacep: isInSpace,
  ld: load,
  ldmatrix: loadMatrix,
  lg2: transcendental,
  lop3: bits.anyLogic,
  mad: arithmetic,
  mad24: integer.product24,
  match: warpWide.match,
  max: extreme,
  membar: synchronise.fence,
  min: extreme,
  mma: matrixMultiply,
  mov: move,
  movmatrix: moveMatrix,
  mul: arithmetic,
  mul24: integer.product24,
  nanosleep: synchronise.nothing,
  neg: sign,
  not: bits.logical,
  or: bits.logical,
  popc: bits.count,
  prefetch: synchronise.nothing,
  prefetchu: synchronise.nothing,
  prmt: bits.permuteBytes,
  rcp: rounded,
  red: atomic,
  redux: warpWide.reduce,
  rem: integer.integerArithmetic,
  ret: synchronise.exit,
  rsqrt: transcendental,
  sad: integer.integerArithmetic,
  selp: compare.select,
  set: compare.setValue,
  setp: compare.setPredicates,
  shf: bits.funnelShift,
  shfl: warpWide.shuffle,
  shl: bits.shift,
  shr: bits.shift,
  sin: transcendental,
  slct: compare.selectBySign,
  sqrt: rounded,
  st: store,
  sub: withCarry(arithmetic),
  subc: carryArithmetic,
  tanh: transcendental,
  testp: compare.testFloat,
  trap: synchronise.trap,
  vote: warpWide.vote,
  xor: bits.logical,
};
