/** How the generated text reads: one small kernel in full, and what must hold of any. */
import { describe, expect, it } from "vitest";
import { compilePtx, type PtxOptions } from "../../src/codegen/ptx/index.ts";
import { blockParameter, type Kernel, tileType } from "../../src/ir/index.ts";
import { i32, loadTile, makeKernel, pointer, scalar, storeTile, tensor } from "../interpreter/kernels.ts";

const sourceOf = (kernel: Kernel, options: Partial<PtxOptions> = {}): string =>
  compilePtx(kernel, { target: "sm_80", ...options }).source;

const rowSums = makeKernel(
  { x: { ...tensor("f32", 2), facts: { unitStride: true, alignment: 16 } }, "row sums": pointer("f32") },
  (b, p) => {
    const row = b.value("program_id", [], { axis: 0 });
    const x = b.value("view_load", [p.x, row, i32(b, 0)], { shape: [1, 512], inBounds: [true, true] });
    const sum = b.value("reduce", [x], { axis: 1, kind: "sum" });
    storeTile(b, b.value("add_pointer", [p["row sums"], row]), sum, [1]);
  },
);

describe("the text of a kernel", () => {
  it("is this, for the sums of rows by 4 warps", () => {
    const source = sourceOf(rowSums);
    expect(source.slice(source.indexOf(".visible"), source.indexOf(")\n"))).toBe(`.visible .entry test(
  .param .u64 x,
  .param .s32 x_shape_0,
  .param .s32 x_shape_1,
  .param .s64 x_stride_0,
  .param .s64 x_stride_1,
  .param .u64 row_sums
`);
    expect(source.slice(source.indexOf("  ld.param"))).toBe(`  ld.param.u64 %rd0, [x];
  ld.param.u64 %rd1, [x_stride_0];
  ld.param.u64 %rd2, [row_sums];
  mov.u32 %r2, %ctaid.x;
  shl.b64 %rd3, %rd1, 2;
  cvt.s64.s32 %rd4, %r2;
  mul.lo.s64 %rd5, %rd3, %rd4;
  mov.u32 %r3, %tid.x;
  shl.b32 %r4, %r3, 2;
  mul.wide.s32 %rd6, %r4, 4;
  add.s64 %rd7, %rd0, %rd5;
  add.s64 %rd8, %rd6, %rd7;
  ld.global.v4.b32 {%f0, %f1, %f2, %f3}, [%rd8];
  add.f32 %f4, %f0, %f1;
  add.f32 %f5, %f2, %f3;
  add.f32 %f6, %f4, %f5;
  shfl.sync.bfly.b32 %f7, %f6, 1, 31, -1;
  add.f32 %f8, %f6, %f7;
  shfl.sync.bfly.b32 %f9, %f8, 2, 31, -1;
  add.f32 %f10, %f8, %f9;
  shfl.sync.bfly.b32 %f11, %f10, 4, 31, -1;
  add.f32 %f12, %f10, %f11;
  shfl.sync.bfly.b32 %f13, %f12, 8, 31, -1;
  add.f32 %f14, %f12, %f13;
  shfl.sync.bfly.b32 %f15, %f14, 16, 31, -1;
  add.f32 %f16, %f14, %f15;
  mov.u32 %r5, shared_memory;
  shr.u32 %r6, %r3, 3;
  and.b32 %r7, %r6, 12;
  add.s32 %r8, %r5, %r7;
  and.b32 %r9, %r3, 31;
  setp.eq.s32 %p0, %r9, 0;
  @%p0 st.shared.b32 [%r8], %f16;
  bar.sync 0;
  ld.shared.v4.b32 {%f17, %f18, %f19, %f20}, [%r5];
  add.f32 %f21, %f17, %f18;
  add.f32 %f22, %f19, %f20;
  add.f32 %f23, %f21, %f22;
  mul.wide.s32 %rd9, %r2, 4;
  add.s64 %rd10, %rd2, %rd9;
  setp.eq.s32 %p1, %r3, 0;
  @%p1 st.global.b32 [%rd10], %f23;
  ret;
}
`);
  });

  it("computes what does not change outside of the loop", () => {
    const kernel = makeKernel({ x: tensor("f32", 2), out: pointer("f32"), n: scalar("i32") }, (b, p) => {
      const [i, sum] = [blockParameter(tileType("i32"), "i"), blockParameter(tileType("f32", [4, 32]), "sum")];
      const body = b.block([i, sum], () => {
        const x = b.value("view_load", [p.x, i, i32(b, 0)], { shape: [4, 32], inBounds: [true, true] });
        b.create("yield", [b.value("add", [sum, x])]);
      });
      const start = b.constant(0, "f32", [4, 32]);
      const { results } = b.create("loop", [i32(b, 0), p.n, i32(b, 4), start], {}, { blocks: [body] });
      storeTile(b, p.out, results[0]!, [4, 32]);
    });
    const turn = /\$loop_0:\n([\s\S]*?)\n\s*@%p\d+ bra/.exec(sourceOf(kernel))![1]!;
    // Row times stride, its sum with the rest of the address, one load, one addition, the loop's own.
    expect(turn.split("\n").map((line) => line.trim().split(" ")[0])).toEqual([
      "cvt.s64.s32",
      "mul.lo.s64",
      "add.s64",
      "ld.global.b32",
      "add.f32",
      "mov.f32",
      "add.s32",
      "setp.lt.s32",
    ]);
  });

  it("prints by vprintf and stops at a failed assert", () => {
    const source = sourceOf(
      makeKernel({ x: pointer("f32") }, (b, p) => {
        const x = loadTile(b, p.x, [32]);
        b.create("print", [x], { prefix: "x" });
        b.create("assert", [b.value("compare", [x, x], { predicate: "eq" })], { message: "no NaN" });
      }),
    );
    expect(source).toContain(".extern .func (.param .b32 result) vprintf");
    const texts = [...source.matchAll(/\.b8 print_format_\d+\[\d+\] = \{(.*)\}/g)].map(([, bytes]) =>
      String.fromCharCode(...bytes!.split(", ").map(Number)),
    );
    expect(texts).toEqual([
      "test[%d,%d,%d] x[%d]: %g\n\0",
      'kernel "test", program (%d, %d, %d), assert at unknown location, element [%d]: assertion failed: no NaN\n\0',
    ]);
    expect(source).toMatch(/call\.uni \(.*\), vprintf, \(.*\);\n\s*trap;/);
  });

  it("declares shared memory above 48 KiB as dynamic, and refuses what no block has", () => {
    const transposed = (extent: number) =>
      makeKernel({ x: pointer("f32"), out: pointer("f32") }, (b, p) => {
        const x = loadTile(b, p.x, [extent, 128]);
        storeTile(b, p.out, b.value("trans", [x], { permutation: [1, 0] }), [128, extent]);
      });
    const small = compilePtx(transposed(64), { target: "sm_80" });
    expect(small.metadata.sharedMemory).toEqual({ static: 32768, dynamic: 0 });
    const large = compilePtx(transposed(128), { target: "sm_80", numWarps: 8 });
    expect(large.metadata.sharedMemory).toEqual({ static: 0, dynamic: 65536 });
    expect(large.source).toContain(".extern .shared .align 128 .b8 shared_memory[];");
    expect(() => compilePtx(transposed(512), { target: "sm_80", numWarps: 16 })).toThrow(
      /262144 bytes of shared memory.*smaller tiles/,
    );
  });

  it("refuses targets and numbers of warps that it does not know", () => {
    expect(() => sourceOf(rowSums, { target: "sm_20" })).toThrow(/"sm_20".*sm_80/);
    expect(() => sourceOf(rowSums, { numWarps: 3 })).toThrow(/power of two/);
  });

  it("names the source lines", () => {
    const kernel = makeKernel({ x: pointer("f32") }, (b, p) => {
      b.locate = () => ({ file: "/home/me/kernel.ts", line: 12, column: 5 });
      storeTile(b, p.x, loadTile(b, p.x, [128]), [128]);
      b.locate = () => undefined;
    });
    const source = sourceOf(kernel);
    expect(source).toContain('.file 1 "/home/me/kernel.ts"');
    expect(source).toContain(".loc 1 12 5 // kernel.ts:12");
    expect(sourceOf(kernel, { lineInfo: false })).not.toContain(".loc");
  });
});
