/** print and assert: what they cost nothing to, what stops a kernel. */
import { expect, it } from "vitest";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import { dtypes, type Kernel, type Value } from "../../src/ir/index.ts";
import { encode } from "../interpreter/evaluate.ts";
import { loadTile, makeKernel, pointer, storeTile, tensor } from "../interpreter/kernels.ts";
import { describeInEmulator, runPtx } from "./emulator.ts";
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

describeInEmulator("print and assert in the emulator", () => {
  it("prints without disturbing anything", () => {
    const given = Object.fromEntries(
      dtypes.map((dtype) => [
        dtype,
        { data: encode(dtype, new Array(32).fill(dtype === "bool" ? false : dtype === "i64" ? 1n : 1)) },
      ]),
    );
    const report = runPtx(compilePtx(printing, { target: "sm_80" }), {
      arguments: { ...given, view: { data: new Float32Array(6), shape: [2, 3] } },
      grid: [2, 1, 1],
    });
    expect(report.ok).toBe(true);
  });

  it("goes on when an assert holds, and stops when it does not", () => {
    const compiled = compilePtx(asserting, { target: "sm_80" });
    const x = new Int32Array(64).fill(3);
    const out = new Int32Array(64);
    const launch = { arguments: { x: { data: x }, out: { data: out } }, grid: [1, 1, 1] };
    runPtx(compiled, launch);
    expect(out).toEqual(x);
    x[37] = -1;
    expect(() => runPtx(compiled, launch)).toThrow(/trap/);
  });
});

describeWithAssembler("ptxas", () => {
  it("takes print and assert", () => {
    assemble(compilePtx(printing, { target: "sm_80" }).source);
    assemble(compilePtx(asserting, { target: "sm_80" }).source);
  });
});
