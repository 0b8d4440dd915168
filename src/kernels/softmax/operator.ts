/** @file The host operator `softmax`. */
import type { Tensor } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { softmaxKernel } from "./kernel.ts";

export interface SoftmaxArguments {
  /** [rows, columns], f16, bf16 or f32. */
  readonly x: Tensor;
  readonly out?: Tensor;
}

/** Softmax over the last axis in f32, rounded once. @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`. */
export function softmax(args: SoftmaxArguments): Tensor {
  const check = ArgumentChecker.of("softmax", args, { x: true, out: true });
  const { x, out: given } = args;
  check.tensor("x", x, ["rows", "columns"], floatDTypes);
  const out = check.output("out", given, x.shape, x.dtype);
  if (out.size > 0)
    check.device.launch(softmaxKernel, { x, out }, { constants: { COLUMNS: nextPowerOfTwo(x.shape[1]!) } });
  return out;
}
