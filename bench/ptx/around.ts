/**
 * @file Calls of the operators around attention, of a model and its training, for a device that runs nothing: every kernel that they launch, in every
 * dtype, layout and form, for sizes that are powers of two and others.
 */
import {
  adamWStep,
  add,
  appendToCache,
  copy,
  crossEntropy,
  crossEntropyBackward,
  embedding,
  embeddingBackward,
  fromVllmCache,
  matmul,
  rmsNorm,
  rmsNormBackward,
  rope,
  softmax,
  swiglu,
  swigluBackward,
  toVllmCache,
} from "../../src/kernels/index.ts";
import type { Tensor } from "../../src/runtime/index.ts";
import type { MakeTensor } from "./variants.ts";

/** One call. */
export interface Around {
  readonly description: string;
  /** Makes its tensors, and calls. */
  readonly launch: (make: MakeTensor) => void;
}

const floats = ["f16", "bf16", "f32"] as const;
const both = [false, true];
/** Of rows: shorter than a block, a model's, and one of no whole vectors. */
const widths = [128, 4096, 11008, 515];
const rows = 64;

/** Every combination of one choice from each list. */
const each = <Choices extends readonly (readonly unknown[])[]>(
  ...lists: Choices
): { readonly [I in keyof Choices]: Choices[I][number] }[] =>
  lists.reduce<unknown[][]>(
    (chosen, list) => chosen.flatMap((some) => list.map((one) => [...some, one])),
    [[]],
  ) as never;

const products: readonly Around[] = [
  // A decoding step; a chunk; training, and sizes of no whole vectors.
  ...each(floats, floats, both, both, [
    [1, 4096, 4096],
    [64, 4096, 4096],
    [512, 4096, 4096],
    [511, 1001, 515],
  ] as const),
].map(([a, b, transposeA, transposeB, [m, n, k]]) => ({
  description: `matmul ${a} x ${b}, transposed ${transposeA} ${transposeB}, M=${m} N=${n} K=${k}`,
  launch(make) {
    const operands = { a: make(transposeA ? [k, m] : [m, k], a), b: make(transposeB ? [n, k] : [k, n], b) };
    matmul({ ...operands, transposeA, transposeB });
    // Gradients of weights are added up in f32.
    if (m === 512) matmul({ ...operands, transposeA, transposeB, out: make([m, n], "f32"), accumulate: true });
  },
}));

const ofRows: readonly Around[] = each(floats, floats, widths).flatMap(([dtype, other, width]) => {
  const both = `${dtype}, ${other}, width ${width}`;
  const calls: Record<string, Around["launch"]> = {
    rmsNorm: (make) => rmsNorm({ x: make([rows, width], dtype), weight: make([width], other) }),
    rmsNormBackward(make) {
      const [x, dout] = [make([rows, width], dtype), make([rows, width], dtype)];
      rmsNormBackward({ x, dout, weight: make([width], other) });
    },
    embedding(make) {
      embedding({ table: make([1000, width], dtype), ids: make([rows], "i32"), outDtype: other });
    },
    embeddingBackward(make) {
      const given = { dout: make([rows, width], dtype), ids: make([rows], "i32"), rows: 1000 };
      embeddingBackward({ ...given, outDtype: other });
      embeddingBackward({ ...given, out: make([1000, width], other), accumulate: true });
    },
    adamWStep(make) {
      const shape = [rows, width];
      const moments = { firstMoment: make(shape, "f32"), secondMoment: make(shape, "f32") };
      const given = {
        parameter: make(shape, dtype),
        gradient: make(shape, other),
        ...moments,
        step: 1,
        learningRate: 1,
      };
      adamWStep(given);
      if (dtype !== "f32") adamWStep({ ...given, master: make(shape, "f32") });
    },
  };
  return Object.entries(calls).map(([name, launch]) => ({ description: `${name} ${both}`, launch }));
});

const ofOneDtype: readonly Around[] = each(floats, widths).flatMap(([dtype, width]) => {
  const calls: Record<string, Around["launch"]> = {
    swiglu: (make) => swiglu({ gate: make([rows, width], dtype), up: make([rows, width], dtype) }),
    swigluBackward(make) {
      const [gate, up, dout] = [0, 1, 2].map(() => make([rows, width], dtype)) as [Tensor, Tensor, Tensor];
      swigluBackward({ gate, up, dout });
    },
    add: (make) => add({ a: make([rows, width], dtype), b: make([rows, width], dtype) }),
    softmax: (make) => softmax({ x: make([rows, width], dtype) }),
    crossEntropy(make) {
      const [logits, labels] = [make([rows, width], dtype), make([rows], "i32")];
      for (const reduction of ["mean", "sum", "none"] as const) crossEntropy({ logits, labels, reduction });
      const given = { logits, labels, statistics: make([rows, 2], "f32"), dloss: make([rows], "f32") };
      crossEntropyBackward(given);
      crossEntropyBackward({ ...given, out: logits });
    },
  };
  return Object.entries(calls).map(([name, launch]) => ({ description: `${name} ${dtype}, width ${width}`, launch }));
});

const ofHeads: readonly Around[] = each(floats, [128, 64, 256, 80, 50, 32, 16]).flatMap(([dtype, dim]) => {
  const calls: Record<string, Around["launch"]> = {
    rope(make) {
      const x = make([1, 8, rows, dim], dtype);
      const positions = make([1, rows], "i32");
      for (const [layout, inverse, gathered, inPlace, half] of each(
        ["half", "interleaved"] as const,
        both,
        both,
        both,
        [dim / 2, dim / 4].filter(Number.isInteger),
      )) {
        const [cos, sin] = [make([4096, half], "f32"), make([4096, half], "f32")] as [Tensor<"f32">, Tensor<"f32">];
        rope({ x, cos, sin, layout, inverse, ...(gathered && { positions }), ...(inPlace && { out: x }) });
      }
    },
    copy(make) {
      for (const other of floats) copy({ from: make([1, 8, rows, dim], dtype), to: make([1, 8, rows, dim], other) });
    },
    caches(make) {
      for (const [page, heads] of each([16, 24, 128], [1, 8])) {
        const cache = make([4, heads, page, dim], dtype);
        appendToCache({ rows: make([rows, heads, dim], dtype), slots: make([rows], "i32"), cache });
        if (dim % 8 === 0)
          fromVllmCache(toVllmCache({ keyCache: cache, valueCache: make([4, heads, page, dim], dtype) }));
      }
    },
  };
  return Object.entries(calls).map(([name, launch]) => ({ description: `${name} ${dtype}, D=${dim}`, launch }));
});

export const around: readonly Around[] = [...products, ...ofRows, ...ofOneDtype, ...ofHeads];
