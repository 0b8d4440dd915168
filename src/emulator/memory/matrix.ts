/**
 * @file ldmatrix and movmatrix: 8 x 8 matrices of 16-bit elements, a row of 16 bytes at each address, spread over a warp so that lane l
 * holds elements 2 (l mod 4) and 2 (l mod 4) + 1 of row l / 4.
 */
import { LANES } from "../machine/registers.ts";
import { SEVERAL_LANES } from "../machine/shadow.ts";
import type { Operation } from "../machine/step.ts";
import type { Warp } from "../machine/warp.ts";
import { ptxTypes } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { access, offsets } from "./access.ts";

const b32 = ptxTypes.get("b32")!;
const ROW_BYTES = 16;

/** A whole warp must execute the instruction together. */
export function requireWholeWarp(warp: Warp, mask: number): void {
  if (mask !== -1)
    warp.fault("PTX_WARP_SYNC", `all 32 lanes must execute this together; only 0x${(mask >>> 0).toString(16)} do`);
}

export function loadMatrix(decoder: Decoder): Operation {
  decoder.require("ldmatrix", "sync");
  decoder.require("ldmatrix", "aligned");
  decoder.require("shape", "m8n8");
  const count = Number(decoder.require("number of matrices", "x1", "x2", "x4")[1]);
  const transposed = decoder.flag("trans");
  const space = decoder.take("shared", "shared::cta") ? "shared" : "generic";
  decoder.type("b16");
  decoder.done(2);
  const targets = decoder.elements(0, count).map((element) => decoder.target(element, b32));
  const place = access(decoder, 1, space, ROW_BYTES, "read");
  decoder.surroundings.noteSharedWidth(4);
  // Lanes beyond the last row have addresses that mean nothing.
  const addressed = count === 4 ? -1 : (1 << (8 * count)) - 1;
  return (warp, mask) => {
    requireWholeWarp(warp, mask);
    const { block, registers } = warp;
    const { i } = registers;
    const region = place.locate(warp, addressed);
    if (region !== block.shared) warp.fault("PTX_OUT_OF_BOUNDS", "ldmatrix reads shared memory only");
    if (block.shadow) {
      for (let row = 0; row < 8 * count; row++)
        block.shadow.read(warp, SEVERAL_LANES, offsets[row]!, ROW_BYTES, "weak");
      block.countBanks(warp, addressed, offsets, ROW_BYTES);
    }
    const { u16, i32 } = block.shared;
    targets.forEach((target, matrix) => {
      const first = 8 * matrix;
      for (let lane = 0; lane < LANES; lane++) {
        const [row, pair] = [lane >> 2, lane & 3];
        if (transposed) {
          const low = u16[(offsets[first + 2 * pair]! >> 1) + row]!;
          const high = u16[(offsets[first + 2 * pair + 1]! >> 1) + row]!;
          i[target + lane] = low | (high << 16);
        } else i[target + lane] = i32[(offsets[first + row]! >> 2) + pair]!;
      }
    });
  };
}

/** movmatrix: the transposed matrix, in registers. */
export function moveMatrix(decoder: Decoder): Operation {
  decoder.require("movmatrix", "sync");
  decoder.require("movmatrix", "aligned");
  decoder.require("shape", "m8n8");
  decoder.require("movmatrix", "trans");
  decoder.type("b16");
  decoder.done(2);
  const target = decoder.target(0, b32);
  const source = decoder.source(1, b32);
  return (warp, mask) => {
    requireWholeWarp(warp, mask);
    const { u } = warp.registers;
    const given = u.slice(source, source + LANES);
    const element = (row: number, column: number): number =>
      (given[row * 4 + (column >> 1)]! >>> (16 * (column & 1))) & 0xffff;
    for (let lane = 0; lane < LANES; lane++) {
      const [row, pair] = [lane >> 2, lane & 3];
      u[target + lane] = element(2 * pair, row) | (element(2 * pair + 1, row) << 16);
    }
  };
}
