/**
 * The library's kernels as PTX: attention against a plain f64 reference in the emulator; where ptxas is installed, all of them assemble
 * without a warning. The references are written out here and share nothing with the compiler.
 */
import { describe, expect, it } from "vitest";
import { RecordingDevice } from "../../bench/ptx/recorder.ts";
import { compileShipped, describeShipped, type Shipped } from "../../bench/ptx/shipped.ts";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import type { Specialization } from "../../src/dsl/index.ts";
import { libraryKernels } from "../../src/kernels/registry.ts";
import { optimize } from "../../src/passes/index.ts";
import { encode } from "../interpreter/evaluate.ts";
import { type FloatDType, randomValues, roundTo } from "../support/rounding.ts";
import { runPtx, withoutConflicts } from "./emulator.ts";
import { assemble, describeWithAssembler, noSpills } from "./ptxas.ts";

const compileLibraryKernel = (name: string, specialization: Specialization) =>
  compilePtx(optimize(libraryKernels[name]!.definition.trace(specialization)), { target: "sm_80" });

interface Problem {
  readonly dtype: FloatDType;
  readonly heads: number;
  readonly keyHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly dim: number;
  readonly causal: boolean;
  readonly blocks: readonly [number, number];
}

const problems: readonly Problem[] = [
  { dtype: "f16", heads: 2, keyHeads: 1, queries: 100, keys: 130, dim: 64, causal: true, blocks: [64, 64] },
  { dtype: "bf16", heads: 1, keyHeads: 1, queries: 70, keys: 70, dim: 128, causal: false, blocks: [128, 64] },
  { dtype: "f16", heads: 1, keyHeads: 1, queries: 33, keys: 40, dim: 80, causal: true, blocks: [64, 32] },
  { dtype: "f32", heads: 1, keyHeads: 1, queries: 20, keys: 50, dim: 32, causal: true, blocks: [16, 32] },
  // More queries than keys: the first rows see nothing.
  { dtype: "f16", heads: 1, keyHeads: 1, queries: 40, keys: 20, dim: 32, causal: true, blocks: [64, 64] },
];

/** softmax(q kᵀ / √dim) v in f64, and the error of the same with the weights rounded to the dtype, as a naive kernel has it. */
function reference(problem: Problem, q: Float32Array, k: Float32Array, v: Float32Array) {
  const { dtype, heads, keyHeads, queries, keys, dim, causal } = problem;
  const out = new Float64Array(heads * queries * dim);
  const lse = new Float64Array(heads * queries);
  let naiveError = 0;
  for (let h = 0; h < heads; h++) {
    const from = Math.floor((h * keyHeads) / heads) * keys * dim;
    for (let m = 0; m < queries; m++) {
      const row = h * queries + m;
      const seen = causal ? Math.max(0, Math.min(keys, keys - queries + m + 1)) : keys;
      const logits = Float64Array.from({ length: seen }, (_, n) => {
        let sum = 0;
        for (let d = 0; d < dim; d++) sum += q[row * dim + d]! * k[from + n * dim + d]!;
        return sum / Math.sqrt(dim);
      });
      const max = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const sum = logits.reduce((total, logit) => total + Math.exp(logit - max), 0);
      lse[row] = seen === 0 ? Number.NEGATIVE_INFINITY : max + Math.log(sum);
      for (let d = 0; d < dim; d++) {
        let [exact, naive] = [0, 0];
        for (let n = 0; n < seen; n++) {
          const weight = Math.exp(logits[n]! - max) / sum;
          exact += weight * v[from + n * dim + d]!;
          naive += roundTo(dtype, weight) * v[from + n * dim + d]!;
        }
        out[row * dim + d] = exact;
        naiveError = Math.max(naiveError, Math.abs(roundTo(dtype, naive) - exact));
      }
    }
  }
  return { out, lse, naiveError };
}

describe("attention in the emulator", () => {
  for (const problem of problems)
    it(`${problem.dtype}, head dim ${problem.dim}, ${problem.queries} x ${problem.keys}${problem.causal ? ", causal" : ""}`, () => {
      const { dtype, heads, keyHeads, queries, keys, dim, causal, blocks } = problem;
      const extent = 2 ** Math.ceil(Math.log2(dim));
      const padded = extent !== dim;
      const compiled = compileLibraryKernel("attention_forward", {
        constants: {
          BLOCK_M: blocks[0],
          BLOCK_N: blocks[1],
          HEAD_DIM: extent,
          VALUE_DIM: extent,
          PAD_HEAD: padded,
          PAD_VALUE: padded,
          CAUSAL: causal,
        },
        dtypes: { T: dtype },
      });
      const values = [heads * queries, keyHeads * keys, keyHeads * keys].map((rows, i) =>
        randomValues(dtype, rows * dim, i + 1),
      );
      const [q, k, v] = values as [Float32Array, Float32Array, Float32Array];
      const tensor = (numbers: Float32Array, count: number, length: number) => ({
        data: encode(dtype, [...numbers]),
        shape: [1, count, length, dim],
      });
      const out = tensor(new Float32Array(heads * queries * dim), heads, queries);
      const lse = { data: new Float32Array(heads * queries), shape: [1, heads, queries] };
      const report = runPtx(compiled, {
        arguments: {
          q: tensor(q, heads, queries),
          k: tensor(k, keyHeads, keys),
          v: tensor(v, keyHeads, keys),
          out,
          lse,
          scale: 1 / Math.sqrt(dim),
        },
        grid: [Math.ceil(queries / blocks[0]), heads, 1],
      });
      const expected = reference(problem, q, k, v);
      const worst = Array.from(decodeFloats(dtype, out.data), (value, i) => Math.abs(value - expected.out[i]!));
      expect(Math.max(...worst)).toBeLessThanOrEqual(2 * expected.naiveError + 1e-5);
      for (const [row, value] of lse.data.entries())
        if (Number.isFinite(expected.lse[row]!)) expect(Math.abs(value - expected.lse[row]!)).toBeLessThan(4e-6);
        else expect(value).toBe(Number.NEGATIVE_INFINITY);
      if (dtype !== "f32") expect(withoutConflicts(report)).toBe(true);
    });
});

function decodeFloats(dtype: FloatDType, data: ArrayLike<number | bigint>): number[] {
  const bits = Array.from(data, Number);
  if (dtype === "f32") return bits;
  const view = new DataView(new ArrayBuffer(4));
  return bits.map((half) => {
    if (dtype === "bf16") {
      view.setUint32(0, half << 16);
      return view.getFloat32(0);
    }
    const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
    const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
    return half & 0x8000 ? -size : size;
  });
}

describe("the examples of the registry", () => {
  const size = { dtype: "f16", headDim: 64, causal: true } as const;
  const calls: readonly Shipped[] = [
    ...(["forward", "backward"] as const).flatMap((call) => [
      { ...size, call, terms: "dense" } as const,
      { ...size, call, terms: "piecewise" } as const,
      { ...size, call, terms: "piecewise", raw: "half" } as const,
    ]),
    { ...size, call: "forward", terms: "dense", arguments: "documents" },
    { ...size, call: "forward", terms: "dense", queries: 1, splits: 4, group: 8 },
    { ...size, call: "forward", terms: "piecewise", queries: 1, splits: 4, group: 8 },
    { ...size, call: "paged", terms: "dense", queries: 1, splits: 4, group: 8, pageSize: 16 },
    { ...size, call: "paged", terms: "dense", queries: 4096, pageSize: 16 },
    { ...size, call: "paged", terms: "piecewise", raw: "half", queries: 1, splits: 4, group: 8, pageSize: 16 },
  ];
  const device = new RecordingDevice();

  it.each(calls.map((call) => [describeShipped(call), call] as const))(
    "are what the operator launches: %s",
    (_, call) => {
      const launched = compileShipped(device, call).map(({ metadata }) => metadata);
      const known = launched.filter(({ name }) => Object.hasOwn(libraryKernels, name) && /attention/.test(name));
      expect(known.length).toBeGreaterThan(0);
      for (const { name, constants } of known) {
        const chosen = libraryKernels[name]!.example.constants;
        // The column sums of a backward call and the merge of splits have no blocks of their own there.
        if (chosen?.BLOCK_N !== undefined) expect({ name, ...constants }).toMatchObject({ name, ...chosen });
      }
    },
  );
});

describeWithAssembler("ptxas", () => {
  // In f32 attention has other blocks: spills.test.ts.
  for (const [name, { example }] of Object.entries(libraryKernels))
    for (const dtype of name.includes("attention") ? (["f16"] as const) : (["f16", "f32"] as const))
      it(`takes ${name} in ${dtype}`, async () => {
        const dtypes = Object.fromEntries(Object.keys(example.dtypes ?? {}).map((key) => [key, dtype]));
        const { spills } = await assemble(compileLibraryKernel(name, { ...example, dtypes }).source);
        expect(spills).toEqual(noSpills);
      });
});
