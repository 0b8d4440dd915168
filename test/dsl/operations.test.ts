/** What the methods and functions trace to. */
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { tl } from "../../src/dsl/index.ts";
import { runOn, text, textOf, traceBody, typesOf } from "./trace.ts";

describe("elementwise operations", () => {
  it("give plain numbers the dtype and shape of the tile", () => {
    expect(textOf(() => void tl.zeros([8], "f16").add(0.5))).toBe(text`
      %0 = constant 0 : tile<8xf16>
      %1 = constant 0.5 : tile<8xf16>
      %2 = add %0, %1 : tile<8xf16>
    `);
    expect(textOf(() => void tl.arange(0, 4).to("i64").mul(3))).toContain("constant 3n : tile<4xi64>");
    expect(textOf(() => void tl.sub(1, tl.zeros([2], "f32")))).toBe(text`
      %0 = constant 0 : tile<2xf32>
      %1 = constant 1 : tile<2xf32>
      %2 = sub %1, %0 : tile<2xf32>
    `);
  });

  it("round a number to the dtype while tracing, so that every back end has the same one", () => {
    expect(textOf(() => void tl.full([], 0.1, "f32"))).toBe(`%0 = constant ${Math.fround(0.1)} : f32`);
    expect(textOf(() => void tl.full([], 0.1, "f16"))).toBe("%0 = constant 0.0999755859375 : f16");
    expect(textOf(() => void tl.full([], 0.1, "bf16"))).toBe("%0 = constant 0.10009765625 : bf16");
    expect(textOf(() => void tl.full([], Number.NEGATIVE_INFINITY, "f16"))).toBe("%0 = constant -inf : f16");
    expect(textOf(() => void tl.full([], 2n ** 60n, "i64"))).toBe(`%0 = constant ${2n ** 60n}n : i64`);
  });

  it("broadcast: scalars by splat, missing leading axes and extents of 1 by expand_dims and broadcast", () => {
    expect(
      textOf((p) => {
        const x = tl.zeros([4, 8], "f32");
        x.mul(p.scale);
        x.add(tl.max(x, 1).perRow());
        x.add(tl.max(x, 0));
      }),
    ).toBe(text`
      %0 = constant 0 : tile<4x8xf32>
      %1 = splat %scale : tile<4x8xf32>
      %2 = mul %0, %1 : tile<4x8xf32>
      %3 = reduce %0 {axis = 1, kind = "max"} : tile<4xf32>
      %4 = expand_dims %3 {axis = 1} : tile<4x1xf32>
      %5 = broadcast %4 : tile<4x8xf32>
      %6 = add %0, %5 : tile<4x8xf32>
      %7 = reduce %0 {axis = 0, kind = "max"} : tile<8xf32>
      %8 = expand_dims %7 {axis = 0} : tile<1x8xf32>
      %9 = broadcast %8 : tile<4x8xf32>
      %10 = add %0, %9 : tile<4x8xf32>
    `);
  });

  it("make an outer comparison of rows and columns", () => {
    const traced = traceBody(() => void tl.arange(0, 4).perRow().ge(tl.arange(0, 8).perColumn()));
    expect(typesOf(traced).at(-1)).toBe("tile<4x8xbool>");
  });

  it("have the function form and the method form", () => {
    const names = [
      "add",
      "sub",
      "mul",
      "div",
      "rem",
      "minimum",
      "maximum",
      "lt",
      "le",
      "gt",
      "ge",
      "eq",
      "ne",
    ] as const;
    for (const name of names) {
      const method = textOf(() => void tl.arange(0, 4)[name](tl.full([4], 2, "i32")));
      expect(textOf(() => void tl[name](tl.arange(0, 4), tl.full([4], 2, "i32")))).toBe(method);
    }
    for (const name of ["exp", "exp2", "log", "log2", "sqrt", "rsqrt", "sin", "cos", "tanh", "sigmoid"] as const)
      expect(textOf(() => void tl[name](tl.zeros([4], "f32")))).toBe(textOf(() => void tl.zeros([4], "f32")[name]()));
  });

  it("divide fast by a reciprocal, taken before it is repeated", () => {
    expect(
      textOf((p) => {
        const x = tl.full([4, 8], 3, "f32");
        x.fdiv(tl.max(x, 1).perRow());
        tl.fdiv(1, p.scale);
        x.fdiv(8);
      }),
    ).toBe(text`
      %0 = constant 3 : tile<4x8xf32>
      %1 = reduce %0 {axis = 1, kind = "max"} : tile<4xf32>
      %2 = expand_dims %1 {axis = 1} : tile<4x1xf32>
      %3 = reciprocal %2 : tile<4x1xf32>
      %4 = broadcast %3 : tile<4x8xf32>
      %5 = mul %0, %4 : tile<4x8xf32>
      %6 = reciprocal %scale : f32
      %7 = constant 0.125 : tile<4x8xf32>
      %8 = mul %0, %7 : tile<4x8xf32>
    `);
  });

  it("cast only where the dtype changes", () => {
    expect(textOf(() => void tl.zeros([4], "f32").to("f32"))).toBe("%0 = constant 0 : tile<4xf32>");
    expect(textOf(() => void tl.zeros([4], "f32").to("bf16"))).toContain("cast %0 : tile<4xbf16>");
  });

  it("combine masks", () => {
    expect(
      textOf((p) => {
        const i = tl.arange(0, 4);
        i.ge(0).and(i.lt(p.n)).or(false).not();
      }),
    ).toBe(text`
      %0 = arange {start = 0, end = 4} : tile<4xi32>
      %1 = constant 0 : tile<4xi32>
      %2 = compare %0, %1 {predicate = "ge"} : tile<4xbool>
      %3 = splat %n : tile<4xi32>
      %4 = compare %0, %3 {predicate = "lt"} : tile<4xbool>
      %5 = and %2, %4 : tile<4xbool>
      %6 = constant false : tile<4xbool>
      %7 = or %5, %6 : tile<4xbool>
      %8 = not %7 : tile<4xbool>
    `);
  });

  it("choose with where, all three operands broadcast", () => {
    expect(textOf((p) => void tl.where(tl.arange(0, 4).lt(p.n), p.scale, 0))).toContain(
      "select %2, %3, %4 : tile<4xf32>",
    );
    expect(textOf((p) => void tl.where(p.n.gt(0), tl.zeros([4], "i32"), tl.arange(0, 4)))).toContain("splat");
  });
});

describe("across elements", () => {
  it("dot starts from zeros without an accumulator", () => {
    expect(textOf(() => void tl.dot(tl.zeros([16, 32], "f16"), tl.zeros([32, 8], "f16")))).toBe(text`
      %0 = constant 0 : tile<16x32xf16>
      %1 = constant 0 : tile<32x8xf16>
      %2 = constant 0 : tile<16x8xf32>
      %3 = dot %0, %1, %2 {precision = "ieee"} : tile<16x8xf32>
    `);
    const precise = textOf((p) => {
      const a = p.x.load([0, 0], [16, 16]);
      tl.dot(a, a.trans(), tl.zeros([16, 16], "f32"), { precision: "tf32" });
    });
    expect(precise).toContain('precision = "tf32"');
  });

  it("reduces over all elements without an axis", () => {
    const data = Float32Array.from([3, -1, 4, 1, -5, 9, 2, 6]);
    const result = runOn(Float32Array.from([...data, ...Array(8).fill(0)]), [2, 8], (p) => {
      const x = p.x.at(0).load([0], [8]).reshape([2, 4]);
      const answers = [tl.sum(x), tl.max(x), tl.min(x), tl.prod(x), tl.argmax(x).to("f32"), tl.argmin(x).to("f32")];
      for (const [i, answer] of answers.entries()) p.x.store([1, i], answer);
      p.x.store([1, 6], tl.all(x.gt(-6)).to("f32"));
      p.x.store([1, 7], tl.any(x.gt(9)).to("f32"));
    });
    expect([...result.slice(8)]).toEqual([19, 9, -5, 6480, 5, 4, 1, 0]);
  });

  it("scans, transposes, joins and splits", () => {
    const result = runOn(Float32Array.from([1, 2, 3, 4, 0, 0, 0, 0]), [2, 4], (p) => {
      const row = p.x.at(0).load([0], [4]);
      const [a, b] = tl.split(row.reshape([2, 2]));
      // [1, 3] and [2, 4] joined to rows, transposed, read row by row: 1 3 2 4, summed from the end.
      p.x.at(1).store([0], tl.join(a, b).trans().reshape([4]).cumsum(0, { reverse: true }));
    });
    expect([...result.slice(4)]).toEqual([10, 9, 6, 4]);
    expect(typesOf(traceBody(() => void tl.zeros([2, 4, 8], "f32").permute([2, 0, 1]))).at(-1)).toBe("tile<8x2x4xf32>");
  });

  it("sigmoid has no NaN at the ends", () => {
    const result = runOn(Float32Array.from([-1e4, 1e4, 0, -Infinity]), [1, 4], (p) => {
      p.x.store([0, 0], tl.sigmoid(p.x.load([0, 0], [1, 4])));
    });
    expect([...result]).toEqual([0, 1, 0.5, 0]);
  });
});

describe("metaprogramming", () => {
  it("unrolls a plain for and specialises a plain if", () => {
    const body = (causal: boolean, count: number) => () => {
      let x = tl.zeros([4], "f32");
      for (let i = 0; i < count; i++) x = x.add(i);
      if (causal) x = x.neg();
    };
    const opcodes = (causal: boolean, count: number) =>
      traceBody(body(causal, count)).body.operations.map(({ opcode }) => opcode);
    expect(opcodes(false, 1)).toEqual(["constant", "constant", "add"]);
    expect(opcodes(true, 2)).toEqual(["constant", "constant", "add", "constant", "add", "neg"]);
  });

  it("shows a value by its type", () => {
    traceBody((p) => {
      expect(inspect(p.n.add(1))).toBe("Tile a value of type i32");
      expect(inspect(p.q)).toBe('TensorView "q" (view<f16, 4>)');
    });
  });

  it("keeps the names that the author gives", () => {
    expect(textOf((p) => void p.n.mul(4).named("row").add(1))).toContain("%row = mul %n, %0");
  });

  it("computes cdiv of numbers and of scalars", () => {
    expect(tl.cdiv(7, 4)).toBe(2);
    const result = runOn(Float32Array.from([0, 0]), [1, 2], (p) => {
      p.x.store([0, 0], tl.cdiv(p.n, 2).to("f32"));
      p.x.store([0, 1], tl.cdiv(7, p.n).to("f32"));
    });
    expect([...result]).toEqual([2, 3]);
  });
});
