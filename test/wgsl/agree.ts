/** @file "The generated WGSL computes what the interpreter does": the one assertion of the execution tests, on every device and flavour. */
import { expect } from "vitest";
import { compileWgsl } from "../../src/codegen/wgsl/index.ts";
import { type Checks, interpret, type StorageArray } from "../../src/interpreter/index.ts";
import { type DType, isFloat, type Kernel, parseKernel } from "../../src/ir/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { lavapipeDriver } from "../../src/runtime/node/vulkan.ts";
import { bf16BitsToF32, f16BitsToF32 } from "../../src/support/index.ts";
import {
  type Flavour,
  type LaunchArguments,
  launch,
  type TensorArgument,
  type TestDevice,
  testDevice,
} from "./devices.ts";

/** SwiftShader comes as an npm package, so it must be there; lavapipe is a package of the system. */
export const hasLavapipe = "value" in (await lavapipeDriver());
export const adapters = hasLavapipe ? (["swiftshader", "lavapipe"] as const) : (["swiftshader"] as const);
export const flavours: readonly Flavour[] = ["all", "minimal", "gpu"];

export interface AgreeOptions {
  readonly grid?: readonly [number, number?, number?];
  /** The largest difference of two floats that counts as none, given the interpreter's value; 0 by default. */
  readonly tolerance?: (expected: number) => number;
  readonly checks?: Partial<Checks>;
  /** Hand the kernel over as it is, not optimised. */
  readonly raw?: boolean;
}

const lenient: Partial<Checks> = { nan: false, infinity: false, arithmetic: false, undefinedValues: false };

/** Runs a kernel in the interpreter and on a device, on copies of the arguments, and compares all tensors. */
export async function expectAgreement(
  device: TestDevice,
  kernelOrText: Kernel | string,
  given: LaunchArguments,
  { grid = [1], tolerance = () => 0, checks = {}, raw = false }: AgreeOptions = {},
): Promise<void> {
  const kernel = typeof kernelOrText === "string" ? parseKernel(kernelOrText) : kernelOrText;
  const expected = copy(given);
  interpret(kernel, { arguments: expected, grid, checks: { ...lenient, ...checks } });
  const actual = copy(given);
  const compiled = compileWgsl(raw ? kernel : optimize(kernel), device.capabilities);
  await launch(device, compiled, actual, [grid[0], grid[1] ?? 1, grid[2] ?? 1]);
  for (const { name, dtype, kind } of kernel.parameters) {
    if (kind === "scalar") continue;
    const want = (expected[name] as TensorArgument).data;
    const got = (actual[name] as TensorArgument).data;
    for (let i = 0; i < want.length; i++)
      if (!close(dtype, want[i]!, got[i]!, tolerance))
        expect.fail(
          `${device.name}: ${name}[${i}] is ${show(dtype, got[i]!)}, the interpreter gives ${show(dtype, want[i]!)}\n${compiled.source}`,
        );
  }
}

/** The same on several devices and flavours. Code for GPUs, which leans on loops being unrolled, would keep lavapipe compiling for long. */
export async function expectAgreementEverywhere(
  kernel: Kernel | string,
  given: LaunchArguments,
  options: AgreeOptions = {},
): Promise<void> {
  for (const adapter of adapters)
    for (const flavour of adapter === "lavapipe" ? flavours.slice(0, 2) : flavours)
      await expectAgreement(await testDevice(adapter, flavour), kernel, given, options);
}

const copy = (given: LaunchArguments): LaunchArguments =>
  Object.fromEntries(
    Object.entries(given).map(([name, argument]) => [
      name,
      typeof argument === "object" ? { ...argument, data: argument.data.slice() } : argument,
    ]),
  );

const numberOf = (dtype: DType, stored: number | bigint): number =>
  dtype === "f16" ? f16BitsToF32(Number(stored)) : dtype === "bf16" ? bf16BitsToF32(Number(stored)) : Number(stored);
const show = (dtype: DType, stored: number | bigint): string =>
  isFloat(dtype) ? String(numberOf(dtype, stored)) : String(stored);

/** WGSL leaves the sign of zero open, and so do we. */
function close(
  dtype: DType,
  expected: number | bigint,
  actual: number | bigint,
  tolerance: (expected: number) => number,
): boolean {
  if (!isFloat(dtype)) return expected === actual;
  const [want, got] = [numberOf(dtype, expected), numberOf(dtype, actual)];
  if (Number.isNaN(want) || Number.isNaN(got)) return Number.isNaN(want) && Number.isNaN(got);
  return want === got || Math.abs(want - got) <= tolerance(want);
}

/** A tensor argument of consecutive values. */
export const ramp = (length: number, each: (i: number) => number = (i) => i): Float32Array =>
  Float32Array.from({ length }, (_, i) => each(i));
export const tensor = (data: StorageArray, shape?: readonly number[]): TensorArgument => ({
  data,
  ...(shape ? { shape } : {}),
});
