/**
 * @file dot. The meaning: products and their sum with the accumulator in f64, rounded to f32 once: at least as accurate as any back
 * end, whatever its order. Sums of integers are exact in f64; storing them as i32 takes them modulo 2^32. (`tf32` asks for no more than an instruction some targets have; here operands keep their precision.)
 *
 * Operands are packed as f64 into panels of four rows and of four columns, padded with zeros; the inner loop keeps a 4 x 4 block of
 * sums in local variables.
 */
import { shapeOf } from "../ir/index.ts";
import type { Plan } from "./operation.ts";

const panel = 4;

/** Packs rows [4p, 4p + 4) of `x` so that their elements at one position of the inner axis lie together. */
function pack(
  packed: Float64Array,
  x: Float32Array,
  rows: number,
  inner: number,
  rowStride: number,
  innerStride: number,
): void {
  let at = 0;
  for (let first = 0; first < rows; first += panel) {
    const last = Math.min(panel, rows - first);
    for (let k = 0; k < inner; k++) {
      for (let row = 0; row < last; row++) packed[at + row] = x[(first + row) * rowStride + k * innerStride]!;
      at += panel;
    }
  }
}

/** out[0..15] = the 4 x 4 sums over `inner` of a panel of a and one of b. */
function multiplyPanels(
  out: Float64Array,
  a: Float64Array,
  aStart: number,
  b: Float64Array,
  bStart: number,
  inner: number,
): void {
  let [s00, s01, s02, s03, s10, s11, s12, s13] = [0, 0, 0, 0, 0, 0, 0, 0];
  let [s20, s21, s22, s23, s30, s31, s32, s33] = [0, 0, 0, 0, 0, 0, 0, 0];
  const end = aStart + inner * panel;
  for (let i = aStart, j = bStart; i < end; i += panel, j += panel) {
    const b0 = b[j]!;
    const b1 = b[j + 1]!;
    const b2 = b[j + 2]!;
    const b3 = b[j + 3]!;
    const a0 = a[i]!;
    s00 += a0 * b0;
    s01 += a0 * b1;
    s02 += a0 * b2;
    s03 += a0 * b3;
    const a1 = a[i + 1]!;
    s10 += a1 * b0;
    s11 += a1 * b1;
    s12 += a1 * b2;
    s13 += a1 * b3;
    const a2 = a[i + 2]!;
    s20 += a2 * b0;
    s21 += a2 * b1;
    s22 += a2 * b2;
    s23 += a2 * b3;
    const a3 = a[i + 3]!;
    s30 += a3 * b0;
    s31 += a3 * b1;
    s32 += a3 * b2;
    s33 += a3 * b3;
  }
  out[0] = s00;
  out[1] = s01;
  out[2] = s02;
  out[3] = s03;
  out[4] = s10;
  out[5] = s11;
  out[6] = s12;
  out[7] = s13;
  out[8] = s20;
  out[9] = s21;
  out[10] = s22;
  out[11] = s23;
  out[12] = s30;
  out[13] = s31;
  out[14] = s32;
  out[15] = s33;
}

const panels = (extent: number): number => Math.ceil(extent / panel);

export const dot: Plan = ({ operation, operands, result }) => {
  const [a, b, accumulator] = operands as Float32Array[];
  const [rows, inner] = shapeOf(operation.operands[0]!.type) as [number, number];
  const columns = shapeOf(operation.operands[1]!.type)[1]!;
  const out = result() as Float32Array;
  const packedA = new Float64Array(panels(rows) * panel * inner);
  const packedB = new Float64Array(panels(columns) * panel * inner);
  const block = new Float64Array(panel * panel);
  return () => {
    pack(packedA, a!, rows, inner, inner, 1);
    pack(packedB, b!, columns, inner, 1, columns);
    for (let row = 0; row < rows; row += panel)
      for (let column = 0; column < columns; column += panel) {
        multiplyPanels(block, packedA, row * inner, packedB, column * inner, inner);
        const [height, width] = [Math.min(panel, rows - row), Math.min(panel, columns - column)];
        for (let i = 0; i < height; i++)
          for (let j = 0; j < width; j++) {
            const at = (row + i) * columns + column + j;
            out[at] = accumulator![at]! + block[i * panel + j]!;
          }
      }
  };
};
