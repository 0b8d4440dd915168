/** The CUDA device over a driver library that records what is called: everything but the GPU. */
import { beforeEach, describe, expect, it } from "vitest";
import type { LaunchParameter } from "../../../src/codegen/index.ts";
import { compile } from "../../../src/codegen/index.ts";
import { kernel, tl } from "../../../src/dsl/index.ts";
import { CudaDevice } from "../../../src/runtime/cuda/device.ts";
import { DriverGpu } from "../../../src/runtime/cuda/driver-gpu.ts";
import { packParameters } from "../../../src/runtime/cuda/parameters.ts";
import { FakeLibrary } from "./fake-library.ts";

const shift = kernel({
  name: "shift",
  constants: { BLOCK: 32 },
  params: { x: tl.tensor("f32", 1), out: tl.tensor("f32", 1), by: tl.scalar("f32") },
  grid: (p, { BLOCK }) => [tl.cdiv(p.x.shape(0), BLOCK)],
  body(p, { BLOCK }) {
    const start = tl.programId(0).mul(BLOCK);
    p.out.store([start], p.x.load([start], [BLOCK]).add(p.by));
  },
});

const codeOf = async (action: () => unknown): Promise<{ code: string; message: string }> => {
  try {
    await action();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error("nothing was thrown");
};

it("packs parameters in ABI order, each at a multiple of its size", () => {
  const scalar = (name: string, dtype: LaunchParameter["dtype"]): LaunchParameter => ({
    name,
    kind: "scalar",
    dtype,
    access: "read",
  });
  const parameters: LaunchParameter[] = [
    scalar("flag", "bool"),
    { name: "q", kind: "pointer", dtype: "f16", access: "read" },
    scalar("n", "i32"),
    scalar("stride", "i64"),
    scalar("half", "f16"),
    scalar("brain", "bf16"),
    scalar("byte", "i8"),
    scalar("float", "f32"),
    scalar("word", "u32"),
  ];
  const bytes = packParameters(parameters, new Map([["q", 0x0102030405060708n]]), {
    flag: true,
    n: -2,
    stride: -(2n ** 40n),
    half: 1.5,
    brain: -2,
    byte: -1,
    float: 0.5,
    word: 0xdeadbeef,
  });
  // The offsets of struct { bool; void*; int; long; half; bfloat16; char; float; unsigned } in C.
  const hex = (from: number, to: number) => Buffer.from(bytes.subarray(from, to)).toString("hex");
  expect(bytes.length).toBe(48);
  expect([hex(0, 8), hex(8, 16), hex(16, 24), hex(24, 32)]).toEqual([
    "0100000000000000",
    "0807060504030201",
    "feffffff00000000",
    "0000000000ffffff",
  ]);
  expect([hex(32, 34), hex(34, 36), hex(36, 40), hex(40, 44), hex(44, 48)]).toEqual([
    "003e",
    "00c0",
    "ff000000",
    "0000003f",
    "efbeadde",
  ]);
});

describe("the device", () => {
  let library: FakeLibrary;
  const open = () => new CudaDevice(new DriverGpu(library));
  beforeEach(() => {
    library = new FakeLibrary();
  });

  it("says what it is", () => {
    const device = open();
    expect([device.backend, device.name, device.computeCapability]).toEqual(["cuda", "Fake GPU", [8, 6]]);
  });

  it("keeps tensors in device memory", async () => {
    const device = open();
    const x = device.tensor(Float32Array.of(1, 2, 3, 4), { shape: [4], dtype: "f32" });
    library.pending = 3; // The GPU is busy for a while.
    const view = x.slice(0, 1);
    expect([...(await view.read())]).toEqual([2, 3, 4]);
    expect([...(await device.zeros([3], "i8").read())]).toEqual([0, 0, 0]);
    expect([...(await device.zeros([0], "f32").read())]).toEqual([]);
    x.dispose();
    expect(library.named("cuMemFree")).toEqual([]);
    view.dispose();
    expect(library.named("cuMemFree")).toHaveLength(1);
  });

  it("launches with the compiled block, the grid and packed parameters, and loads a kernel once", () => {
    const device = open();
    const [x, out] = [device.zeros([70], "f32"), device.zeros([70], "f32")];
    for (const by of [2.5, 3]) device.launch(shift, { x, out: out.slice(0, 2), by });
    expect(library.named("cuModuleLoadDataEx")).toHaveLength(1);
    expect(library.launches).toHaveLength(2);
    const [{ grid, block, sharedBytes, parameters }] = library.launches as [FakeLibrary["launches"][number]];
    const { metadata } = compile(shift, "sm_80", {});
    expect([grid, block, sharedBytes]).toEqual([[3, 1, 1], [...metadata.block], 0]);
    // x, x.shape.0, x.stride.0, out, out.shape.0, out.stride.0, by
    const view = new DataView(parameters.buffer);
    const [first, second] = [...library.memory.keys()] as [bigint, bigint];
    expect([view.getBigUint64(0, true), view.getInt32(8, true), view.getBigInt64(16, true)]).toEqual([first, 70, 1n]);
    expect([view.getBigUint64(24, true), view.getInt32(32, true), view.getBigInt64(40, true)]).toEqual([
      second + 8n,
      68,
      1n,
    ]);
    expect([view.getFloat32(48, true), parameters.length]).toEqual([2.5, 52]);
  });

  it("opts in to more than 48 KiB of shared memory, and refuses more than the device has", () => {
    library.attributes[97] = 166912;
    const launch = (device: CudaDevice, bytes: number) => {
      const x = device.zeros([4], "f32");
      const { source, metadata: plain } = compile(shift, "sm_80", {});
      device.launch(
        { source, metadata: { ...plain, sharedMemory: { static: 0, dynamic: bytes } } },
        { x, out: device.empty(x.shape, "f32"), by: 1 },
      );
    };
    launch(open(), 100_000);
    expect(library.named("cuFuncSetAttribute").map((values) => values.slice(1))).toEqual([[8, 100_000]]);
    expect(library.launches[0]!.sharedBytes).toBe(100_000);
    expect(() => launch(open(), 170_000)).toThrow(expect.objectContaining({ code: "LIMIT" }));
  });

  it("times launches by events", async () => {
    const device = open();
    const x = device.zeros([4], "f32");
    const timings = await device.profile(() => device.launch(shift, { x, out: device.empty([4], "f32"), by: 1 }));
    expect(timings).toEqual([{ kernel: "shift", milliseconds: 1.5 }]);
    expect(library.named("cuEventDestroy")).toHaveLength(2);
    const failing = device.profile(() => {
      device.launch(shift, { x, out: device.empty([4], "f32"), by: 1 });
      throw new Error("of the caller");
    });
    expect((await codeOf(() => failing)).message).toBe("of the caller");
    expect(library.named("cuEventDestroy")).toHaveLength(4);
  });

  it("gives back what it took", async () => {
    const device = open();
    device.launch(shift, { x: device.zeros([4], "f32"), out: device.zeros([4], "f32"), by: 1 });
    device.dispose();
    for (const name of ["cuModuleUnload", "cuStreamDestroy", "cuDevicePrimaryCtxRelease"] as const)
      expect(library.named(name)).toHaveLength(1);
    expect((await codeOf(() => device.zeros([1], "f32"))).code).toBe("DEVICE_DISPOSED");
  });

  it("gives the context back when it cannot be opened, and once only", async () => {
    const contexts = () =>
      library.named("cuDevicePrimaryCtxRetain").length - library.named("cuDevicePrimaryCtxRelease").length;
    for (const failing of ["cuCtxSetCurrent", "cuStreamCreate"] as const) {
      library.results[failing] = 2;
      expect((await codeOf(open)).code).toBe("OUT_OF_MEMORY");
      expect(contexts()).toBe(0);
      delete library.results[failing];
    }
    library.attributes[75] = 7;
    expect((await codeOf(open)).code).toBe("DEVICE_TOO_OLD");
    expect(contexts()).toBe(0);
    library.attributes[75] = 8;
    const device = open();
    library.results.cuStreamDestroy = 700;
    expect((await codeOf(() => device.dispose())).code).toBe("ILLEGAL_ADDRESS");
    device.dispose();
    expect(contexts()).toBe(0);
  });

  it("explains each failure, and refuses everything after one that the driver does not recover from", async () => {
    library.deviceCount = 0;
    expect((await codeOf(open)).code).toBe("NO_DEVICE");
    library.deviceCount = 1;
    library.results.cuInit = 100;
    expect((await codeOf(open)).code).toBe("NO_DEVICE");
    delete library.results.cuInit;
    library.attributes[75] = 7;
    expect(await codeOf(open)).toMatchObject({ code: "DEVICE_TOO_OLD", message: expect.stringContaining("7.6") });
    library.attributes[75] = 8;

    const device = open();
    const x = device.zeros([4], "f32");
    const out = device.empty([4], "f32");
    const launch = () => device.launch(shift, { x, out, by: 1 });
    library.results.cuMemAlloc = 2;
    expect(await codeOf(() => device.zeros([2 ** 20], "f32"))).toMatchObject({
      code: "OUT_OF_MEMORY",
      message: expect.stringMatching(/4194304 bytes.*CUDA_ERROR_NUMBER_2/),
    });
    library.results.cuModuleLoadDataEx = 218;
    library.log = "ptxas application ptx input, line 7; error : Unknown symbol 'x'";
    expect(await codeOf(launch)).toMatchObject({
      code: "PTX_REFUSED",
      message: expect.stringMatching(/kernel "shift"[\s\S]*line 7; error : Unknown symbol/),
    });
    delete library.results.cuModuleLoadDataEx;
    library.results.cuLaunchKernel = 701;
    expect((await codeOf(launch)).code).toBe("LAUNCH_RESOURCES");
    library.results.cuLaunchKernel = 9;
    expect((await codeOf(launch)).code).toBe("CUDA");
    delete library.results.cuLaunchKernel;
    launch();
    library.results.cuStreamQuery = 700;
    expect((await codeOf(() => device.synchronize())).code).toBe("ILLEGAL_ADDRESS");
    // The GPU would answer now, but the context is lost.
    delete library.results.cuStreamQuery;
    expect((await codeOf(launch)).code).toBe("ILLEGAL_ADDRESS");
    expect((await codeOf(() => x.read())).code).toBe("ILLEGAL_ADDRESS");
    device.dispose();
  });

  it("refuses a grid that is too large and code for another target", async () => {
    const device = open();
    const x = device.zeros([4], "f32");
    expect(
      (await codeOf(() => device.launch(shift, { x, out: device.empty([4], "f32"), by: 1 }, { grid: [1, 65536] })))
        .code,
    ).toBe("GRID_TOO_LARGE");
    const wgsl = compile(shift, "wgsl", {});
    expect((await codeOf(() => device.launch(wgsl, { x, out: device.empty([4], "f32"), by: 1 }))).code).toBe("NOT_PTX");
  });
});
