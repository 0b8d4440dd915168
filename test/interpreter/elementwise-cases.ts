/** Cases of the elementwise operations, by opcode. */
import { expect } from "vitest";
import type { DType, Opcode } from "../../src/ir/index.ts";
import { type Case, f, gives, inf, keeps, max32, max64, min32, min64, nan, on } from "./cases.ts";
import { type Element, evaluate, tile } from "./evaluate.ts";
import { makeKernel, pointer, pointersTo, run, storeTile } from "./kernels.ts";

/** The nearest f32 to a real number given to 17 digits by hand. */
const transcendental = (opcode: Opcode, inputs: readonly number[], expected: readonly number[]): Case =>
  on(opcode, "f32", inputs, expected.map(f));

export const elementwiseCases = {
  neg: [
    on("neg", "f32", [1.5, -0, inf, nan], [-1.5, 0, -inf, nan]),
    on("neg", "f16", [1.5, -2], [-1.5, 2]),
    on("neg", "i32", [min32, 5], [min32, -5]),
    on("neg", "u32", [1, 0], [2 ** 32 - 1, 0]),
    on("neg", "i8", [-128, 3], [-128, -3]),
    on("neg", "i64", [min64, 3n], [min64, -3n]),
  ],
  abs: [
    on("abs", "f32", [-1.5, -0, -inf, 2], [1.5, 0, inf, 2]),
    on("abs", "i32", [min32, -5], [min32, 5]),
    on("abs", "u32", [2 ** 32 - 1, 0], [2 ** 32 - 1, 0]),
    on("abs", "i8", [-128, -3], [-128, 3]),
    on("abs", "i64", [min64, -3n], [min64, 3n]),
  ],
  floor: [on("floor", "f32", [1.5, -1.5, -0.25, inf], [1, -2, -1, inf]), on("floor", "bf16", [2.5, -0.5], [2, -1])],
  ceil: [on("ceil", "f32", [1.5, -1.5, 0.25, -inf], [2, -1, 1, -inf]), on("ceil", "f16", [2.5, 0.5], [3, 1])],
  sqrt: [transcendental("sqrt", [2, 9, 0, 2 ** -126], [Math.SQRT2, 3, 0, 2 ** -63])],
  rsqrt: [transcendental("rsqrt", [2, 4, 0, inf], [Math.SQRT1_2, 0.5, inf, 0])],
  reciprocal: [transcendental("reciprocal", [3, -8, 0, inf], [1 / 3, -0.125, inf, 0])],
  exp: [transcendental("exp", [1, -inf, 89, -1], [Math.E, 0, inf, 0.36787944117144233])],
  exp2: [transcendental("exp2", [0.5, -inf, -149, 128], [Math.SQRT2, 0, 2 ** -149, inf])],
  log: [transcendental("log", [2, 0, 1, inf], [Math.LN2, -inf, 0, inf])],
  log2: [transcendental("log2", [8, 0, 10, 2 ** -149], [3, -inf, Math.log(10) / Math.LN2, -149])],
  sin: [transcendental("sin", [1, 0, -2, 100], [0.8414709848078965, 0, -0.9092974268256817, -0.5063656411097588])],
  cos: [transcendental("cos", [1, 0, -2, 100], [0.5403023058681398, 1, -0.4161468365471424, 0.862318872287684])],
  tanh: [transcendental("tanh", [1, 0, -inf, 0.5], [0.7615941559557649, 0, -1, 0.4621171572600098])],
  not: [
    on("not", "i32", [0, 5], [-1, -6]),
    on("not", "u32", [0, 2 ** 32 - 1], [2 ** 32 - 1, 0]),
    on("not", "i8", [0, -128], [-1, 127]),
    on("not", "i64", [0n, min64], [-1n, max64]),
    on("not", "bool", [true, false], [false, true]),
  ],
  add: [
    on("add", "f32", [2 ** 24, 0.1, inf, 1], [1, 0.2, -inf, 2 ** -30], [2 ** 24, f(f(0.1) + f(0.2)), nan, 1]),
    on("add", "f16", [2048, 2048, 65504, 1], [1, 3, 16, 2 ** -11], [2048, 2052, inf, 1]),
    on("add", "bf16", [256, 256], [1, 3], [256, 260]),
    on("add", "i32", [max32, 2], [1, 3], [min32, 5]),
    on("add", "u32", [2 ** 32 - 1, 2], [1, 3], [0, 5]),
    on("add", "i8", [127, 2], [1, 3], [-128, 5]),
    on("add", "i64", [max64, 2n ** 53n], [1n, 1n], [min64, 2n ** 53n + 1n]),
  ],
  sub: [
    on("sub", "f32", [1, inf], [f(0.1), inf], [f(1 - f(0.1)), nan]),
    on("sub", "f16", [2048, -65504], [-1, 16], [2048, -inf]),
    on("sub", "i32", [min32, 2], [1, 3], [max32, -1]),
    on("sub", "u32", [0, 7], [1, 3], [2 ** 32 - 1, 4]),
    on("sub", "i8", [-128, 2], [1, 3], [127, -1]),
    on("sub", "i64", [min64, 2n], [1n, 3n], [max64, -1n]),
  ],
  mul: [
    on("mul", "f32", [0.1, inf, 2 ** -100, 3], [0.1, 0, 2 ** -100, -2], [f(f(0.1) * f(0.1)), nan, 0, -6]),
    on("mul", "f16", [1 + 2 ** -10, 256], [1 + 2 ** -10, 256], [1 + 2 ** -9, inf]),
    on("mul", "bf16", [1 + 2 ** -7, 3], [1 + 2 ** -7, 3], [1 + 2 ** -6, 9]),
    // 0x12345679 * 0x10000001 = 0x1234567_2345679 + ...: the low words of exact products.
    on("mul", "i32", [65537, -3], [65537, max32], [131073, Number(BigInt.asIntN(32, -3n * 2147483647n))]),
    on(
      "mul",
      "u32",
      [0xd2511f53, 65536],
      [0xdeadbeef, 65536],
      [Number(BigInt.asUintN(32, 0xd2511f53n * 0xdeadbeefn)), 0],
    ),
    on("mul", "i8", [16, -3], [8, 5], [-128, -15]),
    on("mul", "i64", [2n ** 62n, 3n], [2n, -5n], [min64, -15n]),
  ],
  div: [
    on("div", "f32", [1, 1, 0, -7], [3, 0, 0, 2], [f(1 / 3), inf, nan, -3.5]),
    on("div", "f16", [1, 2], [3, -4], [0.333251953125, -0.5]),
    on("div", "bf16", [1, 2], [3, -4], [0.333984375, -0.5]),
    on("div", "i32", [-7, 7, min32, max32], [2, -2, -1, max32], [-3, -3, min32, 1]),
    on("div", "u32", [2 ** 32 - 1, 7], [2, 2 ** 32 - 1], [max32, 0]),
    on("div", "i8", [-128, -7], [-1, 2], [-128, -3]),
    on("div", "i64", [min64, -7n], [-1n, 2n], [min64, -3n]),
  ],
  rem: [
    on("rem", "f32", [5.5, -5.5, 5.5, inf], [2, 2, -2, 2], [1.5, -1.5, 1.5, nan]),
    on("rem", "f16", [5.5, -5], [2, 3], [1.5, -2]),
    on("rem", "i32", [-7, 7, min32, 6], [2, -2, -1, 4], [-1, 1, 0, 2]),
    on("rem", "u32", [2 ** 32 - 1, 7], [10, 8], [5, 7]),
    on("rem", "i8", [-7, 7], [2, -2], [-1, 1]),
    on("rem", "i64", [-7n, min64], [2n, -1n], [-1n, 0n]),
  ],
  min: [
    on("min", "f32", [1, nan, 2, nan], [2, 3, nan, nan], [1, 3, 2, nan]),
    on("min", "f32", [0, -0], [-0, 0], [-0, -0]),
    on("min", "f16", [1, -inf], [2, 0], [1, -inf]),
    on("min", "i32", [min32, 3], [0, -3], [min32, -3]),
    on("min", "u32", [2 ** 32 - 1, 3], [0, 5], [0, 3]),
    on("min", "i8", [-1, 3], [0, 5], [-1, 3]),
    on("min", "i64", [min64, 3n], [0n, -3n], [min64, -3n]),
  ],
  max: [
    on("max", "f32", [1, nan, 2, nan], [2, 3, nan, nan], [2, 3, 2, nan]),
    on("max", "f32", [0, -0], [-0, 0], [0, 0]),
    on("max", "bf16", [1, -inf], [2, 0], [2, 0]),
    on("max", "i32", [min32, 3], [0, -3], [0, 3]),
    on("max", "u32", [2 ** 32 - 1, 3], [0, 5], [2 ** 32 - 1, 5]),
    on("max", "i8", [-1, 3], [0, 5], [0, 5]),
    on("max", "i64", [min64, 3n], [0n, -3n], [0n, 3n]),
  ],
  and: [
    on("and", "i32", [-1, 12], [5, 10], [5, 8]),
    on("and", "u32", [2 ** 32 - 1, 12], [2 ** 31, 10], [2 ** 31, 8]),
    on("and", "i8", [-1, 12], [-128, 10], [-128, 8]),
    on("and", "i64", [-1n, 12n], [min64, 10n], [min64, 8n]),
    on("and", "bool", [true, true, false, false], [true, false, true, false], [true, false, false, false]),
  ],
  or: [
    on("or", "i32", [min32, 12], [5, 10], [min32 + 5, 14]),
    on("or", "u32", [2 ** 31, 12], [1, 10], [2 ** 31 + 1, 14]),
    on("or", "i8", [-128, 12], [1, 10], [-127, 14]),
    on("or", "i64", [min64, 12n], [1n, 10n], [min64 + 1n, 14n]),
    on("or", "bool", [true, true, false, false], [true, false, true, false], [true, true, true, false]),
  ],
  xor: [
    on("xor", "i32", [-1, 12], [5, 10], [-6, 6]),
    on("xor", "u32", [2 ** 32 - 1, 12], [2 ** 31, 10], [max32, 6]),
    on("xor", "i8", [-1, 12], [-128, 10], [127, 6]),
    on("xor", "i64", [-1n, 12n], [min64, 10n], [max64, 6n]),
    on("xor", "bool", [true, true, false, false], [true, false, true, false], [false, true, true, false]),
  ],
  shl: [
    on("shl", "i32", [1, 3], [31, 2], [min32, 12]),
    on("shl", "u32", [3, 3], [31, 0], [2 ** 31, 3]),
    on("shl", "i8", [1, 3], [7, 2], [-128, 12]),
    on("shl", "i64", [1n, 3n], [63n, 40n], [min64, 3n * 2n ** 40n]),
  ],
  shr: [
    on("shr", "i32", [min32, 7], [31, 1], [-1, 3]),
    on("shr", "u32", [2 ** 32 - 1, 7], [31, 1], [1, 3]),
    on("shr", "i8", [-128, 7], [7, 1], [-1, 3]),
    on("shr", "i64", [min64, 2n ** 40n], [63n, 39n], [-1n, 2n]),
  ],
  umulhi: [
    [
      "the high word of the exact product",
      () => {
        const values = [0, 1, 2, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xd2511f53, 0xcd9e8d57, 0xffffffff];
        const pairs = values.flatMap((a) => values.map((b) => [a, b] as const)).slice(0, 64);
        const expected = pairs.map(([a, b]) => Number((BigInt(a) * BigInt(b)) >> 32n));
        const [left, right] = [0, 1].map((side) =>
          tile(
            "u32",
            pairs.map((pair) => pair[side]!),
          ),
        );
        expect(evaluate([left!, right!], (b, [x, y]) => b.value("umulhi", [x!, y!]))).toEqual([expected]);
      },
    ],
    on("umulhi", "u32", [2 ** 32 - 1, 2 ** 31], [2 ** 32 - 1, 2], [2 ** 32 - 2, 1]),
  ],
  fma: [
    // (1 + 2^-12)^2 - 1 = 2^-11 + 2^-24 exactly: a rounded product would lose the last term.
    on("fma", "f32", [1 + 2 ** -12, inf], [1 + 2 ** -12, 0], [-1, 1], [2 ** -11 + 2 ** -24, nan]),
    // 1 + 2^-24 - 2^-100: just below the middle of two f32; rounding to f64 first would give 1 + 2^-24, then a tie. And just above.
    on("fma", "f32", [2 ** -50, -(2 ** -50)], [-(2 ** -50), -(2 ** -50)], [f(1 + 2 ** -23), 1], [f(1 + 2 ** -23), 1]),
    on(
      "fma",
      "f32",
      [1 + 2 ** -23, 1 - 2 ** -24, 2 ** -60, -(2 ** -60)],
      [2 ** -24, 2 ** -24, 2 ** -60, 2 ** -60],
      [1, 1, -1, 1],
      [1 + 2 ** -23, 1, -1, 1],
    ),
    on("fma", "f16", [1 + 2 ** -10, 1 + 2 ** -10], [2 ** -11, -(2 ** -12)], [1, 1], [1 + 2 ** -10, 1 - 2 ** -11]),
    on("fma", "bf16", [2 ** -8, 3], [1 + 2 ** -7, 3], [1, 1], [1 + 2 ** -7, 10]),
  ],
  compare: [
    ...(["eq", "ne", "lt", "le", "gt", "ge"] as const).flatMap((predicate) => {
      const of = { eq: [0, 1, 0], ne: [1, 0, 1], lt: [1, 0, 0], le: [1, 1, 0], gt: [0, 0, 1], ge: [0, 1, 1] }[
        predicate
      ];
      const expected = [...of, predicate === "ne" ? 1 : 0].map(Boolean);
      const compared = (dtype: DType, a: Element[], b: Element[], result = expected): Case =>
        gives("compare", [tile(dtype, a), tile(dtype, b)], result, { predicate });
      const ordered = [...of, of[0]!].map(Boolean);
      return [
        compared("f32", [-1, 2, inf, nan], [0.5, 2, 3, 1]),
        compared("f16", [-1, 2, inf, nan], [0.5, 2, 3, nan]),
        compared("bf16", [-inf, 2, 4, 0], [0.5, 2, 3, nan]),
        compared("i32", [min32, 2, max32, 0], [0, 2, 3, 1], ordered),
        compared("u32", [0, 2, 2 ** 32 - 1, 1], [1, 2, 3, 2 ** 31], ordered),
        compared("i8", [-128, 2, 127, -1], [0, 2, 3, 1], ordered),
        compared("i64", [min64, 2n, max64, 2n ** 60n], [0n, 2n, 3n, 2n ** 60n + 1n], ordered),
        compared("bool", [false, true, true, false], [true, true, false, true], ordered),
      ];
    }),
    gives("compare", [tile("f32", [0, -0]), tile("f32", [-0, 0])], [true, true], { predicate: "eq" }),
  ],
  select: [
    ...(["f32", "f16", "bf16", "i32", "u32", "i8"] as const).map((dtype) =>
      gives("select", [tile("bool", [true, false]), tile(dtype, [1, 2]), tile(dtype, [3, 4])], [1, 4]),
    ),
    gives("select", [tile("bool", [true, false]), tile("i64", [1n, 2n]), tile("i64", [3n, 4n])], [1n, 4n]),
    [
      "between pointers into two tensors",
      () => {
        const kernel = makeKernel({ a: pointer("f32"), b: pointer("f32"), out: pointer("f32") }, (b, p) => {
          const mask = b.value("compare", [b.value("arange", [], { start: 0, end: 4 }), b.constant(2, "i32", [4])], {
            predicate: "lt",
          });
          const chosen = b.value("select", [mask, pointersTo(b, p.a, [4]), pointersTo(b, p.b, [4])]);
          storeTile(b, p.out, b.value("load", [chosen]), [4]);
          b.create("store", [chosen, b.constant(9, "f32", [4])]);
        });
        const [a, b, out] = [Float32Array.of(0, 1, 2, 3), Float32Array.of(4, 5, 6, 7), new Float32Array(4)];
        run(kernel, { a: { data: a }, b: { data: b }, out: { data: out } });
        expect([...out]).toEqual([0, 1, 6, 7]);
        expect([...a]).toEqual([9, 9, 2, 3]);
        expect([...b]).toEqual([4, 5, 9, 9]);
      },
    ],
  ],
  // The conversions are many: casts.test.ts.
  cast: [gives("cast", [tile("f32", [1.9, -1.9])], [1, -1], { dtype: "i32" })],
  bitcast: [
    gives("bitcast", [tile("f32", [1, -0])], [0x3f800000, min32], { dtype: "i32" }),
    gives("bitcast", [tile("f32", [1, -0])], [0x3f800000, 2 ** 31], { dtype: "u32" }),
    gives("bitcast", [tile("i32", [0x3f800000, min32])], [1, -0], { dtype: "f32" }),
    gives("bitcast", [tile("u32", [2 ** 32 - 1, 1])], [-1, 1], { dtype: "i32" }),
    gives("bitcast", [tile("f16", [1, -2])], [0.0078125, -2], { dtype: "bf16" }), // 0x3c00, 0xc000
    gives("bitcast", [tile("bf16", [1, -2])], [1.875, -2], { dtype: "f16" }), // 0x3f80, 0xc000
    gives("bitcast", [tile("i64", [5n, -1n])], [5n, -1n], { dtype: "i64" }),
  ],
  multiple_of: [
    keeps("multiple_of", "i32", [16, -32], { divisor: 16 }),
    keeps("multiple_of", "i64", [16n, 0n], { divisor: 16 }),
  ],
  convert_layout: [keeps("convert_layout", "f32", [1, 2], {})],
} satisfies Partial<Record<Opcode, readonly Case[]>>;
