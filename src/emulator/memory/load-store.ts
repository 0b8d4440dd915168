/**
 * @file ld and st: values of 1 to 8 bytes, alone or in vectors, between registers and any space.
 */

import type { Suspect } from "../machine/global-races.ts";
import { LANES, type Registers } from "../machine/registers.ts";
import type { StrongAccess } from "../machine/releases.ts";
import type { Operation } from "../machine/step.ts";
import type { Warp } from "../machine/warp.ts";
import type { Region } from "../region.ts";
import type { PtxType } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { type AccessSpace, access, forRegions, offsets } from "./access.ts";
import { noteOrder, noteRead, noteWidth, noteWrite } from "./checks.ts";

const memoryTypes = [
  "b8",
  "b16",
  "b32",
  "b64",
  "u8",
  "u16",
  "u32",
  "u64",
  "s8",
  "s16",
  "s32",
  "s64",
  "f16",
  "f32",
  "f64",
] as const;

/** Qualifiers up to the space; how the access takes part in the order of memory, if it is a strong one. */
function readQualifiers(
  decoder: Decoder,
  kind: "reads" | "writes",
): { space: AccessSpace; strong: StrongAccess | undefined } {
  const semantics = decoder.take("weak", "volatile", "relaxed", "acquire", "release");
  const scope = decoder.take("cta", "cluster", "gpu", "sys");
  const strong: StrongAccess | undefined =
    semantics === undefined || semantics === "weak"
      ? undefined
      : {
          reads: kind === "reads",
          writes: kind === "writes",
          acquires: semantics === "acquire",
          releases: semantics === "release",
          scope: scope === "cta" ? "block" : "launch",
        };
  const space = decoder.take(
    "global",
    "shared",
    "shared::cta",
    "local",
    "const",
    "param",
    "param::entry",
    "param::func",
  );
  decoder.take("ca", "cg", "cs", "lu", "cv", "wb", "wt");
  decoder.flag("nc");
  decoder.skipHints();
  return { space: space === undefined ? "generic" : (space.split("::")[0] as AccessSpace), strong };
}

function shape(decoder: Decoder): { count: number; type: PtxType } {
  const vector = decoder.take("v2", "v4");
  return { count: vector ? Number(vector[1]) : 1, type: decoder.type(...memoryTypes) };
}

export function load(decoder: Decoder): Operation {
  const { space, strong } = readQualifiers(decoder, "reads");
  const { count, type } = shape(decoder);
  decoder.done(2);
  const size = type.bits / 8;
  const place = access(decoder, 1, space, size * count, "read");
  noteWidth(decoder, space, size);
  const moves = decoder.elements(0, count).map((element, at) => {
    if (element.kind === "sink") return undefined;
    const row = decoder.target(element, type, "at-least");
    return loadRow(type, row, decoder.bitsOf(element, type), at * size);
  });
  const act = (warp: Warp, region: Region, mask: number): void => {
    noteRead(place, warp, region, mask, strong ? "strong" : "weak");
    if (strong) noteOrder(place, warp, region, mask, strong);
    for (const move of moves) move?.(warp.registers, region, mask);
  };
  return (warp, mask) => forRegions(place, warp, mask, (region, lanes) => act(warp, region, lanes));
}

type Move = (registers: Registers, region: Region, mask: number) => void;

/** A row from memory, extended to the width of the register as the type says. */
function loadRow(type: PtxType, row: number, registerBits: number, at: number): Move {
  if (type.bits === 64)
    return ({ i }, { i32 }, mask) => {
      for (let lane = 0; lane < LANES; lane++)
        if ((mask >>> lane) & 1) {
          const word = (offsets[lane]! + at) >> 2;
          i[row + 2 * lane] = i32[word]!;
          i[row + 2 * lane + 1] = i32[word + 1]!;
        }
    };
  if (type.bits === 32 && registerBits === 32)
    return ({ i }, { i32 }, mask) => {
      for (let lane = 0; lane < LANES; lane++)
        if ((mask >>> lane) & 1) i[row + lane] = i32[(offsets[lane]! + at) >> 2]!;
    };
  const signed = type.kind === "signed";
  const shift = Math.log2(type.bits / 8);
  const viewOf = ({ i8, u8, i16, u16, i32 }: Region) =>
    type.bits === 8 ? (signed ? i8 : u8) : type.bits === 16 ? (signed ? i16 : u16) : i32;
  const kept = registerBits === 16 ? 0xffff : -1;
  return ({ i }, region, mask) => {
    const view = viewOf(region);
    for (let lane = 0; lane < LANES; lane++) {
      if (!((mask >>> lane) & 1)) continue;
      const value = view[(offsets[lane]! + at) >> shift]!;
      if (registerBits === 64) {
        i[row + 2 * lane] = value;
        i[row + 2 * lane + 1] = signed ? value >> 31 : 0;
      } else i[row + lane] = value & kept;
    }
  };
}

export function store(decoder: Decoder): Operation {
  const { space, strong } = readQualifiers(decoder, "writes");
  const { count, type } = shape(decoder);
  decoder.done(2);
  const size = type.bits / 8;
  const place = access(decoder, 0, space, size * count, "write");
  noteWidth(decoder, space, size);
  const moves = decoder.elements(1, count).map((element, at) => {
    const row = decoder.source(element, type, "at-least");
    return storeRow(type, row, decoder.bitsOf(element, type), at * size);
  });
  const act = (warp: Warp, region: Region, mask: number): void => {
    const suspects = noteWrite(place, warp, region, mask, strong ? "strong" : "weak");
    if (strong) noteOrder(place, warp, region, mask, strong);
    if (suspects) storeSuspects(suspects, moves, warp, region, mask);
    else for (const move of moves) move(warp.registers, region, mask);
  };
  return (warp, mask) => forRegions(place, warp, mask, (region, lanes) => act(warp, region, lanes));
}

/** Lane by lane, as all together would: a write of other bits to what another thread has written in no order is a race. */
function storeSuspects(
  suspects: readonly Suspect[],
  moves: readonly Move[],
  warp: Warp,
  region: Region,
  mask: number,
): void {
  const { races } = warp.block;
  for (let lane = 0; lane < LANES; lane++) {
    if (!((mask >>> lane) & 1)) continue;
    const own = suspects.filter((suspect) => suspect.lane === lane);
    const granules = own.map(({ offset }) => region.u8.subarray(offset, offset + races!.granule));
    const before = granules.map((bytes) => bytes.slice());
    for (const move of moves) move(warp.registers, region, 1 << lane);
    own.forEach((suspect, at) => {
      if (granules[at]!.some((byte, i) => byte !== before[at]![i])) races!.faultOf(warp, region, suspect);
    });
  }
}

function storeRow(type: PtxType, row: number, registerBits: number, at: number): Move {
  if (type.bits === 64)
    return ({ i }, { i32 }, mask) => {
      for (let lane = 0; lane < LANES; lane++)
        if ((mask >>> lane) & 1) {
          const word = (offsets[lane]! + at) >> 2;
          i32[word] = i[row + 2 * lane]!;
          i32[word + 1] = i[row + 2 * lane + 1]!;
        }
    };
  const stride = registerBits === 64 ? 2 : 1;
  const shift = Math.log2(type.bits / 8);
  const viewOf = ({ u8, u16, i32 }: Region) => (type.bits === 8 ? u8 : type.bits === 16 ? u16 : i32);
  return ({ i }, region, mask) => {
    const view = viewOf(region);
    for (let lane = 0; lane < LANES; lane++)
      if ((mask >>> lane) & 1) view[(offsets[lane]! + at) >> shift] = i[row + stride * lane]!;
  };
}
