/** What the training operators say to wrong arguments: the code, and a message that names the operator, the argument and the rule. */
import { afterAll, expect, test } from "vitest";
import type { DType } from "../../src/ir/index.ts";
import {
  adamWStep,
  crossEntropy,
  crossEntropyBackward,
  embeddingBackward,
  matmul,
  rmsNormBackward,
  rope,
  swigluBackward,
} from "../../src/kernels/index.ts";
import { CpuDevice } from "../../src/runtime/index.ts";
import { ArgumentError } from "../../src/support/errors.ts";

const device = new CpuDevice();
const other = new CpuDevice();
afterAll(() => {
  device.dispose();
  other.dispose();
});

const zeros = (shape: readonly number[], dtype: DType = "f32") => device.zeros(shape, dtype);
const ids = (count: number) => zeros([count], "i32");
const step = {
  parameter: zeros([2, 3]),
  gradient: zeros([2, 3]),
  firstMoment: zeros([2, 3]),
  secondMoment: zeros([2, 3]),
  step: 1,
  learningRate: 1e-3,
};
const rows = { logits: zeros([3, 5]), labels: ids(3) };
const after = { ...rows, statistics: zeros([3, 2]), dloss: zeros([1]) };

const wrong: Record<string, readonly [call: () => unknown, code: string, message: RegExp]> = {
  "matmul: inner sizes": [
    () => matmul({ a: zeros([4, 2]), transposeA: true, b: zeros([5, 3]) }),
    "ARGUMENT_SHAPE",
    /matmul: "b" has shape \[5, 3\], but must be \[K, N\] \(K is 4 by "a"\)/,
  ],
  "matmul: a name that it has not": [
    () => matmul({ a: zeros([2, 2]), b: zeros([2, 2]), ...{ transB: true } }),
    "ARGUMENT_UNKNOWN",
    /matmul: there is no argument "transB"; known are a, b, transposeA, transposeB,/,
  ],
  "matmul: no arguments": [
    () => (matmul as () => unknown)(),
    "ARGUMENT_MISSING",
    /matmul: its arguments are one object, \{ a, b, /,
  ],
  "matmul: accumulate": [
    () => matmul({ a: zeros([2, 2]), b: zeros([2, 2]), accumulate: true }),
    "ARGUMENT_MISSING",
    /matmul: "accumulate" .* "out" must be given/,
  ],
  "rmsNormBackward: dout": [
    () => rmsNormBackward({ x: zeros([2, 4]), weight: zeros([4]), dout: zeros([2, 4], "f16") }),
    "ARGUMENT_DTYPE",
    /rmsNormBackward: "dout" is f16, but must be f32/,
  ],
  "rmsNormBackward: epsilon": [
    () => rmsNormBackward({ x: zeros([2, 4]), weight: zeros([4]), dout: zeros([2, 4]), epsilon: 0 }),
    "ARGUMENT_VALUE",
    /rmsNormBackward: "epsilon" must be a finite number above 0, got 0/,
  ],
  "rmsNormBackward: dweight": [
    () => rmsNormBackward({ x: zeros([2, 4]), weight: zeros([4]), dout: zeros([2, 4]), dweight: zeros([4], "i32") }),
    "ARGUMENT_DTYPE",
    /"dweight" is i32, but must be f16 or bf16 or f32/,
  ],
  "matmul: outDtype": [
    () => matmul({ a: zeros([2, 2]), b: zeros([2, 2]), outDtype: "i32" }),
    "ARGUMENT_VALUE",
    /matmul: "outDtype" must be "f16" or "bf16" or "f32", got i32/,
  ],
  "embeddingBackward: out dtype": [
    () => embeddingBackward({ dout: zeros([2, 4]), ids: ids(2), rows: 7, out: zeros([7, 4], "i32") }),
    "ARGUMENT_DTYPE",
    /"out" is i32/,
  ],
  "rope: positions": [
    () => rope({ x: zeros([1, 1, 5, 4]), cos: zeros([4, 2]), sin: zeros([4, 2]), inverse: true }),
    "ARGUMENT_VALUE",
    /positions up to 4/,
  ],
  "swigluBackward: dup": [
    () => swigluBackward({ gate: zeros([2, 4]), up: zeros([2, 4]), dout: zeros([2, 4]), dup: zeros([2, 5]) }),
    "ARGUMENT_SHAPE",
    /swigluBackward: "dup" has shape \[2, 5\], but must be \[2, 4\]/,
  ],
  "embeddingBackward: ids": [
    () => embeddingBackward({ dout: zeros([2, 4]), ids: ids(3), rows: 7 }),
    "ARGUMENT_SHAPE",
    /embeddingBackward: "ids" has shape \[3\], but must be \[T\] \(T is 2 by "dout"\)/,
  ],
  "embeddingBackward: rows": [
    () => embeddingBackward({ dout: zeros([2, 4]), ids: ids(2), rows: 1.5 }),
    "ARGUMENT_VALUE",
    /"rows" must be an integer/,
  ],
  "embeddingBackward: out": [
    () => embeddingBackward({ dout: zeros([2, 4]), ids: ids(2), rows: 7, out: zeros([6, 4]) }),
    "ARGUMENT_SHAPE",
    /"out" has shape \[6, 4\], but must be \[7, 4\]/,
  ],
  "crossEntropy: labels": [
    () => crossEntropy({ ...rows, labels: zeros([3]) }),
    "ARGUMENT_DTYPE",
    /crossEntropy: "labels" is f32, but must be i32/,
  ],
  "crossEntropy: reduction": [
    () => crossEntropy({ ...rows, reduction: "avg" as "mean" }),
    "ARGUMENT_VALUE",
    /crossEntropy: "reduction" must be "mean" or "sum" or "none", got avg/,
  ],
  "crossEntropy: no classes": [
    () => crossEntropy({ ...rows, logits: zeros([3, 0]) }),
    "ARGUMENT_SHAPE",
    /crossEntropy: "logits" has shape \[3, 0\]: .* no classes/,
  ],
  "crossEntropyBackward: dloss": [
    () => crossEntropyBackward({ ...after, dloss: zeros([2]) }),
    "ARGUMENT_SHAPE",
    /crossEntropyBackward: "dloss" has shape \[2\], but must be \[T\] \(T is 3 by "logits"\)/,
  ],
  "crossEntropyBackward: device": [
    () => crossEntropyBackward({ ...after, statistics: other.zeros([3, 2], "f32") }),
    "ARGUMENT_DEVICE",
    /"statistics" lives on another device than "logits"/,
  ],
  "adamWStep: gradient": [
    () => adamWStep({ ...step, gradient: undefined as never }),
    "ARGUMENT_MISSING",
    /adamWStep: "gradient" must be a tensor/,
  ],
  "adamWStep: moments": [
    () => adamWStep({ ...step, firstMoment: zeros([2, 3], "bf16") }),
    "ARGUMENT_DTYPE",
    /"firstMoment" is bf16, but must be f32/,
  ],
  "adamWStep: step": [
    () => adamWStep({ ...step, step: 0 }),
    "ARGUMENT_VALUE",
    /"step" must be an integer of at least 1, got 0/,
  ],
  "adamWStep: betas": [
    () => adamWStep({ ...step, betas: [0.9, 1] }),
    "ARGUMENT_VALUE",
    /"betas\[1\]" must be a finite number of at least 0 and below 1, got 1/,
  ],
  "adamWStep: layout": [
    () => adamWStep({ ...step, gradient: zeros([3, 2]).transpose() }),
    "ARGUMENT_LAYOUT",
    /"gradient" has strides \[1, 2\]: it must be row-major/,
  ],
};

test.each(Object.keys(wrong))("%s", (name) => {
  const [call, code, message] = wrong[name]!;
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(ArgumentError);
  expect((thrown as ArgumentError).code).toBe(code);
  expect((thrown as ArgumentError).message).toMatch(message);
});
