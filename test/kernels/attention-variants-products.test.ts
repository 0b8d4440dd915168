/** Tiles in which a variant hides every element are never visited: matrix products that the kernels execute, counted by the interpreter. */
import { describe, expect, it } from "vitest";
import { prepare } from "../../src/interpreter/index.ts";
import {
  attentionBackwardKeys,
  attentionBackwardQueries,
  attentionForward,
  dense,
  type Variant,
  withDocuments,
  withKeyLengths,
  withPrefix,
  withWindow,
} from "../../src/kernels/index.ts";

const BLOCK = 32;
const DIM = 16;
const [QUERIES, KEYS] = [256, 320];

interface Case {
  readonly variant: Variant;
  readonly constants?: Readonly<Record<string, boolean>>;
  /** Arguments besides the operands. */
  readonly given: Readonly<Record<string, number | readonly number[]>>;
  readonly causal: boolean;
  /** Whether query m sees key n, by the definition; apart for each run of keys. A tile that has some of two runs is visited for each. */
  readonly sees: readonly ((m: number, n: number) => boolean)[];
  /** Rows at which tiles begin; by default every BLOCK. */
  readonly starts?: { readonly queries: readonly number[]; readonly keys: readonly number[] };
}

const kernels = {
  forward: [attentionForward, 2],
  "gradient of queries": [attentionBackwardQueries, 3],
  "gradient of keys": [attentionBackwardKeys, 4],
} as const;

function products(
  make: (typeof kernels)[keyof typeof kernels][0],
  { variant, constants, given, causal }: Case,
): number {
  const kernel = make(variant).trace({
    constants: { BLOCK_M: BLOCK, BLOCK_N: BLOCK, HEAD_DIM: DIM, VALUE_DIM: DIM, CAUSAL: causal, ...constants },
    dtypes: { T: "f32" },
  });
  const shapes: Record<string, readonly number[]> = {
    ...Object.fromEntries(["q", "dout", "out"].map((name) => [name, [1, 1, QUERIES, DIM]])),
    ...Object.fromEntries(["k", "v"].map((name) => [name, [1, 1, KEYS, DIM]])),
    lse: [1, 1, QUERIES],
    statistics: [2, 1, 1, QUERIES],
    dq: [1, 1, 1, QUERIES, DIM],
    dkv: [2, 1, 1, KEYS, DIM],
  };
  const values = kernel.parameters.map(({ name }) => {
    const own = given[name];
    if (typeof own === "number") return [name, own];
    if (own) return [name, { data: Int32Array.from(own), shape: [own.length] }];
    const shape = shapes[name];
    return [name, shape ? { data: new Float32Array(shape.reduce((a, b) => a * b)), shape } : 1];
  });
  return (
    prepare(kernel, { nan: false, undefinedValues: false }).run({ arguments: Object.fromEntries(values) }).counts.dot ??
    0
  );
}

/** Tiles of rows [start, next start) or BLOCK rows, whichever is less, in which some query sees some key. */
function tiles({ sees, starts }: Case): number {
  const rows = (length: number, given: readonly number[] = [0]): [number, number][] =>
    given.flatMap((start, i) => {
      const end = given[i + 1] ?? length;
      return Array.from({ length: Math.ceil((end - start) / BLOCK) }, (_, j): [number, number] => [
        start + j * BLOCK,
        Math.min(start + (j + 1) * BLOCK, end),
      ]);
    });
  let visited = 0;
  for (const [m0, m1] of rows(QUERIES, starts?.queries))
    for (const [n0, n1] of rows(KEYS, starts?.keys)) {
      for (const inRun of sees) {
        let seen = false;
        for (let m = m0; m < m1 && !seen; m++) for (let n = n0; n < n1 && !seen; n++) seen = inRun(m, n);
        if (seen) visited++;
      }
    }
  return visited;
}

const distance = (m: number, n: number): number => KEYS - QUERIES + m - n;
const documents = { queries: [0, 10, 74, 74, 200], keys: [0, 50, 128, 200, 290] };
const documentOf = (starts: readonly number[], row: number): number => starts.findLastIndex((start) => start <= row);

const cases: Record<string, Case> = {
  "a window": {
    variant: withWindow(dense),
    given: { windowLeft: 70, windowRight: 0, sinkTokens: 0 },
    causal: true,
    sees: [(m, n) => distance(m, n) >= 0 && distance(m, n) <= 70],
  },
  "a window with sink tokens": {
    variant: withWindow(dense),
    constants: { SINK_TOKENS: true },
    given: { windowLeft: 40, windowRight: 0, sinkTokens: 5 },
    causal: true,
    sees: [(m, n) => distance(m, n) >= 0 && n < 5, (m, n) => distance(m, n) >= 0 && distance(m, n) <= 40 && n >= 5],
  },
  "a prefix": {
    variant: withPrefix(dense),
    given: { prefixLengths: [200] },
    causal: true,
    sees: [(m, n) => distance(m, n) >= 0 || n < 200],
  },
  "padded keys": {
    variant: withKeyLengths(dense),
    given: { keyLengths: [100] },
    causal: false,
    sees: [(_, n) => n < 100],
  },
  "packed documents": {
    variant: withDocuments(dense),
    given: { queryStarts: [...documents.queries, QUERIES], keyStarts: [...documents.keys, KEYS] },
    causal: false,
    sees: [(m, n) => documentOf(documents.queries, m) === documentOf(documents.keys, n)],
    starts: documents,
  },
};

describe.each(Object.entries(cases))("%s", (_, c) => {
  it.each(Object.entries(kernels))("%s: every tile that is seen, once, and no other", (_, [make, each]) => {
    const all = Math.ceil(QUERIES / BLOCK) * Math.ceil(KEYS / BLOCK);
    expect(tiles(c)).toBeLessThan(all);
    expect(products(make, c)).toBe(each * tiles(c));
  });
});
