/** The op table's rules: what each operation infers, and what it refuses with which code. */
import { describe, expect, test } from "vitest";
import {
  type Attributes,
  type Block,
  blockParameter,
  inferTypes,
  makeOperation,
  type Opcode,
  opcodes,
  parseKernel,
  tileType,
  typeToString,
  type ValueType,
} from "../../src/ir/index.ts";

/** Types written as in the text form, with commas between them. */
function types(text: string): readonly ValueType[] {
  const parts = text === "" ? [] : text.split(/, (?!\d)/); // Not the comma of `view<f32, 2>`.
  const parameters = parts.map((type, i) => `%t${i}: ${type}`);
  return parseKernel(`kernel k(${parameters.join(", ")}) {}`).body.parameters.map(({ type }) => type);
}

type Good = readonly [operands: string, attributes: Attributes, results: string];
type Bad = readonly [operands: string, attributes: Attributes, code: string];

const described = new Set<string>();

function rules(opcode: Opcode, good: readonly Good[], bad: readonly Bad[]): void {
  described.add(opcode);
  describe(opcode, () => {
    test.each(good)("(%s) %o gives %s", (operands, attributes, results) => {
      const inferred = inferTypes(opcode, types(operands), attributes, []);
      expect(inferred.map(typeToString).join(", ")).toBe(results);
    });
    test.each(bad)("(%s) %o: %s", (operands, attributes, code) => {
      const infer = (): unknown => inferTypes(opcode, types(operands), attributes, []);
      expect(infer).toThrow(expect.objectContaining({ name: "IrError", code }));
    });
  });
}

const none = {};

describe("values", () => {
  rules(
    "constant",
    [
      ["", { value: 1.5, dtype: "f32", shape: [4] }, "tile<4xf32>"],
      ["", { value: true, dtype: "bool", shape: [] }, "bool"],
      ["", { value: 5n, dtype: "i64", shape: [] }, "i64"],
      ["", { value: 2 ** 32 - 1, dtype: "u32", shape: [] }, "u32"],
      ["", { value: Number.NaN, dtype: "f16", shape: [] }, "f16"],
    ],
    [
      ["", { value: 1, dtype: "bool", shape: [] }, "CONSTANT"],
      ["", { value: 5, dtype: "i64", shape: [] }, "CONSTANT"],
      ["", { value: 5n, dtype: "i32", shape: [] }, "CONSTANT"],
      ["", { value: 0.5, dtype: "i32", shape: [] }, "CONSTANT"],
      ["", { value: 2 ** 31, dtype: "i32", shape: [] }, "CONSTANT"],
      ["", { value: -1, dtype: "u32", shape: [] }, "CONSTANT"],
      ["", { value: 128, dtype: "i8", shape: [] }, "CONSTANT"],
      ["", { value: 2n ** 63n, dtype: "i64", shape: [] }, "CONSTANT"],
      ["", { value: 1, dtype: "f64", shape: [] }, "ATTRIBUTE"],
      ["", { value: "1", dtype: "f32", shape: [] }, "ATTRIBUTE"],
      ["", { value: 1, dtype: "f32", shape: [3] }, "TILE_EXTENT"],
      ["", { value: 1, dtype: "f32", shape: [0] }, "TILE_EXTENT"],
      ["", { value: 1, dtype: "f32", shape: [1024, 2048] }, "TILE_TOO_LARGE"],
      ["f32", { value: 1, dtype: "f32", shape: [] }, "OPERAND_COUNT"],
    ],
  );
  for (const opcode of ["program_id", "num_programs"] as const)
    rules(
      opcode,
      [["", { axis: 2 }, "i32"]],
      [
        ["", { axis: 3 }, "AXIS"],
        ["", none, "ATTRIBUTE"],
        ["", { axis: 0, other: 1 }, "ATTRIBUTE"],
      ],
    );
  rules(
    "arange",
    [["", { start: -4, end: 4 }, "tile<8xi32>"]],
    [
      ["", { start: 0, end: 6 }, "TILE_EXTENT"],
      ["", { start: 4, end: 0 }, "TILE_EXTENT"],
    ],
  );
});

describe("shape", () => {
  rules(
    "splat",
    [
      ["f16", { shape: [2, 4] }, "tile<2x4xf16>"],
      ["ptr<i32>", { shape: [8] }, "tile<8xptr<i32>>"],
    ],
    [
      ["tile<4xf32>", { shape: [4] }, "TYPE_MISMATCH"],
      ["view<f32, 2>", { shape: [4] }, "TYPE_MISMATCH"],
      ["f32", { shape: [5] }, "TILE_EXTENT"],
    ],
  );
  rules(
    "broadcast",
    [["tile<4x1xf32>", { shape: [4, 8] }, "tile<4x8xf32>"]],
    [
      ["tile<4x2xf32>", { shape: [4, 8] }, "BROADCAST"],
      ["tile<4xf32>", { shape: [4, 8] }, "BROADCAST"],
      ["tile<1xf32>", { shape: [6] }, "TILE_EXTENT"],
      ["view<f32, 2>", { shape: [] }, "BROADCAST"],
    ],
  );
  rules(
    "expand_dims",
    [
      ["tile<4x8xf32>", { axis: 1 }, "tile<4x1x8xf32>"],
      ["ptr<f32>", { axis: 0 }, "tile<1xptr<f32>>"],
    ],
    [
      ["tile<4xf32>", { axis: 2 }, "AXIS"],
      ["tile<4xf32>", { axis: -1 }, "AXIS"],
      ["view<f32, 2>", { axis: 0 }, "AXIS"],
    ],
  );
  rules(
    "reshape",
    [["tile<4x8xf32>", { shape: [32, 1] }, "tile<32x1xf32>"]],
    [
      ["tile<4x8xf32>", { shape: [16] }, "RESHAPE"],
      ["view<f32, 1>", { shape: [] }, "RESHAPE"],
    ],
  );
  rules(
    "trans",
    [["tile<2x4x8xf32>", { permutation: [2, 0, 1] }, "tile<8x2x4xf32>"]],
    [
      ["tile<2x4xf32>", { permutation: [0, 0] }, "AXIS"],
      ["tile<2x4xf32>", { permutation: [0] }, "AXIS"],
    ],
  );
  rules(
    "join",
    [["tile<4xf16>, tile<4xf16>", none, "tile<4x2xf16>"]],
    [
      ["tile<4xf16>, tile<8xf16>", none, "TYPE_MISMATCH"],
      ["ptr<f32>, ptr<f32>", none, "TYPE_MISMATCH"],
    ],
  );
  rules("split", [["tile<4x2xf16>", none, "tile<4xf16>, tile<4xf16>"]], [["tile<2x4xf16>", none, "SPLIT"]]);
});

describe("arithmetic", () => {
  const anyNumber: readonly Good[] = [
    ["tile<4xf16>", none, "tile<4xf16>"],
    ["i64", none, "i64"],
  ];
  for (const opcode of ["neg", "abs"] as const)
    rules(opcode, anyNumber, [
      ["bool", none, "DTYPE"],
      ["ptr<f32>", none, "DTYPE"],
    ]);
  for (const opcode of ["floor", "ceil"] as const)
    rules(opcode, [["tile<4xbf16>", none, "tile<4xbf16>"]], [["i32", none, "DTYPE"]]);
  for (const opcode of ["sqrt", "rsqrt", "reciprocal", "exp", "exp2", "log", "log2", "sin", "cos", "tanh"] as const)
    rules(opcode, [["tile<4xf32>", none, "tile<4xf32>"]], [["tile<4xf16>", none, "DTYPE"]]);
  rules("not", [["bool", none, "bool"]], [["f32", none, "DTYPE"]]);
  for (const opcode of ["add", "sub", "mul", "div", "rem", "min", "max"] as const)
    rules(
      opcode,
      [["tile<4xi8>, tile<4xi8>", none, "tile<4xi8>"]],
      [
        ["f32, f16", none, "TYPE_MISMATCH"],
        ["tile<4xf32>, f32", none, "TYPE_MISMATCH"],
        ["bool, bool", none, "DTYPE"],
        ["f32", none, "OPERAND_COUNT"],
        ["f32, f32, f32", none, "OPERAND_COUNT"],
      ],
    );
  for (const opcode of ["and", "or", "xor"] as const)
    rules(
      opcode,
      [
        ["bool, bool", none, "bool"],
        ["u32, u32", none, "u32"],
      ],
      [["f32, f32", none, "DTYPE"]],
    );
  for (const opcode of ["shl", "shr"] as const)
    rules(opcode, [["i64, i64", none, "i64"]], [["bool, bool", none, "DTYPE"]]);
  rules("umulhi", [["u32, u32", none, "u32"]], [["i32, i32", none, "DTYPE"]]);
  rules("fma", [["f16, f16, f16", none, "f16"]], [["i32, i32, i32", none, "DTYPE"]]);
  rules(
    "compare",
    [["tile<4xbf16>, tile<4xbf16>", { predicate: "lt" }, "tile<4xbool>"]],
    [
      ["f32, f32", { predicate: "less" }, "ATTRIBUTE"],
      ["f32, f16", { predicate: "lt" }, "TYPE_MISMATCH"],
      ["ptr<f32>, ptr<f32>", { predicate: "eq" }, "TYPE_MISMATCH"],
    ],
  );
  rules(
    "select",
    [
      ["tile<4xbool>, tile<4xf32>, tile<4xf32>", none, "tile<4xf32>"],
      ["bool, ptr<f32>, ptr<f32>", none, "ptr<f32>"],
    ],
    [
      ["bool, tile<4xf32>, tile<4xf32>", none, "TYPE_MISMATCH"],
      ["i32, f32, f32", none, "TYPE_MISMATCH"],
      ["bool, f32, f16", none, "TYPE_MISMATCH"],
      ["bool, view<f32, 2>, view<f32, 2>", none, "TYPE_MISMATCH"],
    ],
  );
  rules(
    "cast",
    [["tile<4xf32>", { dtype: "bool" }, "tile<4xbool>"]],
    [
      ["ptr<f32>", { dtype: "i64" }, "TYPE_MISMATCH"],
      ["f32", { dtype: "fp8" }, "ATTRIBUTE"],
    ],
  );
  rules(
    "bitcast",
    [
      ["tile<4xf32>", { dtype: "u32" }, "tile<4xu32>"],
      ["f16", { dtype: "bf16" }, "bf16"],
    ],
    [
      ["f32", { dtype: "f16" }, "BITCAST"],
      ["bool", { dtype: "i8" }, "BITCAST"],
    ],
  );
  rules(
    "multiple_of",
    [["tile<4xi32>", { divisor: 16 }, "tile<4xi32>"]],
    [
      ["f32", { divisor: 16 }, "DTYPE"],
      ["i32", { divisor: 1.5 }, "ATTRIBUTE"],
      ["i32", { divisor: 0 }, "DIVISOR"],
    ],
  );
  rules("convert_layout", [["tile<4x8xf16>", none, "tile<4x8xf16>"]], [["f32, f32", none, "OPERAND_COUNT"]]);
});

describe("across elements", () => {
  const ieee = { precision: "ieee" };
  rules(
    "dot",
    [
      ["tile<16x32xf16>, tile<32x8xf16>, tile<16x8xf32>", ieee, "tile<16x8xf32>"],
      ["tile<16x32xi8>, tile<32x8xi8>, tile<16x8xi32>", ieee, "tile<16x8xi32>"],
    ],
    [
      ["tile<16x32xf16>, tile<16x8xf16>, tile<16x8xf32>", ieee, "DOT_SHAPE"],
      ["tile<32xf16>, tile<32x8xf16>, tile<16x8xf32>", ieee, "DOT_SHAPE"],
      ["tile<16x32xf16>, tile<32x8xbf16>, tile<16x8xf32>", ieee, "DTYPE"],
      ["tile<16x32xi8>, tile<32x8xi8>, tile<16x8xf32>", ieee, "TYPE_MISMATCH"],
      ["tile<16x32xi32>, tile<32x8xi32>, tile<16x8xi32>", ieee, "DTYPE"],
      ["tile<16x32xf16>, tile<32x8xf16>, tile<16x8xf16>", ieee, "TYPE_MISMATCH"],
      ["tile<16x32xf16>, tile<32x8xf16>, tile<16x8xf32>", { precision: "exact" }, "ATTRIBUTE"],
    ],
  );
  rules(
    "reduce",
    [
      ["tile<4x8xf32>", { axis: 0, kind: "sum" }, "tile<8xf32>"],
      ["tile<8xf32>", { axis: 0, kind: "argmax" }, "i32"],
      ["tile<4x8xbool>", { axis: 1, kind: "and" }, "tile<4xbool>"],
      ["tile<4x8xi8>", { axis: 1, kind: "xor" }, "tile<4xi8>"],
    ],
    [
      ["tile<8xf16>", { axis: 0, kind: "sum" }, "DTYPE"],
      ["tile<8xf32>", { axis: 0, kind: "or" }, "DTYPE"],
      ["tile<8xi8>", { axis: 0, kind: "max" }, "DTYPE"],
      ["tile<8xf32>", { axis: 1, kind: "sum" }, "AXIS"],
      ["f32", { axis: 0, kind: "sum" }, "AXIS"],
      ["tile<8xf32>", { axis: 0, kind: "mean" }, "ATTRIBUTE"],
    ],
  );
  rules(
    "gather",
    [
      ["tile<4x8xf16>, tile<4x2xi32>", { axis: 1 }, "tile<4x2xf16>"],
      ["tile<8xbool>, tile<32xi32>", { axis: 0 }, "tile<32xbool>"],
    ],
    [
      ["tile<4x8xf16>, tile<2x8xi32>", { axis: 1 }, "GATHER_SHAPE"],
      ["tile<4x8xf16>, tile<8xi32>", { axis: 1 }, "GATHER_SHAPE"],
      ["tile<8xf16>, tile<8xi64>", { axis: 0 }, "DTYPE"],
      ["tile<8xf16>, tile<8xi32>", { axis: 1 }, "AXIS"],
      ["ptr<f16>, tile<8xi32>", { axis: 0 }, "TYPE_MISMATCH"],
    ],
  );
  rules(
    "histogram",
    [["tile<64xi32>", { bins: 16 }, "tile<16xi32>"]],
    [
      ["tile<64xi64>", { bins: 16 }, "DTYPE"],
      ["tile<8x8xi32>", { bins: 16 }, "HISTOGRAM_SHAPE"],
      ["i32", { bins: 16 }, "HISTOGRAM_SHAPE"],
      ["tile<64xi32>", { bins: 10 }, "TILE_EXTENT"],
    ],
  );
  rules(
    "scan",
    [["tile<4x8xi32>", { axis: 1, kind: "sum", reverse: true }, "tile<4x8xi32>"]],
    [
      ["tile<8xbf16>", { axis: 0, kind: "sum", reverse: false }, "DTYPE"],
      ["tile<8xf32>", { axis: -1, kind: "sum", reverse: false }, "AXIS"],
      ["tile<8xf32>", { axis: 0, kind: "argmax", reverse: false }, "ATTRIBUTE"],
      ["tile<8xf32>", { axis: 0, kind: "sum" }, "ATTRIBUTE"],
    ],
  );
});

describe("memory", () => {
  rules(
    "add_pointer",
    [
      ["tile<4xptr<f16>>, tile<4xi64>", none, "tile<4xptr<f16>>"],
      ["ptr<f16>, u32", none, "ptr<f16>"],
    ],
    [
      ["tile<4xptr<f16>>, i32", none, "TYPE_MISMATCH"],
      ["ptr<f16>, i8", none, "TYPE_MISMATCH"],
      ["i64, i32", none, "TYPE_MISMATCH"],
    ],
  );
  rules(
    "load",
    [
      ["tile<4xptr<f16>>", none, "tile<4xf16>"],
      ["ptr<bool>, bool, bool", none, "bool"],
    ],
    [
      ["tile<4xptr<f16>>, bool", none, "TYPE_MISMATCH"],
      ["ptr<f16>, bool, f32", none, "TYPE_MISMATCH"],
      ["view<f16, 1>", none, "TYPE_MISMATCH"],
      ["", none, "OPERAND_COUNT"],
    ],
  );
  rules(
    "store",
    [
      ["ptr<f16>, f16", none, ""],
      ["tile<4xptr<f16>>, tile<4xf16>, tile<4xbool>", none, ""],
    ],
    [
      ["ptr<f16>, f32", none, "TYPE_MISMATCH"],
      ["ptr<f16>, f16, i32", none, "TYPE_MISMATCH"],
    ],
  );
  rules(
    "atomic_rmw",
    [
      ["tile<4xptr<i32>>, tile<4xi32>", { kind: "max" }, "tile<4xi32>"],
      ["ptr<f32>, f32, bool", { kind: "add" }, "f32"],
    ],
    [
      ["ptr<f32>, f32", { kind: "max" }, "DTYPE"],
      ["ptr<i64>, i64", { kind: "add" }, "DTYPE"],
      ["ptr<i32>, u32", { kind: "add" }, "TYPE_MISMATCH"],
    ],
  );
  rules(
    "atomic_cas",
    [["ptr<u32>, u32, u32", none, "u32"]],
    [
      ["ptr<f32>, f32, f32", none, "DTYPE"],
      ["ptr<u32>, u32, i32", none, "TYPE_MISMATCH"],
    ],
  );
  rules(
    "make_view",
    [["ptr<f16>, i32, i32, i64, i32", { rank: 2 }, "view<f16, 2>"]],
    [
      ["ptr<f16>, i32, i32, i64", { rank: 2 }, "VIEW_RANK"],
      ["tile<4xptr<f16>>, i32, i32", { rank: 1 }, "VIEW_RANK"],
      ["ptr<f16>, i64, i32", { rank: 1 }, "TYPE_MISMATCH"],
      ["ptr<f16>, i32, u32", { rank: 1 }, "TYPE_MISMATCH"],
    ],
  );
  rules("view_pointer", [["view<f16, 3>", none, "ptr<f16>"]], [["ptr<f16>", none, "TYPE_MISMATCH"]]);
  rules("view_size", [["view<f16, 3>", { axis: 2 }, "i32"]], [["view<f16, 3>", { axis: 3 }, "AXIS"]]);
  rules("view_stride", [["view<f16, 3>", { axis: 0 }, "i64"]], [["view<f16, 3>", { axis: -1 }, "AXIS"]]);
  rules(
    "view_load",
    [
      ["view<f16, 3>, i32, i32, i32", { shape: [4, 8], inBounds: [false, true] }, "tile<4x8xf16>"],
      ["view<f16, 1>, i32", { shape: [], inBounds: [] }, "f16"],
    ],
    [
      ["view<f16, 3>, i32, i32", { shape: [4], inBounds: [false] }, "VIEW_RANK"],
      ["view<f16, 1>, i32", { shape: [4, 8], inBounds: [false, false] }, "VIEW_RANK"],
      ["view<f16, 1>, i32", { shape: [4], inBounds: [] }, "VIEW_RANK"],
      ["view<f16, 1>, i64", { shape: [4], inBounds: [false] }, "TYPE_MISMATCH"],
      ["view<f16, 1>, i32", { shape: [3], inBounds: [false] }, "TILE_EXTENT"],
      ["ptr<f16>, i32", { shape: [4], inBounds: [false] }, "TYPE_MISMATCH"],
    ],
  );
  rules(
    "view_store",
    [["view<f16, 2>, tile<4xf16>, i32, i32", { inBounds: [false] }, ""]],
    [
      ["view<f16, 2>, tile<4xf32>, i32, i32", { inBounds: [false] }, "DTYPE"],
      ["view<f16, 2>, tile<4xf16>, i32", { inBounds: [false] }, "VIEW_RANK"],
      ["view<f16, 2>, tile<4xf16>, i32, i32", { inBounds: [0] }, "ATTRIBUTE"],
    ],
  );
});

describe("debugging", () => {
  rules("print", [["tile<4xf32>, i32", { prefix: "x" }, ""]], [["f32", none, "ATTRIBUTE"]]);
  rules(
    "assert",
    [["tile<4xbool>", { message: "m" }, ""]],
    [
      ["i32", { message: "m" }, "DTYPE"],
      ["bool", { message: 1 }, "ATTRIBUTE"],
    ],
  );
});

describe("control", () => {
  const block = (parameters: string, yielded: string): Block => {
    const values = types(yielded).map((type) => blockParameter(type));
    return {
      parameters: types(parameters).map((type) => blockParameter(type)),
      operations: [makeOperation("yield", values)],
    };
  };
  const infer = (opcode: Opcode, operands: string, blocks: readonly Block[]): string =>
    inferTypes(opcode, types(operands), {}, blocks).map(typeToString).join(", ");
  const refuses = (opcode: Opcode, operands: string, blocks: readonly Block[], code: string): void =>
    expect(() => infer(opcode, operands, blocks)).toThrow(expect.objectContaining({ name: "IrError", code }));

  described.add("loop").add("if").add("yield");

  test("loop gives the types of its carried values", () => {
    expect(infer("loop", "i32, i32, i32, f32, tile<4xf16>", [block("i32, f32, tile<4xf16>", "f32, tile<4xf16>")])).toBe(
      "f32, tile<4xf16>",
    );
    expect(infer("loop", "i32, i32, i32", [block("i32", "")])).toBe("");
  });
  test("a loop may yield a condition after its carried values", () => {
    expect(infer("loop", "i32, i32, i32, f32", [block("i32, f32", "f32, bool")])).toBe("f32");
    expect(infer("loop", "i32, i32, i32", [block("i32", "bool")])).toBe("");
    refuses("loop", "i32, i32, i32", [block("i32", "tile<4xbool>")], "TYPE_MISMATCH");
    refuses("loop", "i32, i32, i32", [block("i32", "i32")], "TYPE_MISMATCH");
    refuses("loop", "i32, i32, i32, f32", [block("i32, f32", "f32, bool, bool")], "TYPE_MISMATCH");
  });
  test("loop: bounds, parameters and yield must fit", () => {
    refuses("loop", "i32, i64, i32", [block("i32", "")], "TYPE_MISMATCH");
    refuses("loop", "i32, i32", [block("i32", "")], "OPERAND_COUNT");
    refuses("loop", "i32, i32, i32", [], "BLOCK_COUNT");
    refuses("loop", "i32, i32, i32, f32", [block("i32", "f32")], "TYPE_MISMATCH");
    refuses("loop", "i32, i32, i32, f32", [block("i32, f32", "f16")], "TYPE_MISMATCH");
    refuses("loop", "i32, i32, i32, f32", [block("i32, f32", "")], "TYPE_MISMATCH");
    refuses("loop", "i32, i32, i32", [{ parameters: [blockParameter(tileType("i32"))], operations: [] }], "TERMINATOR");
  });
  test("if gives what both of its blocks yield", () => {
    expect(infer("if", "bool", [block("", "f32"), block("", "f32")])).toBe("f32");
    refuses("if", "tile<4xbool>", [block("", ""), block("", "")], "TYPE_MISMATCH");
    refuses("if", "bool", [block("", "f32"), block("", "f16")], "TYPE_MISMATCH");
    refuses("if", "bool", [block("", "f32"), block("", "")], "TYPE_MISMATCH");
    refuses("if", "bool", [block("", "")], "BLOCK_COUNT");
    refuses("if", "bool", [block("i32", ""), block("", "")], "TYPE_MISMATCH");
    refuses("if", "bool", [{ parameters: [], operations: [] }, block("", "")], "TERMINATOR");
  });
  test("yield has no results", () => expect(infer("yield", "f32, i32", [])).toBe(""));
});

test("every operation is described here", () => {
  expect([...described].sort()).toEqual([...opcodes].sort());
});
