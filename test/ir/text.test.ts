/** The text form: what is printed reads back as the same kernel, and wrong text is refused with its line and column. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  Builder,
  blockParameter,
  type Kernel,
  parseKernel,
  pointerType,
  printKernel,
  tileType,
  viewType,
} from "../../src/ir/index.ts";
import { randomKernel } from "../support/random-kernel.ts";

/** Everything of a kernel but object identities: two kernels with equal structure are equal. */
function structure(kernel: Kernel): unknown {
  const ids = new Map<unknown, number>();
  const id = (value: unknown): number => {
    if (!ids.has(value)) ids.set(value, ids.size);
    return ids.get(value)!;
  };
  const value = (v: Kernel["body"]["parameters"][number]) => ({ id: id(v), type: v.type, name: v.name });
  const block = (b: Kernel["body"]): unknown => ({
    parameters: b.parameters.map(value),
    operations: b.operations.map((operation) => ({
      ...operation,
      operands: operation.operands.map(id),
      blocks: operation.blocks.map(block),
      results: operation.results.map(value),
    })),
  });
  return { ...kernel, body: block(kernel.body) };
}

const every = `kernel softmax(%x: view<f16, 2> {alignment = 16, unitStride = true}, %p: ptr<i32>, %n: i32 {divisibleBy = 8})
  grid ("ceilDiv(x.shape.0, 64)", "1", "1")
  constants {BLOCK = 64, CAUSAL = true, DTYPE = "f16", SCALE = -inf}
  hints {numWarps = 4}
{
  %0 = constant -inf : tile<64xf32>
  %1 = constant nan : f32
  %2 = constant -0 : f32
  %3 = constant 9223372036854775807n : i64
  %4 = constant -128 : tile<2xi8>
  %5 = constant true : tile<1x1xbool>
  %row = program_id {axis = 0} : i32
  %zero = constant 0 : i32
  %step = constant 64 : i32
  %"a b\\"c" = splat %p : tile<64xptr<i32>>
  %6 = load %"a b\\"c" : tile<64xi32>
  %m, %count = loop %i = %zero to %n step %step with (%m#1 = %0, %count#1 = %zero) {
    %7 = view_load %x, %row, %i {inBounds = [false]} : tile<64xf16>
    %8 = cast %7 : tile<64xf32>
    %9 = max %m#1, %8 : tile<64xf32>
    yield %9, %i
  }
  %10 = compare %count, %n {predicate = "lt"} : bool
  %11 = if %10 {
    yield %m
  } else {
    print %m {prefix = "line\\nbreak \\"quoted\\" % {"}
    yield %0
  }
  %12 = cast %11 : tile<64xf16>
  view_store %x, %12, %row, %zero {inBounds = [true]}
  loop %i#1 = %zero to %n step %step {
    yield
  }
}
`;

describe("text form", () => {
  test("a kernel with every kind of thing prints as it was read", () => {
    const kernel = parseKernel(every);
    expect(printKernel(kernel)).toBe(every);
    expect(kernel.parameters[2]).toEqual({
      name: "n",
      kind: "scalar",
      dtype: "i32",
      rank: 0,
      facts: { divisibleBy: 8 },
    });
    expect(kernel.constants.SCALE).toBe(-Infinity);
    const [, nan, negativeZero, big] = kernel.body.operations.map((operation) => operation.attributes.value);
    expect(nan).toBeNaN();
    expect(negativeZero).toBe(-0);
    expect(big).toBe(2n ** 63n - 1n);
  });

  test("what the builder made comes back equal, locations and odd names included", () => {
    const builder = new Builder();
    const location = { file: 'C:\\a "b".ts', line: 12, column: 5 };
    builder.locate = () => location;
    const p = blockParameter(pointerType("f32"), "p");
    const v = blockParameter(viewType("bf16", 3), "v");
    for (const value of [0.1, 1e-45, 1e21, 3.4e38, -0, Number.NaN, Number.POSITIVE_INFINITY])
      builder.value("constant", [], { value, dtype: "f32", shape: [2, 4] }, { names: ["c"] });
    builder.value("arange", [], { start: -4, end: 4 }, { names: ["état #1"] });
    builder.value("arange", [], { start: 0, end: 1 }, { names: ["0"] });
    builder.value("arange", [], { start: 0, end: 1 }, { names: ["inf"] });
    builder.create("assert", [builder.constant(true, "bool")], { message: "\u2028 \ud800 \t" });
    const zero = builder.constant(0, "i32");
    const state = [blockParameter(tileType("i32"), "i"), blockParameter(tileType("i32"), "c")];
    const block = builder.block(state, () => builder.create("yield", [state[1]!]));
    builder.create("loop", [zero, zero, zero, zero], {}, { blocks: [block], names: ["c"] });
    const kernel: Kernel = {
      name: "odd name",
      parameters: [
        { name: "p", kind: "pointer", dtype: "f32", rank: 0, facts: { alignment: 4 } },
        { name: "v", kind: "tensor", dtype: "bf16", rank: 3, facts: {} },
      ],
      body: builder.finish([p, v]),
      constants: { "not-an-identifier": "x", N: 0.5, inf: 1 },
      grid: null,
      hints: {},
    };
    const again = parseKernel(printKernel(kernel, { locations: true }));
    expect(structure(again)).toEqual(structure(kernel));
    const bare = parseKernel(printKernel(kernel));
    expect(bare.body.operations.every((operation) => operation.location === undefined)).toBe(true);
  });
});

test("random kernels come back equal", () => {
  fc.assert(
    fc.property(randomKernel(), ({ kernel }) => {
      expect(structure(parseKernel(printKernel(kernel)))).toEqual(structure(kernel));
    }),
    { numRuns: 50 },
  );
});

describe("wrong text is refused where it is wrong", () => {
  const inKernel = (line: string): string => `kernel k(%x: f32, %n: i32)\n{\n  ${line}\n}\n`;
  test.each([
    ["%a = add %x : f32", "OPERAND_COUNT", "line 3, column 8: add: add takes (a, b), got 1 operands"],
    ["%a = add %x, %y : f32", "UNDEFINED_VALUE", "line 3, column 16: %y is not defined here"],
    ["%a = plus %x, %x : f32", "PARSE", 'line 3, column 8: there is no operation "plus"'],
    ["%a = add %x, %x : f16", "TYPE_MISMATCH", "line 3, column 19: add gives (f32), not (f16)"],
    ["%a, %b = add %x, %x : f32", "PARSE", "add has 1 results, but 2 are named"],
    ["%x = neg %x : f32", "PARSE", "line 3, column 3: %x is defined twice"],
    ["%a = splat %x", "PARSE", "splat needs its result type here"],
    ["%a = splat %x : tile<3xf32>", "TILE_EXTENT", "powers of two, got [3]"],
    ["%a = reduce %x {axis = } : f32", "PARSE", 'line 3, column 26: expected a value, got "}"'],
    ["%a = constant 1.5 : i32", "CONSTANT", "1.5 is not an integer"],
    ["%a = neg ~ : f32", "PARSE", 'line 3, column 12: unexpected character "~"'],
    ["loop %i = %n to %n step %n {\n }", "TERMINATOR", "must end with yield"],
    [
      "loop %i = %n to %n step %n {\n  yield\n  }\n  %a = neg %i : i32",
      "UNDEFINED_VALUE",
      "line 6, column 12: %i is not",
    ],
    ["", "PARSE", "", "kernel k(%x: f33) {}"],
    ["", "PARSE", "needs a name", "kernel k(%0: f32) {}"],
    ["", "PARSE", "text after the end", "kernel k() {} }"],
  ])("%s", (line, code, message, text = inKernel(line)) => {
    let error: unknown;
    try {
      parseKernel(text);
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ name: "IrError", code, message: expect.stringContaining(message) });
  });
});
