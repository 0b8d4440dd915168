/** What an author's mistake says: the code, the message, and the line, column and calls that led there. */
import { describe, expect, it } from "vitest";
import { type Scalar, type Tile, tl } from "../../src/dsl/index.ts";
import { parseStack } from "../../src/dsl/locate.ts";
import type { Location } from "../../src/ir/index.ts";
import { type Body, errorOf, lineOf, traceBody } from "./trace.ts";

const line = (marker: string): number => lineOf(import.meta.url, marker);
const here = (marker: string): RegExp => new RegExp(`errors\\.test\\.ts:${line(marker)}:\\d+`);

/** For mistakes that the editor refuses as well. */
const any = (value: unknown): any => value;

describe("messages", () => {
  const cases: [name: string, code: string, message: RegExp, body: Body][] = [
    [
      "shapes that do not broadcast",
      "SHAPE_MISMATCH",
      /add: shapes \[4, 8\] and \[4, 16\] do not broadcast: axis 1 is 8 and 16/,
      () => any(tl.zeros([4, 8], "f32")).add(tl.zeros([4, 16], "f32")),
    ],
    [
      "a vector along the wrong axis",
      "SHAPE_MISMATCH",
      /\[4, 8\] and \[4\] .*aligned at the last axis; \.perRow\(\)/,
      () => any(tl.zeros([4, 8], "f32")).sub(tl.zeros([4], "f32")),
    ],
    [
      "dtypes that do not mix",
      "DTYPE_MISMATCH",
      /mul: f16 and f32 do not mix: convert one of them, \.to\("f16"\)/,
      () => any(tl.zeros([4], "f16")).mul(tl.zeros([4], "f32")),
    ],
    [
      "a fraction for an integer",
      "CONSTANT",
      /0\.5 is not an integer, but the value is i32/,
      () => tl.arange(0, 4).mul(0.5),
    ],
    ["a number out of range", "CONSTANT", /300 does not fit in i8 \(-128 to 127\)/, () => tl.zeros([4], "i8").add(300)],
    ["a negative number for u32", "CONSTANT", /-1 does not fit in u32/, () => tl.zeros([4], "u32").sub(-1)],
    ["a number that overflows a float", "CONSTANT", /70000 overflows f16/, () => tl.zeros([4], "f16").add(70000)],
    [
      "a boolean among numbers",
      "CONSTANT",
      /true is a bool, but the other operand is f32/,
      () => tl.zeros([4], "f32").eq(true),
    ],
    ["a number among booleans", "CONSTANT", /1 is no bool: use true or false/, (p) => p.n.gt(0).and(1)],
    ["numbers alone", "NO_TILE", /all operands are plain numbers/, () => tl.add(1, 2)],
    [
      "a function of f16",
      "DTYPE",
      /exp2 is computed in f32, got tile<4xf16>: convert first, \.to\("f32"\)/,
      () => any(tl.zeros([4], "f16")).exp2(),
    ],
    [
      "a fast division of f16, by a number too",
      "DTYPE",
      /fdiv is computed in f32, got tile<4xf16>: convert first, \.to\("f32"\)/,
      () => any(tl.zeros([4], "f16")).fdiv(2),
    ],
    [
      "a sum of bf16",
      "DTYPE",
      /sum works on f32, i32, u32 and i64, got tile<4xbf16>/,
      () => any(tl.zeros([4], "bf16")).sum(0),
    ],
    [
      "bits of floats",
      "DTYPE",
      /and: operands must be integers or bool/,
      () => any(tl.zeros([4], "f32")).and(tl.zeros([4], "f32")),
    ],
    [
      "a mask by position, as Triton has it",
      "OPTION",
      /load: its options are an object, \{ mask, other \}/,
      (p) => tl.load(p.ptr.add(tl.arange(0, 4)), any(tl.arange(0, 4).lt(2))),
    ],
    [
      "an option that store has not",
      "OPTION",
      /store: there is no option "maks"; known are mask/,
      (p) => tl.store(p.ptr, any(0), any({ maks: true })),
    ],
    [
      "an option that a view has not",
      "OPTION",
      /load: there is no option "inBound"; known are inBounds/,
      (p) => p.ids.load([0], [4], any({ inBound: [0] })),
    ],
    [
      "an option that dot has not",
      "OPTION",
      /dot: there is no option "precison"; known are precision/,
      () => tl.dot(tl.zeros([16, 16], "f32"), tl.zeros([16, 16], "f32"), undefined, any({ precison: "tf32" })),
    ],
    [
      "an option that a scan has not",
      "OPTION",
      /cumsum: there is no option "reversed"; known are reverse/,
      () => tl.cumsum(tl.zeros([4], "f32"), 0, any({ reversed: true })),
    ],
    [
      "an option that associativeScan has not",
      "OPTION",
      /associativeScan: there is no option "backwards"; known are reverse/,
      () =>
        tl.associativeScan({ x: tl.zeros([4], "f32") }, 0, (a, b) => ({ x: a.x.add(b.x) }), any({ backwards: true })),
    ],
    [
      "an option that sort has not",
      "OPTION",
      /sort: there is no option "decending"; known are descending/,
      () => tl.sort(tl.zeros([4], "f32"), 0, any({ decending: true })),
    ],
    [
      "a bound that a loop has not",
      "OPTION",
      /loop: there is no option "stride"; known are from, to, step/,
      () => tl.loop(any({ to: 4, stride: 2 }), {}, () => {}),
    ],
    [
      "an option that while has not",
      "OPTION",
      /while: there is no option "max"; known are most/,
      (p) =>
        tl.while(
          { n: p.n },
          (s) => s.n.gt(0),
          (s) => ({ n: s.n.sub(1) }),
          any({ max: 4 }),
        ),
    ],
    [
      "an axis that is not there",
      "AXIS",
      /max: axis 2 does not exist in shape \[4, 8\] \(axes count from 0\)/,
      () => tl.max(tl.zeros([4, 8], "f32"), 2),
    ],
    [
      "a product of wrong inner sizes",
      "DOT_SHAPE",
      /dot multiplies \[M, K\] by \[K, N\], got \[16, 32\] by \[8, 32\]: transpose the second/,
      () => tl.dot(any(tl.zeros([16, 32], "f16")), tl.zeros([8, 32], "f16")),
    ],
    [
      "an accumulator of another shape",
      "TYPE_MISMATCH",
      /accumulator of dot must be tile<16x16xf32>/,
      () => tl.dot(tl.zeros([16, 32], "f16"), tl.zeros([32, 16], "f16"), any(tl.zeros([16, 8], "f32"))),
    ],
    [
      "an extent that is no power of two",
      "TILE_EXTENT",
      /zeros: .*powers of two .*, got \[80\]; round up and mask/,
      () => tl.zeros([80], "f32"),
    ],
    [
      "an extent that is not known",
      "TILE_EXTENT",
      /zeros: .*known while tracing, got \[a runtime value\]/,
      (p) => tl.zeros([any(p.n)], "f32"),
    ],
    ["a range that is not known", "ARANGE", /numbers known while tracing: add a scalar/, (p) => tl.arange(0, any(p.n))],
    ["a dtype that is none", "DTYPE", /f64 is not a dtype: use bool, i8/, () => tl.zeros([4], any("f64"))],
    [
      "a store of another dtype",
      "DTYPE_MISMATCH",
      /a tile of f32 does not go into "q" \(view<f16, 4>\) with 2 axes fixed: convert it, \.to\("f16"\)/,
      (p) => p.q.at(0, 0).store([0, 0], any(tl.zeros([4, 4], "f32"))),
    ],
    [
      "too few indices",
      "VIEW_RANK",
      /load: "q" \(view<f16, 4>\) has rank 4 and needs as many indices, got 2/,
      (p) => any(p.q).load([0, 0], [4]),
    ],
    ["too many fixed axes", "VIEW_RANK", /at: 5 indices are too many/, (p) => any(p.q).at(0, 0, 0, 0, 0)],
    ["a tile of too many axes", "VIEW_RANK", /shape \[2, 2\] has more axes than "ids"/, (p) => p.ids.load([0], [2, 2])],
    [
      "an index of another dtype",
      "INDEX",
      /index 1 of load must be a number or an i32 scalar, got a value of type i64: convert it, \.to\("i32"\)/,
      (p) => p.x.load([0, any(p.n.to("i64"))], [4]),
    ],
    ["a fractional index", "CONSTANT", /1\.5 is not an integer/, (p) => p.x.load([0, 1.5], [4])],
    [
      "inBounds flags that do not fit",
      "VIEW_RANK",
      /inBounds needs one flag for each of the 1 axes/,
      (p) => p.x.load([0, 0], [4], { inBounds: [true, true] }),
    ],
    [
      "arithmetic on a view",
      "TYPE_MISMATCH",
      /operand of add must be a tile or scalar, got "x" \(view<f32, 2>\)/,
      (p) => p.n.add(any(p.x)),
    ],
    ["a load from a view", "TYPE_MISMATCH", /must be a pointer, got "x" .*views have \.load/, (p) => tl.load(any(p.x))],
    [
      "a mask of another shape",
      "SHAPE_MISMATCH",
      /the mask of load: shape \[8\] cannot be repeated to \[4\]/,
      (p) => tl.load(p.ptr.add(tl.arange(0, 4)), { mask: any(tl.arange(0, 8).lt(p.n)) }),
    ],
    [
      "a mask that is no bool",
      "DTYPE_MISMATCH",
      /the mask of load must be bool, got tile<4xi32>/,
      (p) => {
        const i = tl.arange(0, 4);
        tl.load(p.ptr.add(i), { mask: any(i) });
      },
    ],
    ["other without a mask", "MASK", /other is used only where the mask is false/, (p) => tl.load(p.ptr, { other: 1 })],
    ["float offsets", "DTYPE", /offset of a pointer must be i32, u32 or i64, got f32/, (p) => p.ptr.add(any(p.scale))],
    ["an atomic on f32 that is none", "DTYPE", /atomic max works on i32 and u32/, (p) => tl.atomicMax(p.ptr, 1)],
    [
      "a condition that is no bool",
      "DTYPE",
      /where: the condition must be bool, got i32; compare it: \.ne\(0\)/,
      (p) => tl.where(any(p.n), p.n, 0),
    ],
    ["an assertion that is known", "CONDITION", /use tl\.staticAssert/, () => tl.assert(any(true), "x")],
    [
      "a static assertion that fails",
      "STATIC_ASSERT",
      /BLOCK must be even/,
      () => tl.staticAssert(false, "BLOCK must be even"),
    ],
    [
      "a static assertion that is not known",
      "CONDITION",
      /use tl\.assert/,
      (p) => tl.staticAssert(any(p.n.gt(0)), "x"),
    ],
    [
      "perRow of a matrix",
      "AXIS",
      /perRow works on tiles of one axis, got shape \[4, 4\]: use expandDims/,
      () => any(tl.zeros([4, 4], "f32")).perRow(),
    ],
    ["split of another axis", "SPLIT", /last axis of extent 2/, () => any(tl.zeros([4], "f32")).split()],
    [
      "a bit-cast to another size",
      "BITCAST",
      /f32 cannot be bit-cast to f16/,
      () => tl.zeros([4], "f32").bitcast("f16"),
    ],
    ["a loop without an end", "LOOP", /needs its end/, () => tl.loop(any({}), {}, () => {})],
    [
      "a loop that does not step",
      "LOOP",
      /step of a loop must be positive, got 0/,
      () => tl.loop({ to: 4, step: 0 }, {}, () => {}),
    ],
  ];
  it.each(cases)("%s", (_, code, message, body) => {
    const error = errorOf(body);
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/\n {4}at \S*errors\.test\.ts:\d+:\d+/);
  });
});

describe("JavaScript's operators on values of a kernel", () => {
  const cases: [string, (a: any, b: any) => unknown, RegExp][] = [
    ["a < b", (a, b) => a < b, /a\.lt\(b\)/],
    ["-a", (a) => -a, /a\.neg\(\)/],
    ["a * b", (a, b) => a * b, /a\.mul\(b\)/],
    ["a + b", (a, b) => a + b, /a\.add\(b\)/],
    // biome-ignore lint/suspicious/noDoubleEquals: the case is about it.
    ["a == 1", (a) => a == 1, /a\.eq\(b\)/],
    ["a text", (a) => `${a}`, /tl\.print/],
    ["Number(a)", (a) => Number(a), /a\.lt\(b\)/],
  ];
  it.each(cases)("%s", (_, apply, help) => {
    for (const pick of [(p: any) => p.n, (p: any) => p.x, (p: any) => p.ptr, () => tl.zeros([4], "f32")]) {
      const error = errorOf((p) => void apply(pick(p), p.n));
      expect(error.code).toBe("OPERATOR");
      expect(error.message).toMatch(help);
    }
  });
});

describe("the place of a mistake", () => {
  const helper = (x: Tile<"f32", readonly [4]>, y: Scalar<"i32">) => x.add(any(y)); // in the helper
  const outer = (x: Tile<"f32", readonly [4]>, y: Scalar<"i32">) => helper(x, y); // in the outer helper

  it("is the call, then the calls that led there, out to the body and no further", () => {
    const error = errorOf((p) => {
      outer(tl.zeros([4], "f32"), p.n); // in the body
    });
    const places = error.message.split("\n").slice(1);
    expect(places).toHaveLength(3);
    expect(places[0]).toMatch(/^ {4}at \//);
    expect(places[0]).toMatch(here("in the helper"));
    expect(places[0]).toMatch(/\(helper\)$/);
    expect(places[1]).toMatch(/^ {4}called from /);
    expect(places[1]).toMatch(here("in the outer helper"));
    expect(places[2]).toMatch(here("in the body"));
  });

  it("inside a loop's body names the loop's call too", () => {
    const error = errorOf((p) => {
      const x = tl.zeros([4], "f32");
      const body = (i: Scalar<"i32">) => {
        helper(x, i); // in the loop
      };
      tl.loop({ to: p.n }, {}, body); // around the loop
    });
    const places = error.message.split("\n").slice(1);
    expect(places).toHaveLength(3);
    expect(places[1]).toMatch(here("in the loop"));
    expect(places[2]).toMatch(here("around the loop"));
  });

  it("is kept by every operation, in the author's file", () => {
    const traced = traceBody((p) => {
      const x = p.x.load([0, 0], [4]); // a load
      tl.exp(x.add(1)); // two operations
    });
    const places = traced.body.operations.map(({ opcode, location }) => [opcode, location!.line]);
    const [load, two] = [line("a load"), line("two operations")];
    expect(places).toEqual([
      ["constant", load],
      ["constant", load],
      ["view_load", load],
      ["constant", two],
      ["add", two],
      ["exp", two],
    ]);
    for (const { location } of traced.body.operations)
      expect((location as Location).file).toMatch(/test\/dsl\/errors\.test\.ts$/);
  });

  it("reads the stacks of V8, Firefox and Safari", () => {
    const expected = { file: "/home/me/a b.ts", line: 12, column: 34, function: "scores" };
    expect(parseStack("Error: x\n    at scores (file:///home/me/a%20b.ts:12:34)\n    at <anonymous>")).toEqual([
      expected,
    ]);
    expect(parseStack("    at async Object.body (/k.ts:1:2)\n    at /k.ts:3:4\n    at new Foo (/k.ts:5:6)")).toEqual([
      { file: "/k.ts", line: 1, column: 2, function: "Object.body" },
      { file: "/k.ts", line: 3, column: 4, function: undefined },
      { file: "/k.ts", line: 5, column: 6, function: "Foo" },
    ]);
    expect(parseStack("    at f (/100%/k.ts:1:2)")[0]!.file).toBe("/100%/k.ts");
    expect(parseStack("scores@file:///home/me/a%20b.ts:12:34\n@https://host/k.js?v=3:5:6\n")).toEqual([
      expected,
      { file: "https://host/k.js", line: 5, column: 6, function: undefined },
    ]);
  });
});
