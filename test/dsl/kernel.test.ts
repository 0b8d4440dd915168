/** Declaring and specialising kernels. */
import { describe, expect, it } from "vitest";
import { rowSoftmax } from "../../examples/row-softmax.ts";
import { isKernelDefinition, kernel, tl } from "../../src/dsl/index.ts";
import { interpret } from "../../src/interpreter/index.ts";
import { parseKernel, printKernel, verifyKernel } from "../../src/ir/index.ts";
import { expectError } from "./trace.ts";

const copy = kernel({
  name: "copy",
  constants: { BLOCK: 64, CAUSAL: false, MODE: "fast" },
  params: {
    x: tl.tensor("T", 2),
    out: tl.tensor("T", 2, { alignment: 4 }),
    table: tl.pointer("i32"),
    count: tl.scalar("i32", { divisibleBy: 16 }),
    scale: tl.scalar("f32"),
  },
  grid: (p, { BLOCK }) => [tl.cdiv(p.x.shape(1), BLOCK), p.x.shape(0).mul(p.count).add(1), 2],
  hints: ({ BLOCK }) => ({ numWarps: BLOCK / 16 }),
  body(p, { BLOCK, CAUSAL }) {
    const x = p.x.load([tl.programId(1), 0], [BLOCK]);
    p.out.store([0, 0], CAUSAL ? x.neg() : x);
  },
});

describe("a definition", () => {
  it("tells its constants, parameters and dtype variables", () => {
    expect(isKernelDefinition(copy)).toBe(true);
    expect(isKernelDefinition({ name: "copy", trace() {} })).toBe(false);
    expect(copy.constants).toEqual({ BLOCK: 64, CAUSAL: false, MODE: "fast" });
    expect(copy.dtypeVariables).toEqual(["T"]);
    expect(copy.parameters).toEqual([
      { name: "x", kind: "tensor", dtype: "T", rank: 2, facts: { unitStride: true, alignment: 16 } },
      { name: "out", kind: "tensor", dtype: "T", rank: 2, facts: { unitStride: true, alignment: 4 } },
      { name: "table", kind: "pointer", dtype: "i32", rank: 0, facts: { alignment: 16 } },
      { name: "count", kind: "scalar", dtype: "i32", rank: 0, facts: { divisibleBy: 16 } },
      { name: "scale", kind: "scalar", dtype: "f32", rank: 0, facts: {} },
    ]);
  });

  it("is refused where it is none", () => {
    const body = () => {};
    expectError("KERNEL_NAME", /must be an identifier.*"row softmax"/, () =>
      kernel({ name: "row softmax", params: {}, body }),
    );
    expectError("KERNEL", /kernel "k": the parameter "x" must be made by tl\.tensor/, () =>
      kernel({ name: "k", params: { x: { kind: "view" } as never }, body }),
    );
    expectError("KERNEL", /the parameter "x\.y" must be an identifier/, () =>
      kernel({ name: "k", params: { "x.y": tl.scalar("f32") }, body }),
    );
    expectError("KERNEL", /the constant "B" must be a number, boolean or string/, () =>
      kernel({ name: "k", constants: { B: null as never }, params: {}, body }),
    );
    expectError("KERNEL", /kernel "k": there is no entry "gird"; known are name, constants, params, grid/, () =>
      kernel({ name: "k", params: {}, body, ...{ gird: () => [1] } }),
    );
    expectError("DTYPE", /"f64" is neither a dtype .* nor a dtype variable/, () => tl.tensor("f64" as "f32", 1));
    expectError("PARAMETER", /rank/, () => tl.tensor("f32", 1.5));
    expectError("BODY", /asynchronous/, () => kernel({ name: "k", params: {}, async body() {} }).trace());
  });
});

describe("a specialisation", () => {
  it("binds dtypes, constants and facts", () => {
    const traced = copy.trace({
      dtypes: { T: "bf16" },
      constants: { BLOCK: 128, CAUSAL: true },
      facts: { x: { alignment: 2 } },
    });
    expect(traced.constants).toEqual({ BLOCK: 128, CAUSAL: true, MODE: "fast" });
    expect(traced.hints).toEqual({ numWarps: 8 });
    expect(traced.grid).toEqual(["ceilDiv(x.shape.1, 128)", "(x.shape.0 * count + 1)", "2"]);
    expect(traced.parameters.map(({ dtype }) => dtype)).toEqual(["bf16", "bf16", "i32", "i32", "f32"]);
    expect(traced.parameters[0]!.facts).toEqual({ unitStride: true, alignment: 2 });
    expect(traced.parameters[1]!.facts).toEqual({ unitStride: true, alignment: 4 });
    expect(traced.body.operations.map(({ opcode }) => opcode)).toContain("neg");
    expect(copy.trace({ dtypes: { T: "f32" } }).body.operations.map(({ opcode }) => opcode)).not.toContain("neg");
    expect(copy.trace({ dtypes: { T: "f32" }, hints: { numStages: 3 } }).hints).toEqual({ numStages: 3 });
  });

  it("is valid Tile IR that reads back", () => {
    const traced = copy.trace({ dtypes: { T: "f16" } });
    verifyKernel(traced);
    expect(printKernel(parseKernel(printKernel(traced)))).toBe(printKernel(traced));
  });

  it("is refused where the kernel has no such thing, naming what it has", () => {
    const T = "f16";
    expectError("CONSTANT_NAME", /kernel "copy": there is no constant "BLOK"; it has "BLOCK", "CAUSAL", "MODE"/, () =>
      copy.trace({ dtypes: { T }, constants: { BLOK: 1 } as never }),
    );
    expectError("HINTS", /kernel "copy": there is no hint "numWarp"; known are numWarps, numStages/, () =>
      copy.trace({ dtypes: { T }, hints: { numWarp: 4 } as never }),
    );
    expectError("CONSTANT_NAME", /"toString"/, () =>
      copy.trace({ dtypes: { T }, constants: { toString: 1 } as never }),
    );
    expectError("CONSTANT_TYPE", /constant "CAUSAL" must be a boolean \(default false\), got 1/, () =>
      copy.trace({ dtypes: { T }, constants: { CAUSAL: 1 } as never }),
    );
    expectError("DTYPE_VARIABLE", /no dtype is given for "T": trace\(\{ dtypes: \{ T: "f16" \} \}\)/, () =>
      copy.trace(),
    );
    expectError("DTYPE_VARIABLE", /there is no dtype variable "U"; it has "T"/, () =>
      copy.trace({ dtypes: { T, U: "f16" } as never }),
    );
    expectError("DTYPE_VARIABLE", /"T" must be one of bool, i8.*got f64/, () =>
      copy.trace({ dtypes: { T: "f64" } as never }),
    );
    expectError("FACTS", /facts name "y", but the parameters are "x", "out"/, () =>
      copy.trace({ dtypes: { T }, facts: { y: {} } as never }),
    );
    expectError("TILE_EXTENT", /powers of two .* got \[80\]/, () =>
      copy.trace({ dtypes: { T }, constants: { BLOCK: 80 } }),
    );
  });

  it("checks the grid", () => {
    const withGrid = (grid: (p: any) => any) =>
      kernel({ name: "k", params: { x: tl.tensor("f32", 2), n: tl.scalar("i32") }, grid, body() {} }).trace();
    expectError("AXIS", /grid: axis 2 does not exist in "x" of rank 2/, () => withGrid((p) => [p.x.shape(2)]));
    expectError("GRID", /one to three/, () => withGrid(() => []));
    expectError("GRID", /whole numbers that are not negative, got 1\.5/, () => withGrid(() => [1.5]));
    expectError("OPERATOR", /x\.shape\.0 is known only when the kernel is launched/, () =>
      withGrid((p) => [p.x.shape(0) / 2]),
    );
    expect(withGrid((p) => [p.n.sub(1).cdiv(4).maximum(p.x.shape(0).minimum(8))]).grid).toEqual([
      "max(ceilDiv((n - 1), 4), min(x.shape.0, 8))",
      "1",
      "1",
    ]);
    expect(kernel({ name: "k", params: {}, body() {} }).trace().grid).toBeNull();
  });
});

describe("examples/row-softmax.ts", () => {
  it("computes the softmax of each row, whatever its length", () => {
    const [rows, columns] = [3, 11];
    const x = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 12.9898) * 40);
    const out = new Float32Array(x.length);
    const traced = rowSoftmax.trace({
      dtypes: { T: "f32" },
      constants: { COLUMNS: 16 },
      facts: { x: { alignment: 4 }, out: { alignment: 4 } },
    });
    interpret(traced, {
      arguments: { x: { data: x, shape: [rows, columns] }, out: { data: out, shape: [rows, columns] } },
    });
    for (let row = 0; row < rows; row++) {
      const values = [...x.slice(row * columns, (row + 1) * columns)];
      const largest = Math.max(...values);
      const sum = values.reduce((total, value) => total + Math.exp(value - largest), 0);
      for (const [column, value] of values.entries()) {
        const expected = Math.exp(value - largest) / sum;
        // Subtraction, exp, a sum of 16 terms and a division in f32, all terms positive; exp amplifies the rounding of its argument (at most 80).
        expect(Math.abs(out[row * columns + column]! - expected)).toBeLessThanOrEqual(
          expected * (80 + 16 + 4) * 2 ** -24 + 2 ** -149,
        );
      }
    }
  });
});
