/** @file The host operator `swiglu`. */
import type { Tensor } from "../../runtime/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { swigluKernel } from "./kernel.ts";

export interface SwigluArguments {
  /** [rows, F], f16, bf16 or f32. */
  readonly gate: Tensor;
  /** [rows, F], dtype of gate. */
  readonly up: Tensor;
  readonly out?: Tensor;
}

/** silu(gate) · up in f32, rounded once. @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`. */
export function swiglu({ gate, up, out: given }: SwigluArguments): Tensor {
  const check = new ArgumentChecker("swiglu");
  check.tensor("gate", gate, ["rows", "F"], floatDTypes);
  check.tensor("up", up, ["rows", "F"], [gate.dtype]);
  const out = check.output("out", given, gate.shape, gate.dtype);
  if (out.size > 0) check.device.launch(swigluKernel, { gate, up, out });
  return out;
}
