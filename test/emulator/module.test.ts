/** What a module or a launch is refused for, and memory: each by its code, with the line. */
import { describe, expect, it } from "vitest";
import { EmulatedGpu, PtxError, PtxFault } from "../../src/emulator/index.ts";

const kernel = (...body: string[]): string =>
  [
    ".version 8.0",
    ".target sm_80",
    ".address_size 64",
    ".visible .entry k(.param .u64 p, .param .u32 n)",
    "{",
    "  .reg .pred %p<2>;",
    "  .reg .b32 %r<4>;",
    "  .reg .b64 %rd<4>;",
    ...body.map((line) => `  ${line}`),
    "  ret;",
    "}",
  ].join("\n");
const firstLine = 9;

const caught = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe("loading", () => {
  const refused: Readonly<Record<string, readonly [code: string, ...body: string[]]>> = {
    "an unknown opcode": ["PTX_UNKNOWN_INSTRUCTION", "frobnicate.b32 %r1, %r2;"],
    "an unknown modifier": ["PTX_UNKNOWN_INSTRUCTION", "add.fast.s32 %r1, %r2, %r3;"],
    "an undeclared register": ["PTX_UNKNOWN_SYMBOL", "ld.param.u32 %r1, [q];"],
    "an unknown label": ["PTX_UNKNOWN_SYMBOL", "bra.uni nowhere;"],
    "a register of another size": ["PTX_OPERAND", "add.s32 %r1, %rd1, %r2;"],
    "a missing operand": ["PTX_OPERAND", "add.s32 %r1, %r2;"],
    "a stray character": ["PTX_SYNTAX", "add.s32 %r1, ?, %r2;"],
  };
  for (const [title, [code, ...body]] of Object.entries(refused))
    it(`refuses ${title}`, () => {
      const error = caught(() => new EmulatedGpu().loadModule(kernel(...body)));
      expect(error).toBeInstanceOf(PtxError);
      expect(error).toMatchObject({ code, line: firstLine });
    });

  it("takes directives without a space between them, as cuda_bf16.h writes them", () => {
    const text = kernel("{.reg.b32 f;", "ld.param.u32 f, [n];}").replace(".param .u32 n", ".param.u32 n");
    const [, count] = new EmulatedGpu().loadModule(text).entries.get("k")!.parameters;
    expect(count).toMatchObject({ name: "n", offset: 8, size: 4 });
  });

  it("lays parameters out by their alignment", () => {
    const [parameter, count] = new EmulatedGpu().loadModule(kernel()).entries.get("k")!.parameters;
    expect(parameter).toMatchObject({ name: "p", offset: 0, size: 8 });
    expect(count).toMatchObject({ name: "n", offset: 8, size: 4 });
  });

  it("warns of registers that are never assigned", () => {
    const gpu = new EmulatedGpu();
    const module = gpu.loadModule(kernel("add.s32 %r1, %r2, 1;"));
    const report = gpu.launch(module, "k", { grid: [1, 1, 1], block: [1, 1, 1], parameters: new Uint8Array(12) });
    expect(report.warnings).toEqual(["entry k: register %r2 is read and never assigned"]);
  });
});

describe("launching", () => {
  const launch = (body: string[], options: { threads?: number; bytes?: number } = {}): unknown =>
    caught(() => {
      const gpu = new EmulatedGpu({ maxInstructions: 100_000 });
      gpu.launch(gpu.loadModule(kernel(...body)), "k", {
        grid: [1, 1, 1],
        block: [options.threads ?? 32, 1, 1],
        parameters: new Uint8Array(options.bytes ?? 12),
      });
    });

  it("refuses a parameter buffer of another size, and blocks that are too large", () => {
    expect(launch([], { bytes: 16 })).toMatchObject({ code: "PARAMETER_SIZE" });
    expect(launch([], { threads: 2048 })).toMatchObject({ code: "INVALID_BLOCK" });
  });

  it("ends loops that do not end, and barriers that cannot open", () => {
    expect(launch(["again: bra.uni again;"])).toMatchObject({ code: "PTX_INSTRUCTION_LIMIT" });
    expect(launch(["bar.sync 1, 64;"], { threads: 64 })).toBeUndefined();
    const apart = ["mov.u32 %r1, %warpid;", "bar.sync %r1;"];
    const fault = launch(apart, { threads: 64 });
    expect(fault).toBeInstanceOf(PtxFault);
    expect(fault).toMatchObject({ code: "PTX_DEADLOCK" });
  });

  it("reports trap, and a branch marked .uni on which lanes disagree", () => {
    expect(launch(["trap;"])).toMatchObject({ code: "PTX_TRAP", place: { line: firstLine, thread: [0, 0, 0] } });
    const branch = ["mov.u32 %r1, %tid.x;", "setp.lt.u32 %p1, %r1, 5;", "@%p1 bra.uni end;", "mov.u32 %r2, 1;", "end:"];
    expect(launch(branch)).toMatchObject({ code: "PTX_BRANCH_DIVERGENCE", place: { line: firstLine + 2 } });
  });
});

describe("memory", () => {
  it("is checked at every access of the host", () => {
    const gpu = new EmulatedGpu({ memoryBytes: 1000 });
    const address = gpu.allocate(100, "numbers");
    expect(address % 256n).toBe(0n);
    gpu.write(address + 10n, Uint8Array.of(1, 2, 3));
    expect([...gpu.read(address + 11n, 2)]).toEqual([2, 3]);
    expect(() => gpu.read(address + 90n, 11)).toThrow(/numbers/);
    expect(() => gpu.allocate(901)).toThrow(/out of memory/);
    expect(() => gpu.free(address + 1n)).toThrow(/not the start/);
    gpu.free(address);
    expect(() => gpu.write(address, Uint8Array.of(1))).toThrow(/freed/);
  });
});
