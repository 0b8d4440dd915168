/** @file The host operators `add` and `copy`. */
import type { Tensor } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { addKernel, copyKernel } from "./kernel.ts";

export interface AddArguments {
  /** [rows, columns], f16, bf16 or f32. */
  readonly a: Tensor;
  /** [rows, columns], dtype of a. */
  readonly b: Tensor;
  readonly out?: Tensor;
}

/** a + b in f32, rounded once. @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`. */
export function add(args: AddArguments): Tensor {
  const check = ArgumentChecker.of("add", args, { a: true, b: true, out: true });
  const { a, b, out: given } = args;
  check.tensor("a", a, ["rows", "columns"], floatDTypes);
  check.tensor("b", b, ["rows", "columns"], [a.dtype]);
  const out = check.output("out", given, a.shape, a.dtype);
  if (out.size > 0) check.device.launch(addKernel, { a, b, out });
  return out;
}

/** Of longer rows several programs copy a part each, so that a thread holds few elements. */
const MAX_WIDTH = 128;

export interface CopyArguments {
  /** [B, H, T, D], f16, bf16 or f32; any strides. */
  readonly from: Tensor;
  /** [B, H, T, D], any float dtype and strides, in other memory than `from`: a window of a KV cache, for example. */
  readonly to: Tensor;
}

/** Copies elements between strided tensors, converting the dtype; gives `to`. @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`. */
export function copy(args: CopyArguments): Tensor {
  const check = ArgumentChecker.of("copy", args, { from: true, to: true });
  const { from, to } = args;
  check.tensor("from", from, ["B", "H", "T", "D"], floatDTypes);
  check.tensor("to", to, ["B", "H", "T", "D"], floatDTypes);
  const WIDTH = Math.min(MAX_WIDTH, nextPowerOfTwo(from.shape[3]!));
  if (to.size > 0) check.device.launch(copyKernel, { from, to }, { constants: { WIDTH } });
  return to;
}
