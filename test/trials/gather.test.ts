/** Elements of tiles by computed indices: weights of four bits that a table gives a meaning (NF4, arXiv 2305.14314), and rows put in an order. */
import { describe, expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { expectClose } from "../kernels/judge.ts";
import { normalNumbers } from "../support/rounding.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

/** a [M, K] by weights [K, N], whose codes lie eight to a word along K; 16 meanings; a scale for each row of words of a column. */
const tableMatmul = kernel({
  name: "table_matmul",
  constants: { M: 32, N: 32, K: 64 },
  params: {
    a: tl.tensor("f16", 2),
    codes: tl.tensor("u32", 2),
    table: tl.tensor("f16", 1),
    scale: tl.tensor("f16", 2),
    out: tl.tensor("f32", 2),
  },
  grid: (p, { M, N }) => [tl.cdiv(p.out.shape(0), M), tl.cdiv(p.out.shape(1), N)],
  body(p, { M, N, K }) {
    const [row, column] = [tl.programId(0).mul(M), tl.programId(1).mul(N)];
    const table = p.table.load([0], [16]);
    const shifts = tl.arange(0, 8).to("u32").mul(4).expandDims(0).expandDims(2);
    const { sums } = tl.loop({ to: p.a.shape(1), step: K }, { sums: tl.zeros([M, N], "f32") }, (k, { sums }) => {
      const words = p.codes.load([k.div(8), column], [K / 8, N]).expandDims(1);
      const codes = words.shr(shifts).and(15).to("i32");
      const values = tl.gather(table, codes.reshape([K * N]), 0).reshape([K / 8, 8, N]);
      const scale = p.scale.load([k.div(8), column], [K / 8, N]).expandDims(1);
      return { sums: tl.dot(p.a.load([row, k], [M, K]), values.mul(scale).reshape([K, N]), sums) };
    });
    p.out.store([row, column], sums);
  },
});

/** Rows, or columns, in the order that their keys have: ranks by counting, then each element from where it is. */
const ordered = kernel({
  name: "ordered",
  constants: { ROWS: 16, COLUMNS: 32 },
  params: { x: tl.tensor("T", 2), keys: tl.tensor("f32", 1), out: tl.tensor("T", 2) },
  grid: () => [1],
  body(p, { ROWS, COLUMNS }) {
    const x = p.x.load([0, 0], [ROWS, COLUMNS]);
    const keys = p.keys.load([0], [COLUMNS]);
    const place = tl.sum(keys.perColumn().lt(keys.perRow()).to("i32"), 1);
    // Where the place is i: the argument that has it.
    const from = tl.argmax(place.perColumn().eq(tl.arange(0, COLUMNS).perRow()).to("i32"), 1);
    p.out.store([0, 0], tl.gather(x, from.perColumn().broadcastTo([ROWS, COLUMNS]), 1));
  },
});

onEveryTarget((device) => {
  it("a product with weights of four bits and a table", async () => {
    const [M, N, K] = [40, 48, 136];
    const [a, scale, table] = [numbers("f16", [M, K], 1), numbers("f16", [K / 8, N], 2), numbers("f16", [16], 3)];
    const words = Uint32Array.from({ length: (K / 8) * N }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
    const expected = new Terms(M * N);
    for (let row = 0; row < M; row++)
      for (let column = 0; column < N; column++)
        for (let k = 0; k < K; k++) {
          const word = Math.floor(k / 8) * N + column;
          const value = table.values[(words[word]! >>> (4 * (k % 8))) & 15]! * scale.values[word]!;
          // The weight is rounded to f16 once: 2^-11 of the term is 2^13 roundings of an f32.
          const term = a.values[row * K + k]! * value;
          expected.add(row * N + column, term, Math.abs(term) * (1 + 2 ** 13 / K));
        }
    const out = device.empty([M, N], "f32");
    const codes = device.tensor(words, { shape: [K / 8, N], dtype: "u32" });
    device.launch(tableMatmul, { a: a.on(device), codes, table: table.on(device), scale: scale.on(device), out });
    await expectClose(out, expected, K);
  });

  it.each(["f32", "bf16", "i8", "i64", "bool"] as const)("columns in the order of their keys, %s", async (dtype) => {
    const [ROWS, COLUMNS] = [16, 32];
    const next = normalNumbers(4);
    const values = Array.from({ length: ROWS * COLUMNS }, () => Math.round(3 * next()) || 0);
    const stored = dtype === "bool" ? values.map((x) => Number(x > 0)) : values;
    const data = {
      f32: () => Float32Array.from(stored),
      bf16: () => Float32Array.from(stored),
      i8: () => Int8Array.from(stored),
      i64: () => BigInt64Array.from(stored.map(BigInt)),
      bool: () => Uint8Array.from(stored),
    }[dtype]();
    const keys = numbers("f32", [COLUMNS], 5);
    const order = Array.from(keys.values.keys()).sort((i, j) => keys.values[i]! - keys.values[j]!);
    const out = device.empty([ROWS, COLUMNS], dtype);
    device.launch(ordered, { x: device.tensor(data, { shape: [ROWS, COLUMNS], dtype }), keys: keys.on(device), out });
    const expected = stored.map((_, i) => stored[Math.floor(i / COLUMNS) * COLUMNS + order[i % COLUMNS]!]!);
    expect(Array.from((await out.read()) as ArrayLike<number | bigint>, Number)).toEqual(expected);
  });
});

it("copies codes and scales ahead, and reads the table once an element", () => {
  const { loops } = ptxOf(tableMatmul);
  const [loop] = loops;
  expect(loop!(/^ld\.global/)).toBe(0);
  // 64 x 32 weights over 128 threads.
  expect(loop!(/^ld\.shared\.b16/)).toBe(16);
});

describe("mistakes", () => {
  const traced = (body: () => void) => () => kernel({ name: "mistake", params: {}, body }).trace();
  const gather: (...given: unknown[]) => unknown = tl.gather as never;
  it("are named, with what to do", () => {
    const x = () => tl.zeros([4, 8], "f32");
    expect(traced(() => void gather(x(), tl.zeros([4, 8], "f32"), 1))).toThrow(/indices of gather must be i32/);
    expect(traced(() => void gather(x(), tl.zeros([2, 8], "i32"), 1))).toThrow(/differ along axis 1 only/);
    expect(traced(() => void gather(x(), tl.zeros([4, 8], "i32"), 2))).toThrow(/axis 2 does not exist in shape/);
    expect(traced(() => void gather(x(), 3, 1))).toThrow(/the indices of gather must be a tile/);
  });
});
