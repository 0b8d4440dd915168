/** @file The host operator `matmul`. */
import type { DType } from "../../ir/index.ts";
import type { Backend, Tensor } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { matmulKernel } from "./kernel.ts";

export interface MatmulArguments {
  /** [M, K], or [K, M] with `transposeA`; f16, bf16 or f32. */
  readonly a: Tensor;
  /** [K, N], or [N, K] with `transposeB`. May have another float dtype than `a`: the products are then computed in f32. */
  readonly b: Tensor;
  /** `a` is stored as [K, M]: with it, dW = dyᵀ·x is `matmul({ a: dy, transposeA: true, b: x })`. Default false. */
  readonly transposeA?: boolean;
  /** `b` is stored as [N, K], as `nn.Linear` weights are. Default false. */
  readonly transposeB?: boolean;
  /** Write here: [M, N]. */
  readonly out?: Tensor;
  /** Dtype of the result. Default: that of `out`, else of `a`. */
  readonly outDtype?: DType;
  /** Add the product to what `out` holds, which must be given. Default false. */
  readonly accumulate?: boolean;
}

/** Block sizes by backend; shorter along M and K where the matrices are (a decoding step has one row). */
const blocks: Readonly<Record<Backend, { BLOCK_M: number; BLOCK_N: number; BLOCK_K: number }>> = {
  // 128 x 128 x 32: the textbook shape of the A100, 8 warps of 64 x 32.
  cuda: { BLOCK_M: 128, BLOCK_N: 128, BLOCK_K: 32 },
  // What fits in 16 KiB of workgroup memory in f32.
  webgpu: { BLOCK_M: 64, BLOCK_N: 64, BLOCK_K: 16 },
  wasm: { BLOCK_M: 64, BLOCK_N: 64, BLOCK_K: 64 },
  cpu: { BLOCK_M: 128, BLOCK_N: 128, BLOCK_K: 128 },
};

/**
 * a · b with f32 accumulation and one rounding, [M, N].
 * @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_MISSING` (`accumulate` without `out`).
 */
export function matmul(args: MatmulArguments): Tensor {
  const check = ArgumentChecker.of("matmul", args, {
    a: true,
    b: true,
    transposeA: true,
    transposeB: true,
    out: true,
    outDtype: true,
    accumulate: true,
  });
  const { a, b, transposeA = false, transposeB = false, accumulate = false, out: given, outDtype } = args;
  for (const [name, flag] of Object.entries({ transposeA, transposeB, accumulate })) check.flag(name, flag);
  check.tensor("a", a, transposeA ? ["K", "M"] : ["M", "K"], floatDTypes);
  check.tensor("b", b, transposeB ? ["N", "K"] : ["K", "N"], floatDTypes);
  const [rows, columns] = [check.size("M"), check.size("N")];
  if (accumulate && given === undefined)
    check.fail("ARGUMENT_MISSING", '"accumulate" adds to what "out" holds, so "out" must be given');
  const out = check.floatOutput("out", given, [rows, columns], outDtype, a.dtype);
  if (out.size === 0) return out;
  const { backend } = check.device;
  const { BLOCK_M, BLOCK_N, BLOCK_K } = blocks[backend];
  const noLonger = (block: number, size: number): number => Math.min(block, Math.max(16, nextPowerOfTwo(size)));
  // As many bytes along K in f32 as in 16 bits: more would not stay in registers on the way.
  const wide = backend === "cuda" && (a.dtype === "f32" || b.dtype === "f32");
  const constants = {
    BLOCK_N,
    BLOCK_K: noLonger(wide ? BLOCK_K / 2 : BLOCK_K, check.size("K")),
    BLOCK_M: noLonger(BLOCK_M, rows),
    TRANSPOSE_A: transposeA,
    TRANSPOSE_B: transposeB,
    ACCUMULATE: accumulate,
  };
  check.device.launch(matmulKernel, { a, b, out }, { constants });
  return out;
}
