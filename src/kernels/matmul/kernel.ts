/**
 * @file Matrix product: one program computes a BLOCK_M x BLOCK_N tile of `out`, walking along K. With TRANSPOSE_A the first matrix is
 * stored as [K, M], with TRANSPOSE_B the second as [N, K], the layout of `nn.Linear` weights: so a linear layer y = x·Wᵀ and both its
 * gradients, dx = dy·W and dW = dyᵀ·x, read their operands as they lie. Where a and b differ in dtype (f32 activations, bf16 weights),
 * both are multiplied in f32. With ACCUMULATE the sum starts from what `out` holds; there is one rounding, at the end.
 */
import { kernel, tl } from "../../dsl/index.ts";

export const matmulKernel = kernel({
  name: "matmul",
  constants: {
    BLOCK_M: 64,
    BLOCK_N: 64,
    BLOCK_K: 32,
    TRANSPOSE_A: false,
    TRANSPOSE_B: false,
    ACCUMULATE: false,
  },
  params: { a: tl.tensor("A", 2), b: tl.tensor("B", 2), out: tl.tensor("C", 2) },
  grid: (p, { BLOCK_M, BLOCK_N }) => [tl.cdiv(p.out.shape(1), BLOCK_N), tl.cdiv(p.out.shape(0), BLOCK_M)],
  // At most 64 accumulators a thread, so that the largest tiles keep registers for operands on their way.
  hints: ({ BLOCK_M, BLOCK_N }) => ({ numWarps: BLOCK_M * BLOCK_N > 64 * 128 ? 8 : 4 }),
  body(p, { BLOCK_M, BLOCK_N, BLOCK_K, TRANSPOSE_A, TRANSPOSE_B, ACCUMULATE }) {
    const column = tl.programId(0).mul(BLOCK_N);
    const row = tl.programId(1).mul(BLOCK_M);
    const inner = p.a.shape(TRANSPOSE_A ? 0 : 1);
    const before = ACCUMULATE
      ? p.out.load([row, column], [BLOCK_M, BLOCK_N]).to("f32")
      : tl.zeros([BLOCK_M, BLOCK_N], "f32");
    const { acc } = tl.loop({ to: inner, step: BLOCK_K }, { acc: before }, (k, s) => {
      const a = TRANSPOSE_A ? p.a.load([k, row], [BLOCK_K, BLOCK_M]).trans() : p.a.load([row, k], [BLOCK_M, BLOCK_K]);
      const b = TRANSPOSE_B
        ? p.b.load([column, k], [BLOCK_N, BLOCK_K]).trans()
        : p.b.load([k, column], [BLOCK_K, BLOCK_N]);
      const mixed = a.dtype !== (b.dtype as string);
      return { acc: mixed ? tl.dot(a.to("f32"), b.to("f32"), s.acc) : tl.dot(a, b.to(a.dtype), s.acc) };
    });
    p.out.store([row, column], acc.to(p.out.dtype));
  },
});
