/**
 * Paged kernels as another runtime launches them: from what `tilewright compile` writes, PTX and JSON, and docs/cuda.md alone. Nothing of the runtime is used,
 * arguments are packed here, and the emulator knows the text only. Against f64.
 */
import { describe, expect, it } from "vitest";
import { compile } from "../../src/codegen/index.ts";
import { EmulatedGpu } from "../../src/emulator/index.ts";
import {
  allowedError,
  attend,
  exactArithmetic,
  largestDifference,
  libraryKernels,
  naiveArithmetic,
} from "../../src/kernels/index.ts";
import { f16ToFloat32, float32ToF16 } from "../../src/support/float16.ts";
import { randomValues } from "../support/rounding.ts";
import { sizeOf } from "./attention-errors.ts";

/** Of the JSON, what a launch needs. */
interface Sidecar {
  readonly entry: string;
  readonly params: readonly { readonly name: string; readonly kind: "pointer" | "scalar"; readonly dtype: string }[];
  readonly arguments: readonly {
    readonly name: string;
    readonly dtype: string;
    readonly facts: { readonly alignment?: number; readonly unitStride?: boolean };
  }[];
  readonly block: readonly [number, number, number];
  readonly grid: readonly [string, string, string];
  readonly sharedMemory: { readonly dynamic: number };
}

/** A strided tensor of the other runtime. */
interface Strided {
  readonly address: bigint;
  readonly shape: readonly number[];
  /** In elements. */
  readonly strides: readonly number[];
}

const gpu = new EmulatedGpu();
const bytesOf = (view: ArrayBufferView) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
const dense = (shape: readonly number[]) => shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));

function upload(data: ArrayBufferView, shape: readonly number[], strides = dense(shape)): Strided {
  const address = gpu.allocate(Math.max(16, data.byteLength));
  gpu.write(address, bytesOf(data));
  return { address, shape, strides };
}

/** The files that the command writes. */
function files(
  name: string,
  constants: Readonly<Record<string, number | boolean>>,
): readonly [ptx: string, sidecar: Sidecar] {
  const { definition, example } = libraryKernels[name]!;
  const { source, metadata } = compile(definition, "sm_80", {
    ...example,
    constants: { ...example.constants, ...constants },
  });
  return [source, JSON.parse(JSON.stringify(metadata)) as Sidecar];
}

/** Packs parameters in order, each at a multiple of its size, and launches the grid that the JSON says. */
function launch([ptx, sidecar]: readonly [string, Sidecar], given: Readonly<Record<string, Strided | number>>): void {
  const values = Object.fromEntries(
    Object.entries(given).flatMap(([name, value]): [string, number | bigint][] =>
      typeof value === "number"
        ? [[name, value]]
        : [
            [name, value.address],
            ...value.shape.map((size, axis): [string, number] => [`${name}.shape.${axis}`, size]),
            ...value.strides.map((stride, axis): [string, number] => [`${name}.stride.${axis}`, stride]),
          ],
    ),
  );
  for (const { name, dtype, facts } of sidecar.arguments) {
    const tensor = given[name]!;
    if (typeof tensor === "number") continue;
    if (facts.unitStride) expect(tensor.strides.at(-1)).toBe(1);
    // The first element, and the way from one to the next along every other axis, are multiples of so many bytes.
    const [size, outer] = [dtype === "f16" ? 2 : 4, facts.unitStride ? tensor.strides.slice(0, -1) : tensor.strides];
    for (const bytes of [Number(tensor.address), ...outer.map((stride) => stride * size)])
      expect(bytes % (facts.alignment ?? 1)).toBe(0);
  }
  const buffer = new DataView(new ArrayBuffer(16 * sidecar.params.length));
  let end = 0;
  for (const { name, kind, dtype } of sidecar.params) {
    const size = kind === "pointer" || dtype === "i64" ? 8 : 4;
    const offset = Math.ceil(end / size) * size;
    end = offset + size;
    if (size === 8) buffer.setBigInt64(offset, BigInt(values[name]!), true);
    else if (dtype === "i32") buffer.setInt32(offset, Number(values[name]), true);
    else buffer.setFloat32(offset, Number(values[name]), true);
  }
  const count = (expression: string) => {
    const named = expression.replaceAll(/[A-Za-z]\w*(?:\.\w+)+/g, (name) => `(${values[name]})`);
    return Function(
      "ceilDiv",
      "min",
      "max",
      `return ${named}`,
    )((a: number, b: number) => Math.ceil(a / b), Math.min, Math.max);
  };
  gpu.launch(gpu.loadModule(ptx), sidecar.entry, {
    grid: sidecar.grid.map(count) as [number, number, number],
    block: sidecar.block,
    dynamicSharedMemory: sidecar.sharedMemory.dynamic,
    parameters: new Uint8Array(buffer.buffer, 0, end),
  });
}

const [HEADS, KEY_HEADS, DIM, PAGE, PAGES] = [12, 2, 64, 16, 8];
/** Sequence 0 reads, 1 decodes, 2 waits; two rows belong to none. */
const [contexts, queries] = [
  [20, 33, 4],
  [5, 1, 0],
] as const;
const [tokens, starts] = [8, [0, 5, 6, 6]] as const;
const tables = [
  [6, 1, 0, 0],
  [3, 7, 2, 0],
  [5, 0, 0, 0],
] as const;
const q = randomValues("f16", tokens * HEADS * DIM, 1);
/** vLLM's: [pages, keys, heads, channels]. */
const [keys, values] = [2, 3].map((seed) => randomValues("f16", PAGES * PAGE * KEY_HEADS * DIM, seed)) as [
  Float32Array,
  Float32Array,
];
const ofPage = [PAGE * KEY_HEADS * DIM, DIM, KEY_HEADS * DIM, 1];
const cache = (data: Float32Array) => upload(float32ToF16(data), [PAGES, KEY_HEADS, PAGE, DIM], ofPage);
const integers = (list: readonly number[], shape: readonly number[] = [list.length]) =>
  upload(Int32Array.from(list), shape);
/** [1, Hq, T, D] of memory [T, Hq, D]. */
const byHead = (data: Uint16Array) => upload(data, [1, HEADS, tokens, DIM], [0, DIM, HEADS * DIM, 1]);

const constants = { HEAD_DIM: DIM, VALUE_DIM: DIM, PAGE_SIZE: PAGE, CAUSAL: true };
const shared = () => ({
  q: byHead(float32ToF16(q)),
  k: cache(keys),
  v: cache(values),
  scale: DIM ** -0.5,
  contextLengths: integers(contexts),
  blockTables: integers(tables.flat(), [3, 4]),
  queryStarts: integers(starts),
});

/** The keys or values of a sequence, [Hk, context, D]. */
const ofSequence = (pages: Float32Array, b: number): Float32Array =>
  Float32Array.from({ length: KEY_HEADS * contexts[b]! * DIM }, (_, i) => {
    const [h, n, d] = [Math.floor(i / (contexts[b]! * DIM)), Math.floor(i / DIM) % contexts[b]!, i % DIM];
    const page = tables[b]![Math.floor(n / PAGE)]!;
    return pages[page * ofPage[0]! + h * ofPage[1]! + (n % PAGE) * ofPage[2]! + d]!;
  });

function check(out: Float32Array): void {
  for (const [b, count] of queries.entries()) {
    const at = (h: number, m: number) => ((starts[b]! + m) * HEADS + h) * DIM;
    const order = Array.from({ length: HEADS * count }, (_, i) => at(Math.floor(i / count), i % count));
    const rows = (of: Float32Array) => Float32Array.from(order.flatMap((from) => [...of.subarray(from, from + DIM)]));
    const shape = {
      batch: 1,
      queryHeads: HEADS,
      keyHeads: KEY_HEADS,
      queries: count,
      keys: contexts[b]!,
      headDim: DIM,
      valueDim: DIM,
    };
    const inputs = { terms: [{ q: rows(q), k: ofSequence(keys, b) }], v: ofSequence(values, b) };
    const [exact, naive] = [exactArithmetic, naiveArithmetic("f16")].map(
      (arithmetic) => attend({ ...shape, causal: true, scale: DIM ** -0.5 }, inputs, arithmetic).out,
    );
    expect(largestDifference(rows(out), exact!)).toBeLessThanOrEqual(allowedError(naive!, exact!));
  }
  expect(out.subarray(starts[3] * HEADS * DIM).every((x) => x === 0)).toBe(true);
}

describe("paged attention from PTX and JSON alone", () => {
  const poison = () => new Uint16Array(tokens * HEADS * DIM).fill(0x7e00);
  const resultOf = (out: Strided) =>
    f16ToFloat32(new Uint16Array(gpu.read(out.address, 2 * tokens * HEADS * DIM).slice().buffer));
  const normalisers = () => upload(new Float32Array(HEADS * tokens), [1, HEADS, tokens]);

  it("packed queries in one launch", () => {
    const out = byHead(poison());
    launch(files("attention_forward_paged_packed", constants), { ...shared(), out, lse: normalisers() });
    check(resultOf(out));
  });

  it("packed queries over two parts of the keys, with the workspace that docs/cuda.md describes, and the merge", () => {
    const [splits, rows, width] = [2, (tokens * HEADS) / KEY_HEADS, DIM + 4];
    const partial = upload(new Float32Array(splits * KEY_HEADS * rows * width), [splits, 1, KEY_HEADS, rows, width]);
    launch(files("attention_split_paged_packed", constants), { ...shared(), partial });
    const out = byHead(poison());
    // [parts, B, Hk, G, M, width]: row m · G + g is query m of head g.
    const group = HEADS / KEY_HEADS;
    const strides = [KEY_HEADS * rows * width, KEY_HEADS * rows * width, rows * width, width, group * width, 1];
    const parts = { ...partial, shape: [splits, 1, KEY_HEADS, group, tokens, width], strides };
    launch(files("attention_merge", { VALUE_DIM: DIM }), { partial: parts, out, lse: normalisers() });
    check(resultOf(out));
  });
});
