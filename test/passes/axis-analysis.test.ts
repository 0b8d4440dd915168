/**
 * Axis analysis: what is known of values, against hand-derived numbers; of accesses; and, for random kernels, that nothing claimed is
 * wrong, by looking at the values themselves.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { interpret } from "../../src/interpreter/index.ts";
import {
  Builder,
  blockParameter,
  elementCount,
  type Kernel,
  type KernelParameter,
  makeOperation,
  type Operation,
  pointerType,
  type TileType,
  type Value,
  verifyKernel,
  walk,
} from "../../src/ir/index.ts";
import { type AxisInfo, analyzeAxes, optimize, pointerAccess, viewAccess } from "../../src/passes/index.ts";
import { randomKernel } from "../support/random-kernel.ts";
import { kernelOf } from "./before-after.ts";

const parameters = `%n: i32 {divisibleBy = 48}, %m: i32, %u: u32, %p: ptr<f16> {alignment = 16}, %c: bool,
  %v: view<f16, 3> {alignment = 16, unitStride = true}, %w: view<f16, 2>`;

/** The operation that is called %r. */
function resultOf(kernel: Kernel): Operation {
  let found: Operation | undefined;
  walk(kernel.body, (operation) => {
    if (operation.results[0]?.name === "r") found = operation;
  });
  return found!;
}

describe("values", () => {
  const cases: [name: string, lines: string, contiguity: number[], divisibility: number[], constancy: number[]][] = [
    ["a parameter's divisor, its power of two", "%z = constant 0 : i32\n%r = add %n, %z : i32", [1], [16], [1]],
    ["a constant", "%r = constant 24 : tile<4x8xi32>", [1, 1], [8, 8], [4, 8]],
    ["a range", "%r = arange {start = 0, end = 64} : tile<64xi32>", [64], [2 ** 30], [1]],
    ["a stride by its tensor's facts", "%r = view_stride %v {axis = 1} : i64", [1], [8], [1]],
    ["a stride of any tensor", "%r = view_stride %w {axis = 0} : i64", [1], [1], [1]],
    ["a range from 12", "%r = arange {start = 12, end = 28} : tile<16xi32>", [16], [4], [1]],
    [
      "block start plus range",
      `%x = program_id {axis = 0} : i32
       %k = constant 64 : i32
       %start = mul %x, %k : i32
       %s = splat %start : tile<128xi32>
       %a = arange {start = 0, end = 128} : tile<128xi32>
       %r = add %s, %a : tile<128xi32>`,
      [128],
      [64],
      [1],
    ],
    [
      "a range minus a constant",
      "%a = arange {start = 0, end = 8} : tile<8xi32>\n%k = constant 4 : tile<8xi32>\n%r = sub %a, %k : tile<8xi32>",
      [8],
      [4],
      [1],
    ],
    [
      "a constant minus a range runs down",
      "%a = arange {start = 0, end = 8} : tile<8xi32>\n%k = constant 4 : tile<8xi32>\n%r = sub %k, %a : tile<8xi32>",
      [1],
      [1],
      [1],
    ],
    [
      "rows times a stride plus columns",
      `%rows = arange {start = 0, end = 8} : tile<8xi32>
       %column = expand_dims %rows {axis = 1} : tile<8x1xi32>
       %stride = splat %n : tile<8x1xi32>
       %starts = mul %column, %stride : tile<8x1xi32>
       %wide = broadcast %starts : tile<8x32xi32>
       %columns = arange {start = 0, end = 32} : tile<32xi32>
       %row = expand_dims %columns {axis = 0} : tile<1x32xi32>
       %tall = broadcast %row : tile<8x32xi32>
       %r = add %wide, %tall : tile<8x32xi32>`,
      [1, 32],
      [1, 16],
      [1, 1],
    ],
    [
      "a quotient of a range is constant in groups",
      "%a = arange {start = 0, end = 64} : tile<64xi32>\n%k = constant 24 : tile<64xi32>\n%r = div %a, %k : tile<64xi32>",
      [1],
      [1],
      [8],
    ],
    [
      "a remainder of a range runs in groups",
      "%a = arange {start = 16, end = 80} : tile<64xi32>\n%k = constant 24 : tile<64xi32>\n%r = rem %a, %k : tile<64xi32>",
      [8],
      [8],
      [1],
    ],
    [
      "a quotient of negative numbers straddles 0",
      "%a = arange {start = -8, end = 8} : tile<16xi32>\n%k = constant 4 : tile<16xi32>\n%r = div %a, %k : tile<16xi32>",
      [1],
      [1],
      [1],
    ],
    [
      "a shift rounds down, negative or not",
      "%a = arange {start = -8, end = 8} : tile<16xi32>\n%k = constant 2 : tile<16xi32>\n%r = shr %a, %k : tile<16xi32>",
      [1],
      [1],
      [4],
    ],
    [
      "masking low bits",
      "%a = arange {start = -8, end = 8} : tile<16xi32>\n%k = constant -4 : tile<16xi32>\n%r = and %a, %k : tile<16xi32>",
      [1],
      [4],
      [4],
    ],
    ["a shift multiplies", "%k = constant 3 : i32\n%r = shl %n, %k : i32", [1], [128], [1]],
    ["a promise", "%r = multiple_of %m {divisor = 32} : i32", [1], [32], [1]],
    [
      "a mask is constant in groups that divide both sides",
      `%a = arange {start = 0, end = 64} : tile<64xi32>
       %s = splat %n : tile<64xi32>
       %r = compare %a, %s {predicate = "lt"} : tile<64xbool>`,
      [1],
      [1],
      [16],
    ],
    [
      "less or equal is not",
      `%a = arange {start = 0, end = 64} : tile<64xi32>
       %s = splat %n : tile<64xi32>
       %r = compare %a, %s {predicate = "le"} : tile<64xbool>`,
      [1],
      [1],
      [1],
    ],
    [
      "a flat range under two axes, and turned",
      `%a = arange {start = 32, end = 96} : tile<64xi32>
       %b = reshape %a : tile<4x16xi32>
       %r = trans %b {permutation = [1, 0]} : tile<16x4xi32>`,
      [16, 1],
      [16, 1],
      [1, 1],
    ],
    [
      "pointers: bytes",
      `%s = splat %p : tile<64xptr<f16>>
       %a = arange {start = 0, end = 64} : tile<64xi32>
       %k = constant 4 : tile<64xi32>
       %o = add %a, %k : tile<64xi32>
       %r = add_pointer %s, %o : tile<64xptr<f16>>`,
      [64],
      [8],
      [1],
    ],
    [
      "a loop's variable: the divisor of start and step",
      `%from = constant 32 : i32
       loop %i = %from to %m step %n {
         %z = constant 0 : i32
         %r = add %i, %z : i32
         yield
       }`,
      [1],
      [16],
      [1],
    ],
    [
      "carried pointers: what holds of the first and of every next one",
      `%zero = constant 0 : i32
       %s = splat %p : tile<64xptr<f16>>
       %a = arange {start = 0, end = 64} : tile<64xi32>
       %first = add_pointer %s, %a : tile<64xptr<f16>>
       %step = constant 4 : tile<64xi32>
       %r = loop %i = %zero to %m step %n with (%q = %first) {
         %next = add_pointer %q, %step : tile<64xptr<f16>>
         yield %next
       }`,
      [64],
      [8],
      [1],
    ],
    [
      "what a loop doubles or replaces",
      `%zero = constant 0 : i32
       %k = constant 64 : i32
       %r, %other = loop %i = %zero to %m step %n with (%a = %k, %b = %k) {
         %two = add %a, %a : i32
         yield %b, %m
       }`,
      [1],
      [1],
      [1],
    ],
    [
      "both arms of an if",
      `%k = constant 24 : i32
       %r = if %c {
         yield %k
       } else {
         yield %n
       }`,
      [1],
      [8],
      [1],
    ],
    ["unknown: what is loaded", "%s = splat %p : tile<4xptr<f16>>\n%r = load %s : tile<4xf16>", [1], [1], [1]],
    [
      "a narrower integer: only aligned runs",
      `%a = arange {start = 2, end = 18} : tile<16xi32>
       %r = cast %a : tile<16xu32>`,
      [2],
      [2],
      [1],
    ],
  ];
  test.each(cases)("%s", (_, lines, contiguity, divisibility, constancy) => {
    const kernel = kernelOf(parameters, lines);
    expect(analyzeAxes(kernel).of(resultOf(kernel).results[0]!)).toEqual({ contiguity, divisibility, constancy });
  });
});

describe("accesses", () => {
  const access = (lines: string) => {
    const kernel = kernelOf(parameters, lines);
    return viewAccess(resultOf(kernel), analyzeAxes(kernel));
  };
  const load = (view: string, indices: string, shape: string, inBounds: string): string =>
    `%zero = constant 0 : i32
     %k = constant 4 : i32
     %start = mul %m, %k : i32
     %r = view_load ${view}, ${indices} {inBounds = [${inBounds}]} : tile<${shape}xf16>`;

  test("whole rows of an aligned view", () =>
    expect(access(load("%v", "%m, %m, %zero", "8x64", "false, true"))).toEqual({ axis: 1, alignment: 16, group: 64 }));
  test("bounds are known to no power of two", () =>
    expect(access(load("%v", "%m, %m, %zero", "8x64", "false, false"))).toEqual({ axis: 1, alignment: 16, group: 1 }));
  test("from a multiple of 4", () =>
    expect(access(load("%v", "%m, %m, %start", "8x64", "false, true"))).toEqual({ axis: 1, alignment: 8, group: 64 }));
  test("one row", () =>
    expect(access(load("%v", "%m, %m, %m", "64", "true"))).toEqual({ axis: 0, alignment: 2, group: 64 }));
  test("no unit stride", () =>
    expect(access(load("%w", "%m, %zero", "64", "true"))).toEqual({ axis: null, alignment: 2, group: 1 }));
  test("a view made in the kernel", () =>
    expect(
      access(`%one = constant 1 : i32
        %zero = constant 0 : i32
        %four = constant 4 : i32
        %stride = mul %m, %four : i32
        %made = make_view %p, %m, %n, %stride, %one {rank = 2} : view<f16, 2>
        %r = view_load %made, %m, %zero {inBounds = [false, false]} : tile<8x64xf16>`),
    ).toEqual({ axis: 1, alignment: 8, group: 16 }));

  test("a tile of pointers: what address, alignment and mask allow", () => {
    const width = (limit: string, offset: number): unknown => {
      const kernel = kernelOf(
        parameters,
        `%s = splat %p : tile<64xptr<f16>>
         %a = arange {start = ${offset}, end = ${offset + 64}} : tile<64xi32>
         %q = add_pointer %s, %a : tile<64xptr<f16>>
         %l = splat ${limit} : tile<64xi32>
         %mask = compare %a, %l {predicate = "lt"} : tile<64xbool>
         %r = load %q, %mask : tile<64xf16>`,
      );
      const [pointer, mask] = resultOf(kernel).operands;
      return pointerAccess(pointer!, mask ? [mask] : [], analyzeAxes(kernel));
    };
    expect(width("%n", 0)).toEqual({ axis: 0, width: 8 });
    expect(width("%n", 4)).toEqual({ axis: 0, width: 4 });
    expect(width("%m", 0)).toEqual({ axis: null, width: 1 });
  });
});

/** The kernel with every i32 tile of its outermost block stored; those values, in the order of the parameters observed0, observed1, ... */
function observe(kernel: Kernel): { observed: Kernel; values: Value[] } {
  const b = new Builder();
  const [parameters, parameterValues] = [[...kernel.parameters] as KernelParameter[], [...kernel.body.parameters]];
  const values: Value[] = [];
  for (const operation of kernel.body.operations) {
    b.append(operation);
    for (const value of operation.results) {
      if (value.type.kind !== "tile" || value.type.dtype !== "i32") continue;
      const { shape } = value.type;
      const name = `observed${values.length}`;
      values.push(value);
      const base = blockParameter(pointerType("i32"), name);
      parameters.push({ name, kind: "pointer", dtype: "i32", rank: 0, facts: {} });
      parameterValues.push(base);
      const flat = b.value("arange", [], { start: 0, end: elementCount(shape) });
      const offset = b.value("reshape", [flat], { shape });
      const pointers = b.append(makeOperation("splat", [base], { shape })).results[0]!;
      b.create("store", [b.value("add_pointer", [pointers, offset]), value]);
    }
  }
  return { observed: { ...kernel, parameters, body: b.finish(parameterValues) }, values };
}

/** The first claim about `values`, row-major, that does not hold. */
function wrongClaim(info: AxisInfo, shape: readonly number[], values: Int32Array): string | undefined {
  for (const [axis, extent] of shape.entries()) {
    const inner = elementCount(shape.slice(axis + 1));
    for (const [i, value] of values.entries()) {
      const at = Math.floor(i / inner) % extent;
      const [run, same] = [at % info.contiguity[axis]!, at % info.constancy[axis]!];
      if (run > 0 && value !== values[i - inner]! + 1) return `contiguity along axis ${axis} at ${i}`;
      if (run === 0 && value % info.divisibility[axis]! !== 0) return `divisibility along axis ${axis} at ${i}`;
      if (same > 0 && value !== values[i - inner]) return `constancy along axis ${axis} at ${i}`;
    }
  }
  return undefined;
}

test("no claim about a random kernel is wrong", () => {
  let interesting = 0;
  fc.assert(
    fc.property(
      randomKernel({ dtypes: ["i32", "u32", "i64", "i8"], atomics: false }),
      fc.boolean(),
      (random, optimized) => {
        const kernel = optimized ? optimize(random.kernel) : random.kernel;
        const { observed, values } = observe(kernel);
        verifyKernel(observed);
        const analysis = analyzeAxes(observed);
        const outputs = values.map(({ type }) => new Int32Array(elementCount((type as TileType).shape)));
        const copies = Object.entries(random.arguments).map(([name, argument]) => [
          name,
          typeof argument === "object" ? { ...argument, data: argument.data.slice() } : argument,
        ]);
        interpret(observed, {
          arguments: {
            ...Object.fromEntries(copies),
            ...Object.fromEntries(outputs.map((data, i) => [`observed${i}`, { data }])),
          },
          grid: random.grid,
          checks: { nan: false, arithmetic: false },
        });
        for (const [i, value] of values.entries()) {
          const { shape } = value.type as TileType;
          const info = analysis.of(value);
          const wrong = wrongClaim(info, shape.length === 0 ? [1] : shape, outputs[i]!);
          if (wrong) expect.fail(`${value.definition!.opcode}: ${wrong}: ${JSON.stringify(info)} of ${outputs[i]}`);
          if (Math.max(...info.contiguity, ...info.divisibility) > 1 && value.definition!.opcode !== "constant")
            interesting++;
        }
      },
    ),
    { numRuns: Number(process.env.TILEWRIGHT_RUNS ?? 60) },
  );
  expect(interesting).toBeGreaterThan(200);
});
