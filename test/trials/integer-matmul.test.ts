/** Products of i8 with both sides quantised (LLM.int8, arXiv 2208.07339), summed in i32; a scale for each row and column. */
import { describe, expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

const product = kernel({
  name: "matmul_i8",
  constants: { M: 64, N: 64, K: 64, TRANSPOSED: true },
  params: {
    a: tl.tensor("i8", 2),
    // [N, K] where TRANSPOSED, else [K, N].
    b: tl.tensor("i8", 2),
    rows: tl.tensor("f32", 1),
    columns: tl.tensor("f32", 1),
    out: tl.tensor("f32", 2),
  },
  grid: (p, { M, N }) => [tl.cdiv(p.out.shape(1), N), tl.cdiv(p.out.shape(0), M)],
  body(p, { M, N, K, TRANSPOSED }) {
    const [column, row] = [tl.programId(0).mul(N), tl.programId(1).mul(M)];
    const { sums } = tl.loop({ to: p.a.shape(1), step: K }, { sums: tl.zeros([M, N], "i32") }, (k, { sums }) => {
      const b = TRANSPOSED ? p.b.load([column, k], [N, K]).trans() : p.b.load([k, column], [K, N]);
      return { sums: tl.dot(p.a.load([row, k], [M, K]), b, sums) };
    });
    const [rows, columns] = [p.rows.load([row], [M]).perRow(), p.columns.load([column], [N]).perColumn()];
    p.out.store([row, column], sums.to("f32").mul(rows).mul(columns));
  },
});

const bytes = (count: number, seed: number) =>
  Int8Array.from({ length: count }, (_, i) => Math.imul(i + 1, 0x9e3779b1 + 2 * seed) >>> 24);

onEveryTarget((device) => {
  it.each([
    [70, 68, 160, { TRANSPOSED: true }],
    [70, 68, 160, { TRANSPOSED: false }],
    [70, 72, 160, { TRANSPOSED: false, M: 16, N: 64, K: 128 }],
    [40, 48, 64, { TRANSPOSED: false, M: 32, N: 32, K: 32 }],
    [33, 20, 100, { TRANSPOSED: true, M: 32, N: 16, K: 32 }],
    // Shorter than the tensor cores' instruction.
    [20, 12, 40, { TRANSPOSED: false, M: 16, N: 16, K: 16 }],
  ] as const)("[%i, %i] over %i, %o", async (M, N, K, constants) => {
    const [a, b] = [bytes(M * K, 1), bytes(N * K, 2)];
    const [rows, columns] = [numbers("f32", [M], 3), numbers("f32", [N], 4)];
    const expected = new Terms(M * N);
    for (let m = 0; m < M; m++)
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += a[m * K + k]! * b[constants.TRANSPOSED ? n * K + k : k * N + n]!;
        expected.set(m * N + n, sum * rows.values[m]! * columns.values[n]!);
      }
    const out = device.empty([M, N], "f32");
    const tensors = {
      a: device.tensor(a, { shape: [M, K], dtype: "i8" }),
      b: device.tensor(b, { shape: constants.TRANSPOSED ? [N, K] : [K, N], dtype: "i8" }),
      rows: rows.on(device),
      columns: columns.on(device),
      out,
    };
    device.launch(product, tensors, { constants });
    // The sum is exact and an f32 holds it; two products are rounded.
    await expectClose(out, expected, 2);
  });
});

describe("as PTX", () => {
  it("is a loop of copies, ldmatrix and mma on bytes where k is fastest on both sides", () => {
    const [loop] = ptxOf(product).loops;
    expect([loop!(/^mma\.\S+m16n8k32\S+s8/), loop!(/^ldmatrix/), loop!(/^cp\.async\.cg/)]).toEqual([16, 8, 4]);
    expect(loop!(/^(ld|st)\.|^prmt/)).toBe(0);
  });

  it("is the same where b is [K, N], whose bytes are transposed in pairs: an instruction more for each word", () => {
    const [loop] = ptxOf(product, { constants: { TRANSPOSED: false } }).loops;
    expect([loop!(/^mma\.\S+m16n8k32\S+s8/), loop!(/^ldmatrix/), loop!(/^cp\.async\.cg/)]).toEqual([16, 8, 4]);
    expect([loop!(/^ldmatrix\S+trans/), loop!(/^prmt/), loop!(/^(ld|st)\./)]).toEqual([4, 16, 0]);
  });
});
