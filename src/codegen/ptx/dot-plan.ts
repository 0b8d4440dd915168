/**
 * @file How a dot is done: on tensor cores, or by fused multiply-adds on small tiles of registers.
 */
import { type DType, type Operation, shapeOf } from "../../ir/index.ts";
import { blocked, type LinearLayout, type MmaContraction, type MmaInstruction } from "../../layout/index.ts";
import type { TargetInfo } from "./target.ts";

export type DotPlan =
  | {
      readonly kind: "mma";
      readonly instruction: MmaInstruction;
      readonly contraction: MmaContraction;
    }
  | { readonly kind: "fma" };

/**
 * Halves and i8 go to the tensor cores, f32 only when tf32 is asked for; a contraction shorter than the instruction's does not, since a copy
 * would be summed twice. Rows and columns may be fewer than the instruction's: copies compute copies.
 */
export function planDot(operation: Operation, target: TargetInfo): DotPlan {
  const [a] = operation.operands;
  const dtype: DType = a!.type.dtype;
  const k = shapeOf(a!.type)[1]!;
  const half = dtype === "f16" || dtype === "bf16";
  if (dtype === "i8")
    return k < 32 ? { kind: "fma" } : { kind: "mma", instruction: target.mma.byte, contraction: "standard" };
  if (!half && operation.attributes.precision !== "tf32") return { kind: "fma" };
  if (k < (half ? 16 : 8)) return { kind: "fma" };
  return half
    ? { kind: "mma", instruction: target.mma.half, contraction: "standard" }
    : { kind: "mma", instruction: target.mma.tf32, contraction: "accumulator" };
}

/**
 * Warps along M and N of an [M, N] tile of accumulators. `byRows`: all along the rows as far as each warp has 16 of its own, so that rows
 * are reduced within four lanes and the result is the next dot's operand as it is. Otherwise each warp has a box as square as
 * can be, for which it loads the fewest rows of a and columns of b.
 */
export function warpGrid(
  [m, n]: readonly [number, number],
  numWarps: number,
  byRows: boolean,
): readonly [number, number] {
  const mostAlongM = Math.min(numWarps, Math.max(1, m / 16));
  const mostAlongN = Math.min(numWarps, Math.max(1, n / 8));
  let alongM = mostAlongM;
  if (!byRows)
    for (let fewer = alongM / 2; fewer >= 1 && numWarps / fewer <= mostAlongN; fewer /= 2)
      if (m / fewer + (n * fewer) / numWarps <= m / alongM + (n * alongM) / numWarps) alongM = fewer;
  const alongN = Math.min(numWarps / alongM, mostAlongN);
  // Warps for which there is neither repeat the rows.
  return [numWarps / alongN, alongN];
}

/** The accumulators of a dot by multiply-adds: a micro-tile of up to 8 x 4 a thread, so that 12 values feed 32 instructions. */
export function fmaLayout(shape: readonly [number, number], numWarps: number, warpSize: number): LinearLayout {
  const [m, n] = shape;
  const each = Math.max(1, (m * n) / (numWarps * warpSize));
  const columns = Math.min(4, n, each);
  const rows = Math.min(8, m, Math.max(1, each / columns));
  const lanesAlongN = Math.min(warpSize, Math.max(1, Math.min(8, n / columns)));
  const lanesAlongM = warpSize / lanesAlongN;
  const warpsAlongM = Math.min(numWarps, Math.max(1, m / (rows * lanesAlongM)));
  return blocked({
    shape,
    sizePerThread: [rows, columns],
    threadsPerWarp: [lanesAlongM, lanesAlongN],
    warpsPerCta: [warpsAlongM, numWarps / warpsAlongM],
    order: [1, 0],
  });
}
