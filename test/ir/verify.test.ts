/** The verifier: each rule that the builder cannot see, broken once. */
import { describe, expect, test } from "vitest";
import {
  type Block,
  Builder,
  blockParameter,
  type Kernel,
  type KernelParameter,
  makeOperation,
  type Operation,
  parseKernel,
  tileType,
  type Value,
  type VerifyOptions,
  verifyKernel,
  viewType,
} from "../../src/ir/index.ts";

const location = { file: "author.ts", line: 7, column: 3 };
const x = blockParameter(tileType("f32"), "x");
const parameter: KernelParameter = { name: "x", kind: "scalar", dtype: "f32", rank: 0, facts: {} };

const kernelOf = (operations: readonly Operation[], changes: Partial<Kernel> = {}): Kernel => ({
  name: "k",
  parameters: [parameter],
  body: { parameters: [x], operations },
  constants: {},
  grid: null,
  hints: {},
  ...changes,
});
const neg = (value: Value): Operation => makeOperation("neg", [value], {}, { location });
const constant = makeOperation("constant", [], { value: 0, dtype: "i32", shape: [] });
const zero = constant.results[0]!;
const loopOver = (block: Block): Operation =>
  ({
    ...makeOperation("loop", [zero, zero, zero], {}, { blocks: [wellFormed], location }),
    blocks: [block],
  }) as Operation;
const end = (): Operation => makeOperation("yield", []);
const wellFormed: Block = { parameters: [blockParameter(tileType("i32"))], operations: [end()] };

const refused = (kernel: Kernel, code: string, message: string, options?: VerifyOptions): void => {
  let error: unknown;
  try {
    verifyKernel(kernel, options);
  } catch (caught) {
    error = caught;
  }
  expect(error).toMatchObject({ name: "IrError", code, message: expect.stringContaining(message) });
};

test("a kernel with loops, ifs and uses of outer values verifies", () => {
  verifyKernel(
    parseKernel(`kernel k(%x: view<f32, 1>, %n: i32) {
      %zero = constant 0 : i32
      %a = loop %i = %zero to %n step %n with (%c = %zero) {
        %lt = compare %c, %i {predicate = "lt"} : bool
        %b = if %lt {
          yield %i
        } else {
          yield %n
        }
        yield %b
      }
      print %a {prefix = ""}
    }`),
  );
});

describe("definitions", () => {
  test("use before definition", () => {
    const first = neg(x);
    const second = neg(first.results[0]!);
    refused(
      kernelOf([second, first]),
      "NOT_VISIBLE",
      'neg at author.ts:7:3 in kernel "k": operand 0 (neg) is not defined',
    );
  });
  test("a value of an inner block, used outside", () => {
    const inside = neg(x);
    const loop = loopOver({ parameters: wellFormed.parameters, operations: [inside, end()] });
    refused(kernelOf([constant, loop, neg(inside.results[0]!)]), "NOT_VISIBLE", "operand 0 (neg)");
  });
  test("a loop's parameter, used outside", () => {
    const loop = loopOver(wellFormed);
    refused(kernelOf([constant, loop, neg(wellFormed.parameters[0]!)]), "NOT_VISIBLE", "a block parameter");
  });
  test("an operation that stands twice", () => {
    const once = neg(x);
    refused(kernelOf([once, once]), "DEFINED_TWICE", "occurs twice");
  });
  test("blocks that share a parameter", () => {
    refused(
      kernelOf([constant, loopOver(wellFormed), loopOver({ ...wellFormed, operations: [end()] })]),
      "DEFINED_TWICE",
      "loop at",
    );
  });
  test("a result that names another operation", () => {
    const original = neg(x);
    refused(kernelOf([{ ...original, location: undefined }]), "DEFINITION", "neg at unknown location");
  });
});

describe("types", () => {
  test("a result of another type than the op table infers", () => {
    const results: Value[] = [];
    const wrong: Operation = { ...neg(x), results };
    results.push({ type: tileType("f16"), name: undefined, definition: wrong });
    refused(kernelOf([wrong]), "TYPE_MISMATCH", "results are (f16), but the op table infers (f32)");
  });
  test("operands that break a rule of the op table", () => {
    const { results } = neg(x);
    refused(kernelOf([{ ...neg(x), operands: [x, x], results }]), "OPERAND_COUNT", "neg takes (x), got 2 operands");
  });
});

describe("blocks", () => {
  test("without a terminator", () => {
    refused(
      kernelOf([constant, loopOver({ ...wellFormed, operations: [neg(x)] })]),
      "TERMINATOR",
      "a block of loop must end with yield",
    );
    refused(
      kernelOf([constant, loopOver({ ...wellFormed, operations: [] })]),
      "TERMINATOR",
      "a block of loop must end with yield",
    );
  });
  test("with a terminator in the middle, or in the body", () => {
    refused(
      kernelOf([constant, loopOver({ ...wellFormed, operations: [end(), end()] })]),
      "TERMINATOR",
      "may only end a block",
    );
    refused(kernelOf([end()]), "TERMINATOR", "may only end a block");
  });
});

test("convert_layout only after layout assignment", () => {
  const kernel = kernelOf([makeOperation("convert_layout", [x], {}, { location })]);
  refused(kernel, "LAYOUT", "convert_layout at author.ts:7:3");
  verifyKernel(kernel, { layoutsAssigned: true });
});

describe("parameters", () => {
  test("as many values", () => refused(kernelOf([], { parameters: [] }), "PARAMETERS", "0 parameters, but 1 values"));
  test("of the right type", () => {
    const view = { ...parameter, kind: "tensor", rank: 2 } as const;
    refused(kernelOf([], { parameters: [view] }), "PARAMETERS", 'parameter "x" is view<f32, 2>, but its value is f32');
    const body = new Builder().finish([blockParameter(viewType("f32", 2), "x")]);
    verifyKernel(kernelOf([], { parameters: [view], body }));
  });
  test("with names of their own", () => {
    const body = new Builder().finish([x, blockParameter(tileType("f32"), "x")]);
    refused(kernelOf([], { parameters: [parameter, parameter], body }), "PARAMETERS", '"x" is empty or taken');
  });
});
