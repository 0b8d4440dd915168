/** print and assert: what they cost nothing to, what stops a kernel. */
import { describe, expect, it } from "vitest";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import { dtypes, type Kernel, type Value } from "../../src/ir/index.ts";
import { encode } from "../interpreter/evaluate.ts";
import { loadTile, makeKernel, pointer, storeTile, tensor } from "../interpreter/kernels.ts";
import { runPtx } from "./emulator.ts";
import { assemble, describeWithAssembler } from "./ptxas.ts";

/** Prints tiles and scalars of every dtype, pointers and views. */
const printing: Kernel = makeKernel(
  { ...Object.fromEntries(dtypes.map((dtype) => [dtype, pointer(dtype)])), view: tensor("f32", 2) },
  (b, p: Record<string, Value>) => {
    for (const dtype of dtypes)
      b.create("print", [loadTile(b, p[dtype]!, [4, 8]), p[dtype]!], { prefix: `100% "${dtype}"` });
    b.create("print", [p.view!, b.value("load", [p.i64!])], { prefix: "view" });
  },
);

const asserting: Kernel = makeKernel({ x: pointer("i32"), out: pointer("i32") }, (b, p) => {
  const x = loadTile(b, p.x, [64]);
  b.create("assert", [b.value("compare", [x, b.constant(0, "i32", [64])], { predicate: "ge" })], { message: "x >= 0" });
  storeTile(b, p.out, x, [64]);
});

describe("print and assert in the emulator", () => {
  it("prints a line an element, whatever the prefix holds", () => {
    const given = Object.fromEntries(
      dtypes.map((dtype) => [
        dtype,
        { data: encode(dtype, new Array(32).fill(dtype === "bool" ? false : dtype === "i64" ? 1n : 1)) },
      ]),
    );
    const { prints } = runPtx(compilePtx(printing, { target: "sm_80" }), {
      arguments: { ...given, view: { data: new Float32Array(6), shape: [2, 3] } },
      grid: [2, 1, 1],
    });
    const lines = prints.map((line) => line.trimEnd()).sort();
    const expected = [0, 1].flatMap((program) => [
      ...dtypes.flatMap((dtype) =>
        Array.from({ length: 32 }, (_, i) => {
          const value = dtype === "bool" ? 0 : 1;
          return `test[${program},0,0] 100% "${dtype}"[${i >> 3},${i & 7}]: ${value}`;
        }),
      ),
      `test[${program},0,0] view: view sizes [2,3] strides [3,1]`,
      `test[${program},0,0] view: 1`,
    ]);
    const isPointer = (line: string) => /^test\[[01],0,0\] 100% "\w+": 0x[0-9a-f]+$/.test(line);
    expect(lines.filter((line) => !isPointer(line))).toEqual(expected.sort());
    expect(lines.filter(isPointer).length).toBe(2 * dtypes.length);
  });

  it("goes on when an assert holds, and stops when it does not", () => {
    const compiled = compilePtx(asserting, { target: "sm_80" });
    const x = new Int32Array(64).fill(3);
    const out = new Int32Array(64);
    const launch = { arguments: { x: { data: x }, out: { data: out } }, grid: [1, 1, 1] };
    runPtx(compiled, launch);
    expect(out).toEqual(x);
    x[37] = -1;
    expect(() => runPtx(compiled, launch)).toThrow(
      expect.objectContaining({
        code: "PTX_TRAP",
        prints: [
          'kernel "test", program (0, 0, 0), assert at unknown location, element [37]: assertion failed: x >= 0\n',
        ],
      }),
    );
  });
});

describeWithAssembler("ptxas", () => {
  it("takes print and assert", async () => {
    await assemble(compilePtx(printing, { target: "sm_80" }).source);
    await assemble(compilePtx(asserting, { target: "sm_80" }).source);
  });
});
