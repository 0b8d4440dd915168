/**
 * @file mma.sync: tensor-core products of f16, bf16, tf32 and s8 fragments, as PTX lays them out over a warp. PTX leaves the order of sums
 * of floats open; here products and their sum are doubles, rounded once to the accumulator. Sums of integers are exact, modulo 2^32.
 */
import { shortFormats } from "../arithmetic/formats.ts";
import { LANES } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import { requireWholeWarp } from "../memory/matrix.ts";
import { ptxTypes } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { store32 } from "./float32.ts";

const b32 = ptxTypes.get("b32")!;
const f32 = ptxTypes.get("f32")!;
const s32 = ptxTypes.get("s32")!;
const ROWS = 16;
const COLUMNS = 8;

const left = new Float64Array(ROWS * 32);
const right = new Float64Array(32 * COLUMNS);
const result = new Float64Array(ROWS * COLUMNS);

/** An operand's registers. */
interface Fragment {
  readonly rows: readonly number[];
  /** By register and lane: index into `left` or `right` of the register's (first) element. */
  readonly places: Int32Array;
  /** From one of the register's elements to the next. */
  readonly step: number;
}

export function matrixMultiply(decoder: Decoder): Operation {
  decoder.require("mma", "sync");
  decoder.require("mma", "aligned");
  const shape = decoder.require("shape", "m16n8k32", "m16n8k16", "m16n8k8", "m16n8k4");
  decoder.require("layout of a", "row");
  decoder.require("layout of b", "col");
  const to = decoder.type("f32", "f16", "s32");
  const type = decoder.type("f16", "bf16", "tf32", "s8");
  const same = decoder.type("f16", "bf16", "tf32", "s8") === type && decoder.type("f32", "f16", "s32") === to;
  const depth = Number(shape.split("k")[1]);
  const perRegister = type.name === "tf32" ? 1 : type.name === "s8" ? 4 : 2;
  const depths = { tf32: [4, 8], s8: [16, 32] }[type.name] ?? [8, 16];
  const adds = { f16: ["f32", "f16"], s8: ["s32"] }[type.name] ?? ["f32"];
  if (!same || !depths.includes(depth) || !adds.includes(to.name))
    decoder.unknown("a combination of shape and types that sm_80 has");
  decoder.done(4);

  const lanesAlong = 4 * perRegister; // Elements along k that a row of four lanes holds.
  const halves = depth / lanesAlong;
  // Registers of a: for each part of k, rows l / 4 and l / 4 + 8; of b: for each part of k, column l / 4.
  const a = fragment(decoder, 1, 2 * halves, perRegister, 1, (register, group, along) => {
    const row = group + 8 * (register & 1);
    return row * depth + along + lanesAlong * (register >> 1);
  });
  const b = fragment(decoder, 2, halves, perRegister, COLUMNS, (register, group, along) => {
    return (along + lanesAlong * register) * COLUMNS + group;
  });
  const accumulators = to.name === "f16" ? 2 : 4;
  const sums = to.name === "f32" ? f32 : to.name === "s32" ? s32 : b32;
  const targets = decoder.elements(0, accumulators).map((element) => decoder.target(element, sums));
  const addends = decoder.elements(3, accumulators).map((element) => decoder.source(element, sums));
  const values = perRegister === 2 ? shortFormats[type.name as "f16" | "bf16"].values : undefined;
  const half = shortFormats.f16;

  return (warp, mask) => {
    requireWholeWarp(warp, mask);
    const { f, u } = warp.registers;
    if (perRegister === 4) {
      spreadBytes(a, u, left);
      spreadBytes(b, u, right);
    } else {
      spread(a, u, values, left);
      spread(b, u, values, right);
    }
    multiply(depth);
    for (let register = 0; register < accumulators; register++) {
      const [target, addend] = [targets[register]!, addends[register]!];
      for (let lane = 0; lane < LANES; lane++) {
        const column = 2 * (lane & 3);
        if (to.name !== "f16") {
          const at = ((lane >> 2) + 8 * (register >> 1)) * COLUMNS + column + (register & 1);
          // Kept as u32, which takes the sum modulo 2^32.
          if (to.name === "s32") u[target + lane] = result[at]! + u[addend + lane]!;
          else store32(warp.registers, target + lane, result[at]! + f[addend + lane]!);
        } else {
          const at = ((lane >> 2) + 8 * register) * COLUMNS + column;
          const bits = u[addend + lane]!;
          const low = half.encode(result[at]! + half.values[bits & 0xffff]!);
          u[target + lane] = low | (half.encode(result[at + 1]! + half.values[bits >>> 16]!) << 16);
        }
      }
    }
  };
}

function fragment(
  decoder: Decoder,
  operand: number,
  registers: number,
  perRegister: number,
  step: number,
  place: (register: number, group: number, along: number) => number,
): Fragment {
  const rows = decoder.elements(operand, registers).map((element) => decoder.source(element, b32));
  const places = Int32Array.from({ length: registers * LANES }, (_, at) => {
    const [register, lane] = [at >> 5, at & 31];
    return place(register, lane >> 2, (lane & 3) * perRegister);
  });
  return { rows, places, step };
}

const word = new Int32Array(1);
const float = new Float32Array(word.buffer);

/** The fragments as a matrix, row by row. */
function spread(
  { rows, places, step }: Fragment,
  u: Uint32Array,
  values: Float32Array | undefined,
  matrix: Float64Array,
): void {
  for (let register = 0; register < rows.length; register++) {
    const row = rows[register]!;
    for (let lane = 0; lane < LANES; lane++) {
      const at = places[register * LANES + lane]!;
      const bits = u[row + lane]!;
      if (values !== undefined) {
        matrix[at] = values[bits & 0xffff]!;
        matrix[at + step] = values[bits >>> 16]!;
      } else {
        word[0] = bits & 0xffffe000; // The bits beyond tf32 are not looked at.
        matrix[at] = float[0]!;
      }
    }
  }
}

function spreadBytes({ rows, places, step }: Fragment, u: Uint32Array, matrix: Float64Array): void {
  for (let register = 0; register < rows.length; register++)
    for (let lane = 0; lane < LANES; lane++) {
      const at = places[register * LANES + lane]!;
      const bits = u[rows[register]! + lane]!;
      for (let byte = 0; byte < 4; byte++) matrix[at + byte * step] = (bits << (24 - 8 * byte)) >> 24;
    }
}

/** A row of the result at a time: eight sums that stay in registers. */
function multiply(depth: number): void {
  for (let row = 0; row < ROWS; row++) {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let k = 0; k < depth; k++) {
      const x = left[row * depth + k]!;
      const from = k * COLUMNS;
      s0 += x * right[from]!;
      s1 += x * right[from + 1]!;
      s2 += x * right[from + 2]!;
      s3 += x * right[from + 3]!;
      s4 += x * right[from + 4]!;
      s5 += x * right[from + 5]!;
      s6 += x * right[from + 6]!;
      s7 += x * right[from + 7]!;
    }
    const to = row * COLUMNS;
    result[to] = s0;
    result[to + 1] = s1;
    result[to + 2] = s2;
    result[to + 3] = s3;
    result[to + 4] = s4;
    result[to + 5] = s5;
    result[to + 6] = s6;
    result[to + 7] = s7;
  }
}
