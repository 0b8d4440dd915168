/**
 * @file atom and red: lane after lane, in the order of lanes.
 */
import { shortFormats } from "../arithmetic/formats.ts";
import { read64, write64 } from "../instructions/integer64.ts";
import { LANES } from "../machine/registers.ts";
import type { StrongAccess } from "../machine/releases.ts";
import type { Operation } from "../machine/step.ts";
import type { Warp } from "../machine/warp.ts";
import type { Region } from "../region.ts";
import type { PtxType } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { type AccessSpace, access, forRegions, offsets } from "./access.ts";
import { noteOrder, noteWidth, noteWrite } from "./checks.ts";

const names = ["add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"] as const;
type Name = (typeof names)[number];
const types = [
  "b16",
  "b32",
  "b64",
  "u32",
  "u64",
  "s32",
  "s64",
  "f16",
  "f16x2",
  "bf16",
  "bf16x2",
  "f32",
  "f64",
] as const;

/** The new bits from the old and the operands'; 64-bit values as BigInt. */
type Update32 = (old: number, b: number, c: number) => number;
type Update64 = (old: bigint, b: bigint, c: bigint) => bigint;

const float32 = new Float32Array(1);
const word = new Uint32Array(float32.buffer);
const float64 = new Float64Array(1);
const long = new BigUint64Array(float64.buffer);

const asFloat32 = (bits: number): number => {
  word[0] = bits;
  return float32[0]!;
};
const asFloat64 = (bits: bigint): number => {
  long[0] = bits;
  return float64[0]!;
};

function addFloat(type: PtxType): Update32 {
  if (type.name === "f32")
    return (old, b) => {
      float32[0] = asFloat32(old) + asFloat32(b);
      return Number.isNaN(float32[0]) ? 0x7fffffff : word[0]!;
    };
  const { values, encode } = shortFormats[type.name.startsWith("bf16") ? "bf16" : "f16"];
  // The sum of two is exact in a double, or so far off that the lesser one does not count.
  const half = (a: number, b: number): number => encode(values[a & 0xffff]! + values[b & 0xffff]!);
  if (type.bits === 16) return half;
  return (old, b) => half(old, b) | (half(old >>> 16, b >>> 16) << 16);
}

function update32(name: Name, type: PtxType): Update32 | undefined {
  const number = type.kind === "signed" ? (bits: number) => bits | 0 : (bits: number) => bits >>> 0;
  const isFloat = type.kind === "float";
  const integer: Partial<Record<Name, Update32>> = {
    add: (old, b) => old + b,
    min: (old, b) => Math.min(number(old), number(b)),
    max: (old, b) => Math.max(number(old), number(b)),
    inc: (old, b) => (old >>> 0 >= b >>> 0 ? 0 : old + 1),
    dec: (old, b) => (old === 0 || old >>> 0 > b >>> 0 ? b : old - 1),
  };
  const bits: Partial<Record<Name, Update32>> = {
    and: (old, b) => old & b,
    or: (old, b) => old | b,
    xor: (old, b) => old ^ b,
    exch: (_, b) => b,
    cas: (old, b, c) => (old >>> 0 === b >>> 0 ? c : old),
  };
  if (isFloat) return name === "add" ? addFloat(type) : undefined;
  return type.kind === "bits" ? bits[name] : integer[name];
}

function update64(name: Name, type: PtxType): Update64 | undefined {
  const number = type.kind === "signed" ? (bits: bigint) => BigInt.asIntN(64, bits) : (bits: bigint) => bits;
  if (type.kind === "float") {
    if (name !== "add") return undefined;
    return (old, b) => {
      float64[0] = asFloat64(old) + asFloat64(b);
      return long[0]!;
    };
  }
  const integer: Partial<Record<Name, Update64>> = {
    add: (old, b) => old + b,
    min: (old, b) => (number(old) < number(b) ? old : b),
    max: (old, b) => (number(old) > number(b) ? old : b),
  };
  const bits: Partial<Record<Name, Update64>> = {
    and: (old, b) => old & b,
    or: (old, b) => old | b,
    xor: (old, b) => old ^ b,
    exch: (_, b) => b,
    cas: (old, b, c) => (old === b ? c : old),
  };
  return type.kind === "bits" ? bits[name] : integer[name];
}

/** atom gives the old value; red does not. */
export function atomic(decoder: Decoder): Operation {
  const gives = decoder.instruction.opcode === "atom";
  const semantics = decoder.take("relaxed", "acquire", "release", "acq_rel");
  let scope = decoder.take("cta", "cluster", "gpu", "sys");
  const named = decoder.take("global", "shared", "shared::cta");
  const space: AccessSpace = named === undefined ? "generic" : (named.split("::")[0] as AccessSpace);
  // Some compilers put the scope after the space.
  scope ??= decoder.take("cta", "gpu", "sys");
  const name = decoder.require("operation", ...names);
  decoder.flag("noftz");
  decoder.skipHints();
  const type = decoder.type(...types);
  const values = name === "cas" ? 2 : 1;
  const first = gives ? 1 : 0;
  decoder.done(first + 1 + values);
  const bytes = type.bits / 8;
  const place = access(decoder, first, space, bytes, "atomic");
  noteWidth(decoder, space, bytes);
  const b = decoder.source(first + 1, type);
  const c = values === 2 ? decoder.source(first + 2, type) : b;
  const kept = gives && decoder.operand(0).kind !== "sink" ? decoder.target(0, type) : undefined;
  const change =
    type.bits === 64 ? change64(decoder, name, type, b, c, kept) : change32(decoder, name, type, b, c, kept);
  const order: StrongAccess = {
    reads: gives,
    writes: true,
    acquires: semantics === "acquire" || semantics === "acq_rel",
    releases: semantics === "release" || semantics === "acq_rel",
    scope: scope === "cta" ? "block" : "launch",
  };
  return (warp, mask) =>
    forRegions(place, warp, mask, (region, lanes) => {
      const [suspect] = noteWrite(place, warp, region, lanes, "strong") ?? [];
      if (suspect) warp.block.races!.faultOf(warp, region, suspect);
      noteOrder(place, warp, region, lanes, order);
      for (let lane = 0; lane < LANES; lane++) if ((lanes >>> lane) & 1) change(warp, region, lane);
    });
}

type Change = (warp: Warp, region: Region, lane: number) => void;

function change32(decoder: Decoder, name: Name, type: PtxType, b: number, c: number, kept: number | undefined): Change {
  const update = update32(name, type) ?? decoder.unknown(`an operation on .${type.name}`);
  return ({ registers: { u } }, region, lane) => {
    const view = type.bits === 16 ? region.u16 : region.u32;
    const at = offsets[lane]! >> (type.bits === 16 ? 1 : 2);
    const old = view[at]!;
    view[at] = update(old, u[b + lane]!, u[c + lane]!);
    if (kept !== undefined) u[kept + lane] = old;
  };
}

function change64(decoder: Decoder, name: Name, type: PtxType, b: number, c: number, kept: number | undefined): Change {
  const update = update64(name, type) ?? decoder.unknown(`an operation on .${type.name}`);
  return ({ registers: { u } }, { u32 }, lane) => {
    const at = offsets[lane]! >> 2;
    const old = read64(u32, at, false);
    write64(u32, at, update(old, read64(u, b + 2 * lane, false), read64(u, c + 2 * lane, false)));
    if (kept !== undefined) write64(u, kept + 2 * lane, old);
  };
}
