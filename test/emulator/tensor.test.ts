/** Tensor-core instructions in kernels that nvcc compiled, against sums of products in plain TypeScript. */
import { describe, expect, it } from "vitest";
import { bf16ToFloat32, f16ToFloat32, float32ToBf16, float32ToF16 } from "../../src/support/index.ts";
import { launchFixture } from "./fixture.ts";

/** Small integers and halves: every product and sum is exact in f32. */
const numbers = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => (((i * 37 + seed * 11) % 23) - 11) / 2);

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer);
const pairs = (values: Uint16Array): Uint32Array => new Uint32Array(values.buffer);

const formats = {
  mma_f16: { depth: 16, pack: (values: Float32Array) => pairs(float32ToF16(values)) },
  mma_bf16: { depth: 16, pack: (values: Float32Array) => pairs(float32ToBf16(values)) },
  mma_tf32: { depth: 8, pack: bitsOf },
};

describe("mma.sync", () => {
  for (const [name, { depth, pack }] of Object.entries(formats))
    it(name, () => {
      const [a, b, c] = [numbers(16 * depth, 1), numbers(8 * depth, 2), numbers(16 * 8, 3)];
      const expected = c.map((start, at) => {
        let sum = start;
        for (let k = 0; k < depth; k++) sum += a[(at >> 3) * depth + k]! * b[(at & 7) * depth + k]!;
        return sum;
      });
      launchFixture("tensor", name, { threads: 32 }, c, pack(a.slice()), pack(b.slice()));
      expect(c).toEqual(expected);
    });

  it("mma_s8, whose sums wrap", () => {
    const bytes = (count: number, seed: number) =>
      Int8Array.from({ length: count }, (_, i) => (i * 37 + seed * 11) % 256);
    const [a, b] = [bytes(16 * 32, 1), bytes(8 * 32, 2)];
    const c = Int32Array.from({ length: 16 * 8 }, (_, i) => (i % 2 === 0 ? 2 ** 31 - 1 : -(2 ** 31)));
    const expected = c.map((start, at) => {
      let sum = start;
      for (let k = 0; k < 32; k++) sum += a[(at >> 3) * 32 + k]! * b[(at & 7) * 32 + k]!;
      return sum;
    });
    launchFixture("tensor", "mma_s8", { threads: 32 }, c, new Uint32Array(a.buffer), new Uint32Array(b.buffer));
    expect(c).toEqual(expected);
  });

  it("rounds its operands' formats as they are stored", () => {
    expect(f16ToFloat32(float32ToF16(numbers(23, 1)))).toEqual(numbers(23, 1));
    expect(bf16ToFloat32(float32ToBf16(numbers(23, 1)))).toEqual(numbers(23, 1));
  });
});

describe("ldmatrix", () => {
  it("gives lane l elements 2 (l mod 4) and the next of row l / 4; transposed, of column l / 4", () => {
    const elements = Uint16Array.from({ length: 256 }, (_, i) => i * 3);
    const out = new Uint32Array(256);
    const report = launchFixture("tensor", "ldmatrix", { threads: 32 }, out, pairs(elements.slice()));
    const element = (matrix: number, row: number, column: number): number => elements[matrix * 64 + row * 8 + column]!;
    for (let matrix = 0; matrix < 4; matrix++)
      for (let lane = 0; lane < 32; lane++) {
        const [row, pair] = [lane >> 2, 2 * (lane & 3)];
        expect(out[matrix * 32 + lane]).toBe(element(matrix, row, pair) | (element(matrix, row, pair + 1) << 16));
        expect(out[128 + matrix * 32 + lane]).toBe(element(matrix, pair, row) | (element(matrix, pair + 1, row) << 16));
      }
    // Rows of 16 bytes one after the other: no bank conflict.
    const loads = report.sharedAccesses.filter(({ instruction }) => instruction.startsWith("ldmatrix"));
    expect(loads.map(({ accesses, wavefronts }) => [accesses, wavefronts])).toEqual([
      [4, 4],
      [4, 4],
    ]);
  });
});
