/** @file The host operators `rmsNorm` and `rmsNormBackward`. */
import type { Tensor } from "../../runtime/index.ts";
import { ceilDiv, nextPowerOfTwo } from "../../support/index.ts";
import { columnSumKernel } from "../reduction/kernel.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { rmsNormBackwardKernel, rmsNormKernel, rmsNormWeightGradientKernel } from "./kernel.ts";

export interface RmsNormArguments {
  /** [rows, hidden], f16, bf16 or f32. */
  readonly x: Tensor;
  /** [hidden]; may have another float dtype. */
  readonly weight: Tensor;
  /** Added to the mean square. Default 1e-5. */
  readonly epsilon?: number;
  readonly out?: Tensor;
}

/** Elements of a row that are in registers at once: 16 warps of 8 a thread. */
const longestBlock = 4096;
const rowConstants = (hidden: number) => ({ BLOCK: Math.min(nextPowerOfTwo(hidden), longestBlock) });

/**
 * x / sqrt(mean(x²) + epsilon) · weight over the last axis, in f32 with one rounding. Rows of any length.
 * @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`.
 */
export function rmsNorm(args: RmsNormArguments): Tensor {
  const check = ArgumentChecker.of("rmsNorm", args, { x: true, weight: true, epsilon: true, out: true });
  const { x, weight, epsilon = 1e-5, out: given } = args;
  check.tensor("x", x, ["rows", "hidden"], floatDTypes);
  check.tensor("weight", weight, ["hidden"], floatDTypes);
  check.number("epsilon", epsilon, { above: 0 });
  const out = check.output("out", given, x.shape, x.dtype);
  if (out.size > 0)
    check.device.launch(rmsNormKernel, { x, weight, out, epsilon }, { constants: rowConstants(x.shape[1]!) });
  return out;
}

export interface RmsNormBackwardArguments {
  /** [rows, hidden], as given to `rmsNorm`. */
  readonly x: Tensor;
  /** [hidden], as given to `rmsNorm`. */
  readonly weight: Tensor;
  /** [rows, hidden], dtype of x: the gradient of `rmsNorm`'s result. */
  readonly dout: Tensor;
  /** As given to `rmsNorm`. Default 1e-5. */
  readonly epsilon?: number;
  /** Write the gradient of x here: [rows, hidden], dtype of x. */
  readonly dx?: Tensor;
  /** Write the gradient of the weight here: [hidden]. Default: a new tensor of the weight's dtype. */
  readonly dweight?: Tensor;
}

/** The gradient of the weight is summed in at most so many groups of rows, which run side by side. */
const mostGroups = 64;

/**
 * The gradients of `rmsNorm`: `dx` [rows, hidden] and `dweight` [hidden], in f32 with one rounding. Deterministic: each group of rows
 * gives one partial sum of the weight's gradient, and a second kernel adds those in order. Takes 4 · 64 · hidden bytes of workspace at most,
 * and 4 a row.
 * @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`.
 */
export function rmsNormBackward(given: RmsNormBackwardArguments): { dx: Tensor; dweight: Tensor } {
  const check = ArgumentChecker.of("rmsNormBackward", given, {
    x: true,
    weight: true,
    dout: true,
    epsilon: true,
    dx: true,
    dweight: true,
  });
  const { x, weight, dout, epsilon = 1e-5 } = given;
  check.tensor("x", x, ["rows", "hidden"], floatDTypes);
  check.tensor("weight", weight, ["hidden"], floatDTypes);
  check.tensor("dout", dout, ["rows", "hidden"], [x.dtype]);
  check.number("epsilon", epsilon, { above: 0 });
  const dx = check.output("dx", given.dx, x.shape, x.dtype);
  const dweight = check.output("dweight", given.dweight, weight.shape, weight.dtype, floatDTypes);
  const [rows, hidden] = [check.size("rows"), check.size("hidden")];
  const { device } = check;

  const { BLOCK_ROWS } = rmsNormWeightGradientKernel.constants;
  const rowsOfGroup = BLOCK_ROWS * Math.max(1, ceilDiv(rows, BLOCK_ROWS * mostGroups));
  using inverse = device.empty([rows], "f32");
  using partial = device.empty([ceilDiv(rows, rowsOfGroup), hidden], "f32");
  if (dx.size > 0) {
    device.launch(
      rmsNormBackwardKernel,
      { x, weight, dout, dx, inverse, epsilon },
      { constants: rowConstants(hidden) },
    );
    device.launch(rmsNormWeightGradientKernel, { x, dout, inverse, partial, rows: rowsOfGroup });
  }
  // Without rows the sum over no partial result is the gradient: zeros.
  if (dweight.size > 0) device.launch(columnSumKernel, { partial, out: dweight });
  return { dx, dweight };
}
