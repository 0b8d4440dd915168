/** @file The host operator `adamWStep`. */
import type { Tensor } from "../../runtime/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { adamWKernel, adamWMasterKernel } from "./kernel.ts";

/** The numbers of AdamW, the same for many parameters. */
export interface AdamWOptions {
  /** Not negative. */
  readonly learningRate: number;
  /** Decays of the two moments, each in [0, 1). Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second moment; positive. Default 1e-8. */
  readonly epsilon?: number;
  /** Decoupled: the parameter shrinks by learningRate · weightDecay of itself. Default 0.01. */
  readonly weightDecay?: number;
}

export interface AdamWArguments extends AdamWOptions {
  /** Any shape, row-major; f16, bf16 or f32. Changed. */
  readonly parameter: Tensor;
  /** Shape of the parameter, row-major; any float dtype. */
  readonly gradient: Tensor;
  /** f32 of the parameter's shape, row-major, zeros before the first step. Changed. */
  readonly firstMoment: Tensor;
  /** f32 of the parameter's shape, row-major, zeros before the first step. Changed. */
  readonly secondMoment: Tensor;
  /** f32 copy of a 16-bit parameter, which carries the step; `parameter` becomes its rounding. Changed. */
  readonly master?: Tensor;
  /** Which step this is, from 1 on. */
  readonly step: number;
  /** Factor of the gradient, to undo loss scaling or to clip. Default 1. */
  readonly gradientScale?: number;
}

/**
 * One step of AdamW (arXiv 1711.05101) with bias correction and decoupled weight decay, in place, in f32 with one rounding.
 * @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`, `ARGUMENT_LAYOUT` (not row-major).
 */
export function adamWStep(given: AdamWArguments): void {
  const check = ArgumentChecker.of("adamWStep", given, {
    parameter: true,
    gradient: true,
    firstMoment: true,
    secondMoment: true,
    master: true,
    step: true,
    learningRate: true,
    betas: true,
    epsilon: true,
    weightDecay: true,
    gradientScale: true,
  });
  const { parameter, gradient, firstMoment, secondMoment, master, step, learningRate } = given;
  const { betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0.01, gradientScale = 1 } = given;
  const shape = parameter?.shape ?? [];
  check.tensor("parameter", parameter, shape, floatDTypes);
  check.tensor("gradient", gradient, shape, floatDTypes);
  check.tensor("firstMoment", firstMoment, shape, ["f32"]);
  check.tensor("secondMoment", secondMoment, shape, ["f32"]);
  if (master !== undefined) check.tensor("master", master, shape, ["f32"]);
  check.integer("step", step, 1);
  check.number("learningRate", learningRate, { from: 0 });
  check.number("epsilon", epsilon, { above: 0 });
  check.number("weightDecay", weightDecay, { from: 0 });
  check.number("gradientScale", gradientScale);
  const [beta1, beta2] = betas;
  check.number("betas[0]", beta1, { from: 0, below: 1 });
  check.number("betas[1]", beta2, { from: 0, below: 1 });
  if (parameter.size === 0) return;

  const flat = Object.fromEntries(
    Object.entries({ parameter, gradient, firstMoment, secondMoment, ...(master && { master }) }).map(
      ([name, tensor]) => {
        if (!tensor.isRowMajor)
          check.fail("ARGUMENT_LAYOUT", `"${name}" has strides [${tensor.strides.join(", ")}]: it must be row-major`);
        return [name, tensor.reshape([parameter.size])];
      },
    ),
  );
  const scalars = {
    beta1,
    beta2,
    complement1: 1 - beta1,
    complement2: 1 - beta2,
    stepSize: learningRate / (1 - beta1 ** step),
    rootCorrection: 1 / Math.sqrt(1 - beta2 ** step),
    epsilon,
    decay: learningRate * weightDecay,
    gradientScale,
  };
  check.device.launch(master ? adamWMasterKernel : adamWKernel, { ...flat, ...scalars });
  for (const view of Object.values(flat)) view.dispose();
}
