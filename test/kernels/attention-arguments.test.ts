/** Every mistake in the arguments of the attention operators is an error that names the operator and the argument, before any launch. */
import { afterAll, describe, expect, it } from "vitest";
import {
  attention,
  attentionBackward,
  piecewiseAttention,
  piecewiseAttentionBackward,
} from "../../src/kernels/index.ts";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import type { Tensor } from "../../src/runtime/index.ts";
import { TilewrightError } from "../../src/support/errors.ts";

const [device, other] = [new CpuDevice(), new CpuDevice()];
afterAll(() => {
  device.dispose();
  other.dispose();
});

const zeros = (shape: readonly number[], dtype: "f16" | "f32" = "f16", on = device): Tensor => on.zeros(shape, dtype);
const queries = zeros([2, 4, 5, 16]);
const keys = zeros([2, 2, 6, 16]);
const values = zeros([2, 2, 6, 8]);
const output = zeros([2, 4, 5, 8]);
const lse = zeros([2, 4, 5], "f32");

const forward = { q: queries, k: keys, v: values };
const pieces = { q1: queries, k1: keys, q2: queries, k2: keys, v: values, threshold: 3 };
const backward = { out: output, lse, dout: output };
/** Every operator with arguments that it takes. */
const operators = {
  attention: [attention, forward],
  attentionBackward: [attentionBackward, { ...forward, ...backward }],
  piecewiseAttention: [piecewiseAttention, pieces],
  piecewiseAttentionBackward: [piecewiseAttentionBackward, { ...pieces, ...backward }],
} as const;
type Name = keyof typeof operators;

function failure(operator: Name, change: Record<string, unknown>): TilewrightError {
  const [run, good] = operators[operator] as [(args: unknown) => unknown, object];
  try {
    run({ ...good, ...change });
  } catch (error) {
    if (error instanceof TilewrightError) return error;
    throw error;
  }
  throw new Error(`${operator} took ${Object.keys(change)}`);
}

const random = { probability: 0.5, seed: 1, offset: 2 };
const first = { attention: "q", attentionBackward: "q", piecewiseAttention: "q1", piecewiseAttentionBackward: "q1" };
/** What is wrong, the code, and what the message must name. `q` and `k` stand for the operator's first operands. */
const mistakes: [change: Record<string, unknown>, code: string, message: RegExp][] = [
  [{ k: zeros([2, 2, 6, 32]) }, "ARGUMENT_SHAPE", /"k1?" has shape \[2, 2, 6, 32\], but must be .*D is 16 by "q1?"/],
  [{ k: zeros([3, 2, 6, 16]) }, "ARGUMENT_SHAPE", /"k1?" .*B is 2 by "q1?"/],
  [{ v: zeros([2, 2, 7, 8]) }, "ARGUMENT_SHAPE", /"v" .*N is 6 by "k1?"/],
  [{ v: zeros([2, 2, 6, 8], "f32") }, "ARGUMENT_DTYPE", /"v" is f32, but must be f16/],
  [{ q: zeros([2, 4, 80]) }, "ARGUMENT_SHAPE", /"q1?" has shape \[2, 4, 80\]/],
  [{ q: undefined }, "ARGUMENT_MISSING", /"q1?" must be a tensor of a device, got undefined/],
  [{ v: null }, "ARGUMENT_MISSING", /"v" must be a tensor of a device, got null/],
  [{ v: zeros([2, 2, 6, 8], "f16", other) }, "ARGUMENT_DEVICE", /"v" lives on another device than "q1?"/],
  [{ scale: 0 }, "ARGUMENT_VALUE", /"scale" must be a finite number .*, got 0/],
  // 0 in f32, and infinite once multiplied: NaNs would arise from -Infinity, the logit of what is hidden.
  [{ scale: 1e-46 }, "ARGUMENT_VALUE", /"scale" must be .* of at least 1.17.*e-38/],
  [{ scale: 1e30 }, "ARGUMENT_VALUE", /"scale" must be .* below 18446744073709552000, got 1e\+30/],
  [{ causl: true }, "ARGUMENT_UNKNOWN", /there is no argument "causl"; known are .*\bcausal\b/],
  [{ scale: Number.NaN }, "ARGUMENT_VALUE", /"scale" .*got NaN/],
  [{ causal: 1 }, "ARGUMENT_VALUE", /"causal" must be true or false, got 1/],
  [{ dropout: { ...random, probability: 1 } }, "ARGUMENT_VALUE", /"dropout.probability" .*below 1, got 1/],
  [{ dropout: { ...random, probability: -0.1 } }, "ARGUMENT_VALUE", /"dropout.probability" .*at least 0/],
  [{ dropout: { ...random, seed: 0.5 } }, "ARGUMENT_VALUE", /"dropout.seed" must be an integer of 64 bits, got 0.5/],
  [{ dropout: { ...random, offset: 2n ** 64n } }, "ARGUMENT_VALUE", /"dropout.offset" must be an integer of 64 bits/],
  [{ dropout: { ...random, sed: 3 } }, "ARGUMENT_UNKNOWN", /there is no entry of dropout "sed"/],
  [{ dropout: { ...random, rounds: 0 } }, "ARGUMENT_VALUE", /"dropout.rounds" must be an integer of at least 1/],
];
/** Of the arguments by which variants are asked for. */
const integers = (values: readonly number[]): Tensor =>
  device.tensor(Int32Array.from(values), { shape: [values.length], dtype: "i32" });
const packed = { queries: integers([0, 5]), keys: integers([0, 6]) };
const ofVariants: typeof mistakes = [
  [{ window: 5 }, "ARGUMENT_VALUE", /"window" must be \[left, right\], got 5/],
  [{ window: [2] }, "ARGUMENT_VALUE", /"window" must be \[left, right\]/],
  [{ window: [-2, 0] }, "ARGUMENT_VALUE", /"window\[0\]" must be an integer of at least -1, got -2/],
  [{ window: [3, 0.5] }, "ARGUMENT_VALUE", /"window\[1\]" must be an integer/],
  [{ sinkTokens: 4 }, "ARGUMENT_VALUE", /"sinkTokens" .*give a window/],
  [{ window: [-1, 3], sinkTokens: 4 }, "ARGUMENT_VALUE", /"sinkTokens" .*window\[0\] is -1/],
  [{ window: [3, 3], sinkTokens: -1 }, "ARGUMENT_VALUE", /"sinkTokens" must be an integer/],
  [{ prefixLengths: integers([1, 2]) }, "ARGUMENT_VALUE", /"prefixLengths" .*needs "causal": true/],
  [{ prefixLengths: integers([1, 2, 3]), causal: true }, "ARGUMENT_SHAPE", /"prefixLengths" .*B is 2 by "q1?"/],
  [{ softcap: 0 }, "ARGUMENT_VALUE", /"softcap" must be a finite number of at least .*e-38 and below .*, got 0/],
  [{ softcap: 1e30 }, "ARGUMENT_VALUE", /"softcap" must be a finite number .* below 18446744073709552000, got 1e\+30/],
  [{ alibiSlopes: zeros([4]) }, "ARGUMENT_DTYPE", /"alibiSlopes" is f16, but must be f32/],
  [{ alibiSlopes: zeros([2], "f32") }, "ARGUMENT_SHAPE", /"alibiSlopes" .*Hq is 4 by "q1?"/],
  [{ bias: zeros([2, 4, 5, 1]) }, "ARGUMENT_SHAPE", /"bias" .*N is 6 by "k1?"/],
  [{ bias: zeros([2, 3, 5, 6]) }, "ARGUMENT_SHAPE", /"bias" has shape \[2, 3, 5, 6\], but must be .*\[2, 4, 5, 6\]/],
  [{ bias: integers([1]) }, "ARGUMENT_DTYPE", /"bias" is i32/],
  [{ sinks: zeros([3], "f32") }, "ARGUMENT_SHAPE", /"sinks" .*Hq is 4 by "q1?"/],
  [{ keyLengths: zeros([2], "f32") }, "ARGUMENT_DTYPE", /"keyLengths" is f32, but must be i32/],
  [{ keyLengths: integers([1]) }, "ARGUMENT_SHAPE", /"keyLengths" .*B is 2 by "q1?"/],
  [
    { cumulativeLengths: { ...packed, key: 1 } },
    "ARGUMENT_UNKNOWN",
    /there is no entry of cumulativeLengths "key"; known are queries, keys/,
  ],
  [{ cumulativeLengths: packed }, "ARGUMENT_SHAPE", /"cumulativeLengths" .*B is 2/],
  [
    { cumulativeLengths: packed, keyLengths: integers([1, 2]) },
    "ARGUMENT_VALUE",
    /"keyLengths" and "cumulativeLengths"/,
  ],
  [{ cumulativeLengths: packed, bias: zeros([1, 1, 1, 6]) }, "ARGUMENT_VALUE", /"bias" and "cumulativeLengths"/],
];
const ofBackward: typeof mistakes = [
  [{ out: zeros([2, 4, 5, 16]) }, "ARGUMENT_SHAPE", /"out" .*E is 8 by "v"/],
  [{ lse: zeros([2, 4, 5], "f16") }, "ARGUMENT_DTYPE", /"lse" is f16, but must be f32/],
  [{ lse: undefined }, "ARGUMENT_MISSING", /"lse" must be a tensor/],
  [{ dout: zeros([2, 4, 6, 8]) }, "ARGUMENT_SHAPE", /"dout" .*M is 5 by "q1?"/],
];
const ofForward: typeof mistakes = [
  [{ returnLse: "yes" }, "ARGUMENT_VALUE", /"returnLse" must be true or false, got yes/],
  [{ returnTotalAttention: 0 }, "ARGUMENT_VALUE", /"returnTotalAttention" must be true or false/],
  [{ out: zeros([2, 4, 5, 16]) }, "ARGUMENT_SHAPE", /"out" has shape \[2, 4, 5, 16\], but must be \[2, 4, 5, 8\]/],
  [{ out: zeros([2, 4, 5, 8], "f32") }, "ARGUMENT_DTYPE", /"out" is f32, but must be f16/],
];
const ofPieces: typeof mistakes = [
  [{ threshold: 1.5 }, "ARGUMENT_VALUE", /"threshold" must be an integer .*got 1.5/],
  [{ threshold: 2 ** 31 }, "ARGUMENT_VALUE", /"threshold" must be an integer of 32 bits/],
  [{ threshold: undefined }, "ARGUMENT_VALUE", /"threshold" must be an integer/],
  [{ q2: zeros([2, 2, 5, 16]) }, "ARGUMENT_SHAPE", /"q2" .*Hq is 4 by "q1"/],
  [{ k2: zeros([2, 2, 6, 16], "f32") }, "ARGUMENT_DTYPE", /"k2" is f32/],
];

describe.each(Object.keys(operators) as Name[])("%s", (operator) => {
  const own = [
    ...mistakes,
    ...ofVariants,
    ...(operator.endsWith("Backward") ? ofBackward : ofForward),
    ...(operator.startsWith("piecewise") ? ofPieces : []),
  ];

  it.each(own.map((mistake) => [mistake[2].source, ...mistake] as const))("%s", (_, change, code, message) => {
    const renamed = Object.entries(change).map(([name, value]) => [
      (name === "q" || name === "k") && first[operator] === "q1" ? `${name}1` : name,
      value,
    ]);
    const error = failure(operator, Object.fromEntries(renamed));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.message).toContain(`${operator}: `);
  });

  it("refuses heads that are no multiple, and head dims over 256", () => {
    const [queries, keys] =
      first[operator] === "q1"
        ? [
            ["q1", "q2"],
            ["k1", "k2"],
          ]
        : [["q"], ["k"]];
    const all = (names: readonly string[], tensor: Tensor) => Object.fromEntries(names.map((name) => [name, tensor]));
    const heads = failure(operator, { ...all(keys, zeros([2, 3, 6, 16])), v: zeros([2, 3, 6, 8]) });
    expect(heads.code).toBe("ARGUMENT_HEADS");
    expect(heads.message).toMatch(/has 4 heads, which is not a multiple of the 3 heads/);
    const dims = failure(operator, { ...all(queries, zeros([2, 4, 5, 257])), ...all(keys, zeros([2, 2, 6, 257])) });
    expect(dims.code).toBe("ARGUMENT_HEAD_DIM");
    expect(dims.message).toMatch(/has head dim 257; it must be 1 to 256/);
  });
});
