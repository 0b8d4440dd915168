/** Matrix products with quantised weights: 8 bits with a scale a column, and the 4 bits of examples/, packed eight to a word. */
import { describe, expect, it } from "vitest";
import { fourBitMatmul, GROUP } from "../../examples/four-bit-matmul.ts";
import { kernel, tl } from "../../src/dsl/index.ts";
import { expectClose } from "../kernels/judge.ts";
import { roundTo } from "../support/rounding.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

const eightBits = kernel({
  name: "matmul_w8",
  constants: { M: 64, N: 64, K: 64 },
  params: {
    a: tl.tensor("f16", 2),
    weights: tl.tensor("i8", 2),
    scale: tl.tensor("f32", 1),
    out: tl.tensor("f16", 2),
  },
  grid: (p, { M, N }) => [tl.cdiv(p.out.shape(1), N), tl.cdiv(p.out.shape(0), M)],
  body(p, { M, N, K }) {
    const [column, row] = [tl.programId(0).mul(N), tl.programId(1).mul(M)];
    const { sums } = tl.loop({ to: p.a.shape(1), step: K }, { sums: tl.zeros([M, N], "f32") }, (k, { sums }) => ({
      sums: tl.dot(p.a.load([row, k], [M, K]), p.weights.load([k, column], [K, N]).to("f16"), sums),
    }));
    p.out.store([row, column], sums.mul(p.scale.load([column], [N]).perColumn()).to("f16"));
  },
});

const integers = (count: number, from: number, to: number) =>
  Int32Array.from({ length: count }, (_, i) => from + ((Math.imul(i + 7, 2654435761) >>> 8) % (to - from)));

function product(
  [M, N, K]: readonly [number, number, number],
  a: ArrayLike<number>,
  b: (k: number, n: number) => number,
) {
  const out = new Terms(M * N);
  for (let m = 0; m < M; m++)
    for (let n = 0; n < N; n++) for (let k = 0; k < K; k++) out.add(m * N + n, a[m * K + k]! * b(k, n));
  return out;
}

onEveryTarget((device) => {
  it("8 bits", async () => {
    const [M, N, K] = [70, 80, 160];
    const a = numbers("f16", [M, K], 1);
    const weights = integers(K * N, -128, 128);
    const scale = Float32Array.from({ length: N }, (_, n) => (n + 1) / 4096);
    const out = device.empty([M, N], "f16");
    device.launch(eightBits, {
      a: a.on(device),
      weights: device.tensor(Int8Array.from(weights), { shape: [K, N], dtype: "i8" }),
      scale: device.tensor(scale, { shape: [N], dtype: "f32" }),
      out,
    });
    await expectClose(
      out,
      product([M, N, K], a.values, (k, n) => weights[k * N + n]! * scale[n]!),
      K,
    );
  });

  it("4 bits, eight to a word", async () => {
    const [M, N, K] = [10, 72, 192];
    const a = numbers("f16", [M, K], 2);
    const weights = integers(K * N, 0, 16);
    const zeros = integers((K / GROUP) * N, 0, 16);
    const scales = numbers("f16", [K / GROUP, N], 3, 0.1);
    const words = new Int32Array((K / 8) * N);
    weights.forEach((weight, i) => {
      const [k, n] = [Math.floor(i / N), i % N];
      words[(k >> 3) * N + n]! |= weight << (4 * (k & 7));
    });
    const zeroWords = new Int32Array(zeros.length / 8);
    zeros.forEach((zero, i) => {
      zeroWords[i >> 3]! |= zero << (4 * (i & 7));
    });
    const table = (data: Int32Array, rows: number) =>
      device.tensor(data, { shape: [rows, data.length / rows], dtype: "i32" });
    const out = device.empty([M, N], "f16");
    device.launch(fourBitMatmul, {
      a: a.on(device),
      words: table(words, K / 8),
      scales: scales.on(device),
      zeros: table(zeroWords, K / GROUP),
      out,
    });
    const weight = (k: number, n: number): number => {
      const group = Math.floor(k / GROUP) * N + n;
      return roundTo("f16", (weights[k * N + n]! - zeros[group]!) * scales.values[group]!);
    };
    await expectClose(out, product([M, N, K], a.values, weight), K);
  });
});

it("a turn of more rows than have one scale is refused", () => {
  expect(() => fourBitMatmul.trace({ constants: { K: 2 * GROUP } })).toThrow(/K must divide 64/);
});

describe("their loops", () => {
  it("copy activations and packed weights ahead, and meet twice a turn: for the copies, and for the weights as halves", () => {
    for (const definition of [eightBits, fourBitMatmul]) {
      const [loop] = ptxOf(definition).loops;
      // Of 4 bits, a group's scales and zeros: two columns a thread.
      expect(loop!(/^ld\.global\.(v\d\.)?[bs]\w+$/)).toBe(definition === eightBits ? 0 : 4);
      // Each copy is of 16 bytes: of 64 x 64 halves and bytes, of 16 x 64 halves and 8 x 64 words, by 128 threads.
      expect([loop!(/^cp\.async\.cg/), loop!(/^cp\.async\.ca/)]).toEqual([definition === eightBits ? 6 : 2, 0]);
      expect(loop!(/^bar\.sync/)).toBe(definition === eightBits ? 2 : 1);
      expect(loop!(/^mma/)).toBe(definition === eightBits ? 32 : 8);
    }
  });

  it("scale halves two at a time", () => {
    const [loop] = ptxOf(fourBitMatmul).loops;
    // 64 x 64 weights by 128 threads.
    expect([loop!(/^mul\.rn\.f16x2/), loop!(/^cvt\.f32\.f16/)]).toEqual([16, 0]);
  });
});
