/** @file The host operator `rmsNorm`. */
import type { Tensor } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { rmsNormKernel } from "./kernel.ts";

export interface RmsNormArguments {
  /** [rows, hidden], f16, bf16 or f32. */
  readonly x: Tensor;
  /** [hidden]; may have another float dtype. */
  readonly weight: Tensor;
  /** Added to the mean square. Default 1e-5. */
  readonly epsilon?: number;
  readonly out?: Tensor;
}

/**
 * x / sqrt(mean(x²) + epsilon) · weight over the last axis, in f32 with one rounding.
 * @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`.
 */
export function rmsNorm({ x, weight, epsilon = 1e-5, out: given }: RmsNormArguments): Tensor {
  const check = new ArgumentChecker("rmsNorm");
  check.tensor("x", x, ["rows", "hidden"], floatDTypes);
  check.tensor("weight", weight, ["hidden"], floatDTypes);
  check.number("epsilon", epsilon, { above: 0 });
  const out = check.output("out", given, x.shape, x.dtype);
  if (out.size > 0)
    check.device.launch(
      rmsNormKernel,
      { x, weight, out, epsilon },
      { constants: { HIDDEN: nextPowerOfTwo(x.shape[1]!) } },
    );
  return out;
}
