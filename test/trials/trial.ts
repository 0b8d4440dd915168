/**
 * @file Trials: kernels that the compiler was not made for, each written from its paper. They run on the interpreter, on WebGPU (SwiftShader) and
 * as PTX in the package's emulator, and are judged by plain f64 code; of the PTX, the loops are looked at.
 */
import { afterAll, describe } from "vitest";
import { compile } from "../../src/codegen/index.ts";
import type { KernelDefinition, Specialization } from "../../src/dsl/index.ts";
import type { Tensor } from "../../src/runtime/index.ts";
import { createDevice, type Device } from "../../src/runtime/index.ts";
import { ptxDevice } from "../ptx/device.ts";
import { instructionsOfLoops } from "../ptx/loops.ts";
import { type FloatDType, randomValues } from "../support/rounding.ts";

export { Terms } from "../kernels/training-reference.ts";

/** Runs a suite on each target. */
export function onEveryTarget(suite: (device: Device) => void): void {
  const devices: Device[] = [];
  afterAll(() => devices.forEach((device) => void device.dispose()));
  for (const [name, make] of [
    ["the interpreter", () => createDevice({ backend: "cpu" })],
    ["WebGPU, SwiftShader", () => createDevice({ backend: "webgpu", adapter: "swiftshader" })],
    ["PTX in the emulator", ptxDevice],
  ] as const)
    describe(name, async () => {
      const device = await make();
      devices.push(device);
      suite(device);
    });
}

/** Random numbers of a dtype, on the device and here. */
export interface Numbers {
  readonly values: Float32Array;
  on(device: Device): Tensor;
}
export function numbers(dtype: FloatDType, shape: readonly number[], seed: number, scale = 1): Numbers {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = randomValues(dtype, count, seed, scale);
  return { values, on: (device) => device.tensor(values, { shape, dtype }) };
}

/** How often opcodes stand in the PTX of a kernel: in each of its loops, innermost first, and in all of it. */
export function ptxOf(definition: KernelDefinition<any, any>, specialization: Specialization = {}) {
  const { source } = compile(definition, "sm_80", specialization);
  const counter = (opcodes: readonly string[]) => (pattern: RegExp) =>
    opcodes.filter((opcode) => pattern.test(opcode)).length;
  const all = [...source.matchAll(/^\s*(?:@!?%\w+ )?([a-z][\w.]*)/gm)].map((match) => match[1]!);
  return { source, loops: instructionsOfLoops(source).map(counter), all: counter(all) };
}
