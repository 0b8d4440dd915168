/** Tiles put together, turned round and multiplied one by one. */
import { describe, expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

const arranged = kernel({
  name: "arranged",
  constants: { ROWS: 4, COLUMNS: 16 },
  params: {
    x: tl.tensor("T", 2),
    y: tl.tensor("T", 2),
    below: tl.tensor("T", 2),
    beside: tl.tensor("T", 2),
    turns: tl.tensor("T", 2),
    mirrored: tl.tensor("T", 2),
    upturned: tl.tensor("T", 2),
  },
  grid: () => [1],
  body(p, { ROWS, COLUMNS }) {
    const [x, y] = [p.x.load([0, 0], [ROWS, COLUMNS]), p.y.load([0, 0], [ROWS, COLUMNS])];
    p.below.store([0, 0], tl.cat(x, y, 0));
    p.beside.store([0, 0], tl.cat(x, y, 1));
    p.turns.store([0, 0], tl.interleave(x, y));
    p.mirrored.store([0, 0], tl.flip(x));
    p.upturned.store([0, 0], tl.flip(x, 0));
  },
});

const products = kernel({
  name: "products",
  constants: { B: 4, M: 16, N: 8, K: 16 },
  params: { a: tl.tensor("T", 3), b: tl.tensor("T", 3), start: tl.tensor("f32", 3), out: tl.tensor("f32", 3) },
  grid: (p, { B }) => [tl.cdiv(p.a.shape(0), B)],
  body(p, { B, M, N, K }) {
    const first = tl.programId(0).mul(B);
    const [a, b] = [p.a.load([first, 0, 0], [B, M, K]), p.b.load([first, 0, 0], [B, K, N])];
    p.out.store([first, 0, 0], tl.batchDot(a, b, p.start.load([first, 0, 0], [B, M, N])));
  },
});

onEveryTarget((device) => {
  it.each(["f32", "f16", "i8", "bool"] as const)("cat, interleave and flip, %s", async (dtype) => {
    const [ROWS, COLUMNS] = [4, 16];
    const data = [3, 5].map((seed) =>
      Array.from({ length: ROWS * COLUMNS }, (_, i) => ((i * seed + 7) % 100) % (dtype === "bool" ? 2 : 100)),
    );
    const [x, y] = data as [number[], number[]];
    const array = { f32: Float32Array, f16: Float32Array, i8: Int8Array, bool: Uint8Array }[dtype];
    const on = (values: number[]) => device.tensor(array.from(values), { shape: [ROWS, COLUMNS], dtype });
    const row = (values: number[], i: number) => values.slice(i * COLUMNS, (i + 1) * COLUMNS);
    const rows = (make: (i: number) => number[]) => [0, 1, 2, 3].flatMap(make);
    const expected = {
      below: [...x, ...y],
      beside: rows((i) => [...row(x, i), ...row(y, i)]),
      turns: x.flatMap((value, i) => [value, y[i]!]),
      mirrored: rows((i) => row(x, i).reverse()),
      upturned: rows((i) => row(x, 3 - i)),
    };
    const out = {
      below: device.empty([2 * ROWS, COLUMNS], dtype),
      beside: device.empty([ROWS, 2 * COLUMNS], dtype),
      turns: device.empty([ROWS, 2 * COLUMNS], dtype),
      mirrored: device.empty([ROWS, COLUMNS], dtype),
      upturned: device.empty([ROWS, COLUMNS], dtype),
    };
    device.launch(arranged, { x: on(x), y: on(y), ...out });
    for (const name of Object.keys(out) as (keyof typeof out)[])
      expect(Array.from((await out[name].read()) as ArrayLike<number>, Number), name).toEqual(expected[name]);
  });

  it.each(["f16", "f32"] as const)("products of several matrices, %s", async (dtype) => {
    const [B, M, N, K] = [6, 13, 7, 15];
    const [a, b, start] = [numbers(dtype, [B, M, K], 1), numbers(dtype, [B, K, N], 2), numbers("f32", [B, M, N], 3)];
    const expected = new Terms(B * M * N);
    for (let i = 0; i < B * M * N; i++) {
      const [batch, row, column] = [Math.floor(i / (M * N)), Math.floor(i / N) % M, i % N];
      expected.add(i, start.values[i]!);
      for (let k = 0; k < K; k++)
        expected.add(i, a.values[(batch * M + row) * K + k]! * b.values[(batch * K + k) * N + column]!);
    }
    const out = device.empty([B, M, N], "f32");
    device.launch(products, { a: a.on(device), b: b.on(device), start: start.on(device), out });
    await expectClose(out, expected, K + 1);
  });
});

it("multiplies on tensor cores", () => {
  expect(ptxOf(products, { dtypes: { T: "f16" } }).all(/^mma/)).toBe(4);
});

describe("mistakes", () => {
  const traced = (body: () => void) => () => kernel({ name: "mistake", params: {}, body }).trace();
  const x = (...shape: number[]) => tl.zeros(shape, "f32");
  const [cat, interleave, flip, batchDot] = [tl.cat, tl.interleave, tl.flip, tl.batchDot] as ((
    ...given: unknown[]
  ) => unknown)[];
  it("are named, with what to do", () => {
    expect(traced(() => void cat!(x(4), x(8), 0))).toThrow(/cat takes tiles of one shape, got \[4\] and \[8\]/);
    expect(traced(() => void cat!(x(4), x(4), 1))).toThrow(/cat: axis 1 does not exist in shape \[4\]/);
    expect(traced(() => void cat!(x(4), tl.zeros([4], "i32"), 0))).toThrow(/one shape and dtype/);
    expect(traced(() => void interleave!(x(), x()))).toThrow(/axis -1 does not exist/);
    expect(traced(() => void flip!(x(4, 4), 2))).toThrow(/flip: axis 2 does not exist/);
    expect(traced(() => void batchDot!(x(2, 4, 8), x(4, 8, 4)))).toThrow(/batchDot multiplies \[B, M, K\]/);
    expect(traced(() => void batchDot!(x(2, 4, 8), x(2, 8, 4), x(4, 4, 4)))).toThrow(/must be \[B, M, N\]/);
  });
});
