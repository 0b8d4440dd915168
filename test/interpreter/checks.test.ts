/** Every check finds what it is for, says where, and is silent where nothing is wrong. */
import { describe, expect, it } from "vitest";
import { type Arguments, type Checks, InterpreterError, interpret } from "../../src/interpreter/index.ts";
import type { Builder, Kernel, Value } from "../../src/ir/index.ts";
import { KernelError } from "../../src/support/index.ts";
import { evaluate, tile } from "./evaluate.ts";
import { i32, makeKernel, pointer, pointersTo, run, scalar, storeTile, tensor } from "./kernels.ts";

const inf = Number.POSITIVE_INFINITY;
const nan = Number.NaN;

/** The error that a run must end in. */
function errorOf(kernel: Kernel, args: Arguments, checks?: Partial<Checks>): InterpreterError {
  try {
    run(kernel, args, checks);
  } catch (error) {
    expect(error).toBeInstanceOf(InterpreterError);
    expect(error).toBeInstanceOf(KernelError);
    return error as InterpreterError;
  }
  throw new Error("no error was thrown");
}
const loadAt = (dtype: "f32" | "i32") =>
  makeKernel({ x: pointer(dtype), at: scalar("i32"), out: pointer(dtype) }, (b, p) => {
    const address = b.value("add_pointer", [pointersTo(b, p.x, [4]), b.value("splat", [p.at], { shape: [4] })]);
    storeTile(b, p.out, b.value("load", [address]), [4]);
  });

describe("a report", () => {
  const kernel = makeKernel(
    { x: pointer("f32"), out: pointer("f32") },
    (b, p) => {
      b.locate = () => ({ file: "kernels/mine.ts", line: 12, column: 5 });
      const row = b.value("program_id", [], { axis: 1 });
      const offset = b.value("mul", [row, i32(b, 8)]);
      const address = b.value("add_pointer", [
        pointersTo(b, p.x, [2, 4]),
        b.value("splat", [offset], { shape: [2, 4] }),
      ]);
      const x = b.value("load", [address]);
      b.locate = () => ({ file: "kernels/mine.ts", line: 13, column: 5 });
      b.create("store", [
        b.value("add_pointer", [pointersTo(b, p.out, [2, 4]), b.value("splat", [offset], { shape: [2, 4] })]),
        x,
      ]);
    },
    ["1", "3", "1"],
  );

  it("names kernel, program, operation, line and element, and says what was executed", () => {
    const [x, out] = [Float32Array.from({ length: 14 }, (_, i) => i), new Float32Array(24)];
    const error = errorOf(kernel, { x: { data: x }, out: { data: out } });
    expect(error.code).toBe("OUT_OF_BOUNDS");
    expect(error.message).toBe(
      'kernel "test", program (0, 1, 0), load at kernels/mine.ts:12:5, element [1, 2]: reads element 14 of "x", of whose ' +
        "buffer elements 0 to 13 may be accessed (1 of 3 programs had run to the end; memory holds what they and a part of this one wrote)",
    );
    expect(error.finding).toEqual({
      kernel: "test",
      program: [0, 1, 0],
      opcode: "load",
      location: { file: "kernels/mine.ts", line: 12, column: 5 },
      element: [1, 2],
    });
    expect([...out]).toEqual(Array.from({ length: 24 }, (_, i) => (i < 8 ? i : 0))); // Just what the report says.
  });
});

describe("out of bounds", () => {
  const out = { data: new Float32Array(4) };
  it("load before, behind, and far away", () => {
    const x = { data: new Float32Array(8), offset: 2 };
    for (const at of [-2, 0, 2]) run(loadAt("f32"), { x, at, out });
    expect(errorOf(loadAt("f32"), { x, at: -3, out }).message).toContain('element [0]: reads element -1 of "x"');
    expect(errorOf(loadAt("f32"), { x, at: 3, out }).message).toContain('element [3]: reads element 8 of "x"');
    expect(errorOf(loadAt("f32"), { x, at: 2 ** 31 - 8, out }).message).toContain("reads element 2147483642");
  });

  it("a store writes nothing of the tile that is out of bounds", () => {
    const kernel = makeKernel({ out: pointer("f32") }, (b, p) => storeTile(b, p.out, b.constant(1, "f32", [4]), [4]));
    const data = new Float32Array(3);
    expect(errorOf(kernel, { out: { data } }).message).toContain(
      'store at unknown location, element [3]: writes element 3 of "out"',
    );
    expect([...data]).toEqual([0, 0, 0]);
  });

  it("atomics, and 64-bit offsets that lead out of any tensor", () => {
    const atomic = makeKernel({ x: pointer("i32") }, (b, p) => {
      b.create("atomic_rmw", [pointersTo(b, p.x, [2]), b.constant(1, "i32", [2])], { kind: "add" });
    });
    expect(errorOf(atomic, { x: { data: new Int32Array(1) } }).code).toBe("OUT_OF_BOUNDS");
    const far = makeKernel({ x: pointer("f32") }, (b, p) => {
      b.value("load", [b.value("add_pointer", [p.x, b.constant(2n ** 45n, "i64")])]);
    });
    expect(errorOf(far, { x: { data: new Float32Array(1) } }).message).toContain(
      "moves a pointer by 35184372088832 elements",
    );
  });

  it('with bounds "view", what the array holds around the view', () => {
    const kernel = makeKernel({ x: tensor("f32", 1), at: scalar("i32"), out: pointer("f32") }, (b, p) => {
      const address = b.value("add_pointer", [b.value("view_pointer", [p.x]), p.at]);
      b.create("store", [p.out, b.value("load", [address])]);
    });
    const x = { data: new Float32Array(10), offset: 2, shape: [3], strides: [2] };
    for (const at of [0, 4]) run(kernel, { x, at, out }, { bounds: "view" });
    for (const at of [-1, 5]) {
      run(kernel, { x, at, out });
      expect(errorOf(kernel, { x, at, out }, { bounds: "view" }).message).toContain(`reads element ${2 + at} of "x"`);
    }
  });

  it("a made view that lies about its size", () => {
    const kernel = makeKernel({ x: pointer("f32") }, (b, p) => {
      const view = b.value("make_view", [p.x, i32(b, 100), i32(b, 1)], { rank: 1 });
      b.value("view_load", [view, i32(b, 0)], { shape: [4], inBounds: [false] });
    });
    expect(errorOf(kernel, { x: { data: new Float32Array(2) } }).message).toContain(
      "view_load at unknown location, element [2]",
    );
  });
});

describe("NaN from finite", () => {
  const kernel = (keep: boolean) =>
    makeKernel({ a: pointer("f32"), b: pointer("f32"), out: pointer("f32") }, (b, p) => {
      const [x, y] = [p.a, p.b].map((base) => b.value("load", [pointersTo(b, base, [2])])) as [Value, Value];
      const difference = b.value("sub", [x, y]);
      const mask = b.value("compare", [difference, difference], { predicate: "eq" });
      storeTile(b, p.out, keep ? difference : b.value("select", [mask, difference, b.constant(0, "f32", [2])]), [2]);
    });
  const args = (a: number[], b: number[]): Arguments => ({
    a: { data: Float32Array.from(a) },
    b: { data: Float32Array.from(b) },
    out: { data: new Float32Array(2) },
  });

  it('"produced": where it arises, with the operands', () => {
    const error = errorOf(kernel(false), args([1, inf], [1, inf]));
    expect(error.code).toBe("NAN_FROM_FINITE");
    expect(error.message).toContain(
      "sub at unknown location, element [1]: gives NaN for operands without NaN (Infinity, Infinity)",
    );
  });

  it("not for a NaN that was given", () => {
    run(kernel(true), args([1, nan], [1, inf]));
    run(kernel(true), args([1, inf], [1, -inf]));
  });

  it('"stored": only when it reaches memory, with where it arose', () => {
    run(kernel(false), args([1, inf], [1, inf]), { nan: "stored" });
    const error = errorOf(kernel(true), args([1, inf], [1, inf]), { nan: "stored" });
    expect(error.message).toMatch(
      /store .*element \[1\]: stores NaN; one first arose .* in kernel "test", program \(0, 0, 0\), sub/,
    );
    run(kernel(true), args([1, nan], [1, inf]), { nan: "stored" });
  });

  it("false: not at all", () => run(kernel(true), args([1, inf], [1, inf]), { nan: false }));

  const operations: readonly [string, (b: Builder, x: Value) => Value, number[]][] = [
    ["add", (b, x) => b.value("add", [x, b.value("neg", [x])]), [inf, 1]],
    ["mul", (b, x) => b.value("mul", [x, b.constant(0, "f32", [2])]), [inf, 1]],
    ["div", (b, x) => b.value("div", [x, x]), [0, 1]],
    ["rem", (b, x) => b.value("rem", [x, b.constant(0, "f32", [2])]), [1, 1]],
    ["fma", (b, x) => b.value("fma", [x, b.constant(0, "f32", [2]), x]), [inf, 1]],
    ["sqrt", (b, x) => b.value("sqrt", [x]), [-1, 1]],
    ["rsqrt", (b, x) => b.value("rsqrt", [x]), [-1, 1]],
    ["log", (b, x) => b.value("log", [x]), [-1, 1]],
    ["log2", (b, x) => b.value("log2", [x]), [-1, 1]],
    ["sin", (b, x) => b.value("sin", [x]), [inf, 1]],
    ["cos", (b, x) => b.value("cos", [x]), [inf, 1]],
    ["reduce", (b, x) => b.value("reduce", [x], { axis: 0, kind: "sum" }), [inf, -inf]],
    ["scan", (b, x) => b.value("scan", [x], { axis: 0, kind: "sum", reverse: false }), [inf, -inf]],
    [
      "dot",
      (b, x) => {
        const row = b.value("expand_dims", [x], { axis: 0 });
        const zeros = [b.constant(0, "f32", [2, 1]), b.constant(0, "f32", [1, 1])];
        return b.value("dot", [row, ...zeros], { precision: "ieee" });
      },
      [inf, 1],
    ],
  ];
  it.each(operations)("found in %s, not when an operand is NaN", (opcode, make, values) => {
    const attempt = (given: number[]) => () => evaluate([tile("f32", given)], (b, [x]) => make(b, x!));
    expect(attempt(values)).toThrow(new RegExp(`${opcode} at .* gives NaN`));
    expect(attempt([nan, nan])).not.toThrow();
  });
});

describe("infinity from finite", () => {
  const attempt = (values: number[], make: (b: Builder, x: Value) => Value, infinity: boolean) => () =>
    evaluate([tile("f32", values)], (b, [x]) => make(b, x!), { infinity });
  it.each([
    ["exp", (b: Builder, x: Value) => b.value("exp", [x]), [100, 1]],
    ["cast", (b: Builder, x: Value) => b.value("cast", [x], { dtype: "f16" }), [70000, 1]],
    ["div", (b: Builder, x: Value) => b.value("div", [b.constant(1, "f32", [2]), x]), [0, 1]],
    ["mul", (b: Builder, x: Value) => b.value("mul", [x, x]), [1e30, 1]],
    ["reduce", (b: Builder, x: Value) => b.value("reduce", [x], { axis: 0, kind: "sum" }), [3e38, 3e38]],
  ] as const)("%s, when asked for", (opcode, make, values) => {
    expect(attempt([...values], make, false)).not.toThrow();
    expect(attempt([...values], make, true)).toThrow(new RegExp(`${opcode} at .* gives Infinity for finite operands`));
    expect(attempt([inf, inf], make, true)).not.toThrow();
  });
  it("not the documented log(0)", () => {
    expect(attempt([0, 1], (b, x) => b.value("log2", [x]), true)).not.toThrow();
  });
});

describe("undefined values", () => {
  const x = (written: number) => ({ data: new Float32Array(8), written: new Uint8Array(8).fill(1, 0, written) });
  const out = { data: new Float32Array(4) };

  it("a load of elements never written", () => {
    run(loadAt("f32"), { x: x(6), at: 2, out });
    const error = errorOf(loadAt("f32"), { x: x(6), at: 3, out });
    expect(error.code).toBe("UNDEFINED_VALUE");
    expect(error.message).toContain(
      'load at unknown location, element [3]: reads element 6, which has never been written, of "x"',
    );
    run(loadAt("f32"), { x: x(6), at: 3, out }, { undefinedValues: false });
    expect(errorOf(loadAt("f32"), { x: { data: new Float32Array(8), uninitialized: true }, at: 0, out }).code).toBe(
      "UNDEFINED_VALUE",
    );
  });

  it("stores define elements, for this launch and, through `written`, for the next", () => {
    const store = makeKernel({ y: tensor("f32", 1) }, (b, p) => {
      b.create("view_store", [p.y, b.constant(1, "f32", [4]), i32(b, 2)], { inBounds: [false] });
    });
    const y = x(0);
    run(store, { y: { ...y, shape: [5] } });
    expect([...y.written]).toEqual([0, 0, 1, 1, 1, 0, 0, 0]);
    expect(errorOf(loadAt("f32"), { x: y, at: 2, out }).message).toContain("element [3]");
    const both = makeKernel({ y: pointer("f32"), out: pointer("f32") }, (b, p) => {
      storeTile(b, p.y, b.constant(1, "f32", [4]), [4]);
      storeTile(b, p.out, b.value("load", [pointersTo(b, p.y, [4])]), [4]);
    });
    run(both, { y: { data: new Float32Array(4), uninitialized: true }, out });
  });

  it("not what a mask or the edge of a view leaves out", () => {
    const kernel = makeKernel({ x: tensor("f32", 1), out: pointer("f32") }, (b, p) => {
      const tile = b.value("view_load", [p.x, i32(b, 4)], { shape: [4], inBounds: [false] });
      storeTile(b, p.out, tile, [4]);
    });
    run(kernel, { x: { ...x(6), shape: [6] }, out });
  });

  it("an atomic on a counter that was never set", () => {
    const kernel = makeKernel({ x: pointer("i32") }, (b, p) => {
      b.create("atomic_rmw", [p.x, i32(b, 1)], { kind: "add" });
    });
    const error = errorOf(kernel, { x: { data: new Int32Array(1), uninitialized: true } });
    expect(error.message).toContain("combines with element 0, which has never been written");
  });
});

describe("broken promises", () => {
  it("multiple_of", () => {
    const attempt = (dtype: "i32" | "i64", value: number) => () =>
      evaluate([tile(dtype, [32, value])], (b, [x]) => b.value("multiple_of", [x!], { divisor: 16 }));
    for (const dtype of ["i32", "i64"] as const) {
      expect(attempt(dtype, -16)).not.toThrow();
      expect(attempt(dtype, 24)).toThrow("element [1]: 24 was promised to be a multiple of 16");
    }
  });

  it("inBounds of view_load and view_store", () => {
    const kernel = makeKernel({ x: tensor("f32", 2), at: scalar("i32") }, (b, p) => {
      const attributes = { inBounds: [false, true] };
      const zero = i32(b, 0);
      const tile = b.value("view_load", [p.x, zero, p.at], { shape: [4, 4], ...attributes });
      b.create("view_store", [p.x, tile, zero, p.at], attributes);
    });
    const x = { data: new Float32Array(24), shape: [3, 8] };
    run(kernel, { x, at: 4 });
    const error = errorOf(kernel, { x, at: 6 });
    expect(error.code).toBe("BROKEN_PROMISE");
    expect(error.message).toContain(
      "element [0, 2]: tile axis 1 was promised to be in bounds, but covers 6 to 9 of a view of size 8",
    );
    run(kernel, { x, at: 6 }, { promises: false });
  });
});

describe("integer arithmetic", () => {
  it.each(["i32", "u32", "i8", "i64"] as const)("division by zero and shifts out of range of %s", (dtype) => {
    const apply =
      (opcode: "div" | "rem" | "shl" | "shr", by: number, checks = {}) =>
      () =>
        evaluate([tile(dtype, [6, 6]), tile(dtype, [1, by])], (b, [x, y]) => b.value(opcode, [x!, y!]), checks)[0]!.map(
          Number,
        );
    for (const opcode of ["div", "rem"] as const) {
      expect(apply(opcode, 0)).toThrow(/element \[1\]: divides 6 by 0/);
      expect(apply(opcode, 0, { arithmetic: false })()[1]).toBe(0);
    }
    const width = { i32: 32, u32: 32, i8: 8, i64: 64 }[dtype];
    for (const opcode of ["shl", "shr"] as const) {
      expect(apply(opcode, width)).toThrow(`shifts a ${dtype} by ${width}; the range is 0 to ${width - 1}`);
      expect(apply(opcode, width, { arithmetic: false })()[1]).toBe(6);
      expect(apply(opcode, width - 1)).not.toThrow();
      if (dtype !== "u32") expect(apply(opcode, -1)).toThrow(`shifts a ${dtype} by -1`);
    }
  });
});

describe("races", () => {
  /** Program i stores `value(i)` at element i * step. */
  const kernel = (step: number, sameValue: boolean) =>
    makeKernel(
      { out: pointer("f32") },
      (b, p) => {
        const id = b.value("program_id", [], { axis: 0 });
        const value = sameValue ? b.constant(5, "f32") : b.value("cast", [id], { dtype: "f32" });
        b.create("store", [b.value("add_pointer", [p.out, b.value("mul", [id, i32(b, step)])]), value]);
      },
      ["3", "1", "1"],
    );
  const out = () => ({ out: { data: new Float32Array(3).fill(-1) } });

  it("two programs that write an element with different values", () => {
    run(kernel(1, false), out(), { races: true });
    run(kernel(0, true), out(), { races: true });
    run(kernel(0, false), out());
    const error = errorOf(kernel(0, false), out(), { races: true });
    expect(error.code).toBe("RACE");
    expect(error.message).toContain(
      'program (1, 0, 0), store at unknown location: writes element 0 with another value than another program of this launch, of "out"',
    );
  });

  /** Program i loads element i + from and stores to element i + to of the same array, through two arguments. */
  const shifted = (from: number, to: number) =>
    makeKernel(
      { x: pointer("f32"), y: pointer("f32") },
      (b, p) => {
        const id = b.value("program_id", [], { axis: 0 });
        const at = (base: Value, shift: number) => b.value("add_pointer", [base, b.value("add", [id, i32(b, shift)])]);
        const x = b.value("load", [at(p.x, from)]);
        b.create("store", [at(p.y, to), b.value("add", [x, b.constant(1, "f32")])]);
      },
      ["3", "1", "1"],
    );
  it("a program that reads what another writes, in either order, though through another argument", () => {
    const args = () => {
      const data = new Float32Array(4);
      return { x: { data }, y: { data } };
    };
    run(shifted(0, 0), args(), { races: true });
    expect(errorOf(shifted(0, 1), args(), { races: true }).message).toContain("reads element 1, which another program");
    expect(errorOf(shifted(1, 0), args(), { races: true }).message).toContain(
      "changes element 1, which another program",
    );
  });

  it("atomics may meet", () => {
    const kernel = makeKernel(
      { x: pointer("i32") },
      (b, p) => {
        b.create("atomic_rmw", [p.x, i32(b, 1)], { kind: "add" });
      },
      ["3", "1", "1"],
    );
    const x = { data: new Int32Array(1) };
    run(kernel, { x }, { races: true });
    expect(x.data[0]).toBe(3);
  });
});

describe("launch arguments", () => {
  const kernel: Kernel = {
    ...makeKernel({ x: tensor("f16", 2), n: scalar("i32"), s: scalar("f16") }, () => {}, [
      "ceilDiv(x.shape.1, n)",
      "n",
      "1",
    ]),
    parameters: [
      { name: "x", kind: "tensor", dtype: "f16", rank: 2, facts: { alignment: 16, unitStride: true } },
      { name: "n", kind: "scalar", dtype: "i32", rank: 0, facts: { divisibleBy: 4 } },
      { name: "s", kind: "scalar", dtype: "f16", rank: 0, facts: {} },
    ],
  };
  const x = { data: new Uint16Array(64), shape: [4, 10], strides: [16, 1] };
  const good = { x, n: 4, s: 0.1 };

  it("give the grid", () => {
    expect(interpret(kernel, { arguments: good }).grid).toEqual([3, 4, 1]);
    expect(interpret(kernel, { arguments: good, grid: [2] }).grid).toEqual([2, 1, 1]);
    expect(() => interpret(kernel, { arguments: good, grid: [1.5] })).toThrow("[1.5,1,1] is not a number of programs");
    expect(() => interpret({ ...kernel, grid: null }, { arguments: good })).toThrow("has no grid of its own");
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["missing", { n: undefined }, 'kernel "test", argument "n": is missing'],
    ["unknown", { m: 1 }, 'argument "m": the kernel has only x, n, s'],
    ["a number for a tensor", { x: 1 }, 'argument "x": must be a tensor'],
    ["a tensor for a number", { n: x }, 'argument "n": must be a i32 scalar'],
    ["another array type", { x: { ...x, data: new Float32Array(64) } }, "f16 needs a Uint16Array, got Float32Array"],
    ["another rank", { x: { ...x, shape: [4] } }, "needs 2 sizes and strides"],
    ["a fraction", { n: 1.5 }, "must be an integer (i32), got 1.5"],
    ["too large", { n: 2 ** 31 }, "2147483648 does not fit in i32"],
    ["beyond the array", { x: { ...x, offset: 8 } }, "covers elements 8 to 65 of an array of 64"],
    ["misaligned", { x: { ...x, offset: 4 } }, "starts 8 bytes in, not at a multiple of 16"],
    ["a misaligned stride", { x: { ...x, strides: [12, 1] } }, "stride 12 along axis 0 is not a multiple of 16 bytes"],
    ["rows that overlap", { x: { ...x, strides: [1, 1] } }, "stride 1 along axis 0 is not a multiple of 16 bytes"],
    ["no unit stride", { x: { ...x, shape: [4, 2], strides: [8, 8] } }, "the last stride must be 1, but is 8"],
    ["not divisible", { n: 6 }, "6 is not a multiple of 4"],
  ])("are refused: %s", (_, change, message) => {
    expect(() => interpret(kernel, { arguments: { ...good, ...change } as Arguments })).toThrow(message);
  });

  it("facts are not checked where promises are not", () => {
    expect(() => interpret(kernel, { arguments: { ...good, n: 6 }, checks: { promises: false } })).not.toThrow();
  });

  it("scalars are rounded to their dtype", () => {
    const kernel = makeKernel(
      { s: scalar("f16"), b: scalar("bool"), l: scalar("i64"), out: pointer("f32") },
      (b, p) => {
        b.create("store", [p.out, b.value("cast", [p.s], { dtype: "f32" })]);
        b.create("assert", [p.b], { message: "b" });
        b.create("assert", [b.value("compare", [p.l, b.constant(2n ** 60n, "i64")], { predicate: "eq" })], {
          message: "l",
        });
      },
    );
    const out = new Float32Array(1);
    run(kernel, { s: 0.1, b: true, l: 2n ** 60n, out: { data: out } });
    expect(out[0]).toBe(0.0999755859375);
  });
});
