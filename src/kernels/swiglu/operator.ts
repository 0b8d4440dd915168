/** @file The host operators `swiglu` and `swigluBackward`. */
import type { Tensor } from "../../runtime/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { swigluBackwardKernel, swigluKernel } from "./kernel.ts";

export interface SwigluArguments {
  /** [rows, F], f16, bf16 or f32. */
  readonly gate: Tensor;
  /** [rows, F], dtype of gate. */
  readonly up: Tensor;
  readonly out?: Tensor;
}

/** silu(gate) · up in f32, rounded once. @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`. */
export function swiglu(args: SwigluArguments): Tensor {
  const check = ArgumentChecker.of("swiglu", args, { gate: true, up: true, out: true });
  const { gate, up, out: given } = args;
  check.tensor("gate", gate, ["rows", "F"], floatDTypes);
  check.tensor("up", up, ["rows", "F"], [gate.dtype]);
  const out = check.output("out", given, gate.shape, gate.dtype);
  if (out.size > 0) check.device.launch(swigluKernel, { gate, up, out });
  return out;
}

export interface SwigluBackwardArguments {
  /** [rows, F], as given to `swiglu`. */
  readonly gate: Tensor;
  /** [rows, F], as given to `swiglu`. */
  readonly up: Tensor;
  /** [rows, F], dtype of gate: the gradient of `swiglu`'s result. */
  readonly dout: Tensor;
  /** Write the gradients here: [rows, F], dtype of gate. */
  readonly dgate?: Tensor;
  readonly dup?: Tensor;
}

/** The gradients of `swiglu`, in f32, rounded once. @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`. */
export function swigluBackward(args: SwigluBackwardArguments): { dgate: Tensor; dup: Tensor } {
  const check = ArgumentChecker.of("swigluBackward", args, {
    gate: true,
    up: true,
    dout: true,
    dgate: true,
    dup: true,
  });
  const { gate, up, dout, ...given } = args;
  check.tensor("gate", gate, ["rows", "F"], floatDTypes);
  check.tensor("up", up, ["rows", "F"], [gate.dtype]);
  check.tensor("dout", dout, ["rows", "F"], [gate.dtype]);
  const dgate = check.output("dgate", given.dgate, gate.shape, gate.dtype);
  const dup = check.output("dup", given.dup, gate.shape, gate.dtype);
  if (dgate.size > 0) check.device.launch(swigluBackwardKernel, { gate, up, dout, dgate, dup });
  return { dgate, dup };
}
