/** The decoder against words that nvdisasm 13 printed beside its text, and loops of code that ptxas makes of PTX written here. */
import { beforeAll, expect, it } from "vitest";
import {
  analyzeCubin,
  decodeInstructions,
  type KernelCode,
  readCubin,
  readLineTable,
} from "../../../src/runtime/cuda/sass/index.ts";
import { assemble, describeWithAssembler, noSpills } from "../../ptx/ptxas.ts";

const bytesOf = (words: readonly (readonly [low: bigint, high: bigint])[]): Uint8Array =>
  new Uint8Array(new BigUint64Array(words.flat()).buffer);

it("decodes branches, predicates and targets as nvdisasm does", () => {
  const at = (address: number, low: bigint, high: bigint) =>
    decodeInstructions(
      bytesOf([...Array.from({ length: address / 16 }, () => [0x7918n, 0n] as const), [low, high]]),
    ).at(-1);
  // 0250: @P1 BRA 0x310;  07b0: @!P0 BRA 0x710;  1410: @P0 BRA P1, 0x1350;  1690: BSYNC B0;  3840: BRA 0x3840
  expect(at(0x250, 0xb8000001947n, 0xfea0003800000n)).toMatchObject({
    name: "BRA",
    predicated: true,
    target: 0x250 + 16 + 0xb80,
  });
  expect(at(0x7b0, 0xffffffb000008947n, 0xfea000383ffffn)).toMatchObject({
    predicated: true,
    target: 0x7b0 + 16 - 0x50,
  });
  expect(at(0x1410, 0xffffff3000000947n, 0xfea000083ffffn)).toMatchObject({
    predicated: true,
    target: 0x1410 + 16 - 0xd0,
  });
  expect(at(0x1690, 0x7941n, 0xfea0003800000n)).toMatchObject({ name: "BSYNC", predicated: false, target: undefined });
  expect(at(0x3840, 0xfffffff000007947n, 0xfc0000383ffffn)).toMatchObject({ predicated: false, target: 0x3840 });
});

it("refuses bytes that are no cubin", () => {
  expect(() => readCubin(new Uint8Array(100))).toThrow(expect.objectContaining({ code: "NOT_A_CUBIN" }));
  const cutOff = new Uint8Array(64);
  cutOff.set([0x7f, 0x45, 0x4c, 0x46, 2]);
  cutOff.set([0, 0, 1], 40);
  cutOff.set([64, 0, 9, 0, 1, 0], 58);
  expect(() => readCubin(cutOff)).toThrow(expect.objectContaining({ code: "NOT_A_CUBIN" }));
});

it("reads a line program as DWARF 2 says", () => {
  const text = (value: string): number[] => [...new TextEncoder().encode(value), 0];
  // Base -5, range 14, opcodes from 10 on: the standard opcodes 1 to 9 take 0, 1, 1, 1, 1, 0, 0, 0, 1 operands.
  const counts = [0, 1, 1, 1, 1, 0, 0, 0, 1];
  const tables = [...text("/home/k"), 0, ...text("a.ts"), 1, 0x80, 1, 5, ...text("b.ts"), 0, 0, 0, 0];
  // biome-ignore format: a line an operation
  const program = [
    0, 9, 2, 0, 0, 0, 0, 0, 0, 0, 0,       // address 0
    3, 18, 1,                              // line + 18, row: 19 of a.ts at 0
    4, 2, 3, 0xfe, 0x7e, 2, 0x90, 1, 1,    // file b.ts, line - 130 (no line at all), address + 144, row
    3, 0x9c, 1, 5, 7, 6,                   // line + 156, column 7, statement toggled: no row
    10 + (3 + 5) + 14 * 2,                 // special: address + 2, line + 3, row
    8, 1,                                  // address + (255 - 10) / 14 = 17, row
    9, 0, 1, 10 + 5,                       // address + 256, then line + 0, row
    0, 1, 1,                               // the end
  ];
  const prologue = [1, 1, 0x100 - 5, 14, 10, ...counts, ...tables];
  const word = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, 0, 0];
  const body = [2, 0, ...word(prologue.length), ...prologue, ...program];
  const section = Uint8Array.from([...word(body.length), ...body]);
  const [sequence, ...others] = readLineTable(section);
  expect(others).toEqual([]);
  expect(sequence!.addressAt).toBe(section.length - program.length + 3);
  expect(sequence!.rows).toEqual([
    { address: 0, file: "/home/k/a.ts", line: 19 },
    { address: 144, file: "b.ts", line: 19 - 130 },
    { address: 146, file: "b.ts", line: 19 - 130 + 156 + 3 },
    { address: 163, file: "b.ts", line: 48 },
    { address: 419, file: "b.ts", line: 48 },
  ]);
});

describeWithAssembler("machine code of ptxas", () => {
  let code: KernelCode;
  let said: number;
  beforeAll(async () => {
    const { cubin, registers, spills } = await assemble(productsPtx);
    expect(spills).toEqual(noSpills);
    said = registers;
    [code] = analyzeCubin(cubin) as [KernelCode];
  });

  it("finds the kernel, its block and its shared memory", () => {
    expect(code).toMatchObject({ name: "products", maxThreads: 64, staticSharedBytes: 2048, stackBytes: 0 });
    expect(code.registers).toBe(said);
  });

  it("finds the loop and what a turn of it does", () => {
    expect(code.loops).toHaveLength(1);
    const loop = code.mainLoop!;
    // What the PTX asks for in a turn, which ptxas may neither drop nor double: everything is volatile.
    expect(loop.classes).toMatchObject({
      mma: 3,
      ldmatrix: 2,
      asyncCopy: 1,
      special: 1,
      synchronization: expect.any(Number),
    });
    expect(loop.names).toMatchObject({
      "HMMA.16816": 2,
      "HMMA.1688.TF32": 1,
      "LDSM.4": 1,
      "LDSM.T.2": 1,
      "LDGSTS.128": 1,
    });
    expect(loop.flops).toBe(2 * (2 * 16 * 8 * 16) + 2 * 16 * 8 * 8);
    expect(loop.nonMmaPerMma).toBeCloseTo((loop.total - 3) / 3);
    expect(loop.bodyTotal).toBe(loop.total);
    // m16n8k16 of 16-bit operands and m16n8k8 of tf32 keep the tensor core for 8 cycles each.
    expect(loop.cycles.tensor).toBe(24);
    expect(loop.tensorBound).toBeCloseTo(24 / Math.max(...Object.values(loop.cycles)));
    expect(loop.lines).toEqual([]);
  });

  it("says what each line of the source costs, where line information is asked for; the code stays the same", async () => {
    const source = productsPtx
      .replace("LOOP:", ".loc 1 7 1\nLOOP:")
      .replace("  mma.sync.aligned.m16n8k16.row.col.f32.f16", "  .loc 1 8 3\n$&")
      .replace("  ex2.approx", "  .loc 1 9 3\n$&")
      .replace("  add.s64", "  .loc 1 10 3\n$&")
      .replace(".address_size 64", '$&\n.file 1 "/home/k/products.ts"');
    const { cubin } = await assemble(source, { lineInfo: true });
    const [told] = analyzeCubin(cubin) as [KernelCode];
    const of = (line: number) => told.mainLoop!.lines.find((other) => other.line === line)!;
    expect(of(7)).toMatchObject({ file: "/home/k/products.ts", classes: { ldmatrix: 2, asyncCopy: 1 } });
    expect(of(8).classes.mma).toBe(3);
    expect(of(9).classes.special).toBe(1);
    expect(told.mainLoop!.lines.reduce((sum, { total }) => sum + total, 0)).toBe(told.mainLoop!.total);
    expect({ ...told.mainLoop, lines: [] }).toEqual(code.mainLoop);
  });
});

const productsPtx = `.version 7.0
.target sm_80
.address_size 64
.visible .entry products(.param .u64 p, .param .s32 n)
.maxntid 64, 1, 1
{
  .reg .b32 %r<20>;
  .reg .f32 %f<20>;
  .reg .b64 %a<2>;
  .reg .pred %p<2>;
  .shared .align 16 .b8 memory[2048];
  ld.param.u64 %a0, [p];
  ld.param.s32 %r0, [n];
  mov.u32 %r1, memory;
  mov.f32 %f0, 0f00000000;
  mov.f32 %f1, 0f00000000;
  mov.f32 %f2, 0f00000000;
  mov.f32 %f3, 0f00000000;
LOOP:
  .pragma "nounroll";
  cp.async.cg.shared.global [%r1], [%a0], 16;
  cp.async.wait_all;
  bar.sync 0;
  ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r4, %r5, %r6, %r7}, [%r1];
  ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%r8, %r9}, [%r1+512];
  mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f0, %f1, %f2, %f3}, {%r4, %r5, %r6, %r7}, {%r8, %r9}, {%f0, %f1, %f2, %f3};
  mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f0, %f1, %f2, %f3}, {%r4, %r5, %r6, %r7}, {%r8, %r9}, {%f0, %f1, %f2, %f3};
  mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%f0, %f1, %f2, %f3}, {%r4, %r5, %r6, %r7}, {%r8, %r9}, {%f0, %f1, %f2, %f3};
  ex2.approx.ftz.f32 %f0, %f0;
  add.s64 %a0, %a0, 16;
  sub.s32 %r0, %r0, 1;
  setp.gt.s32 %p0, %r0, 0;
  @%p0 bra LOOP;
  st.global.v4.f32 [%a0], {%f0, %f1, %f2, %f3};
  ret;
}
`;
