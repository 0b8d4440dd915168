import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CompiledKernel, LaunchArgument, LaunchMetadata } from "../../src/codegen/metadata.ts";
import { launchParameters } from "../../src/codegen/metadata.ts";
import type { DType } from "../../src/ir/index.ts";
import { parseKernel } from "../../src/ir/index.ts";
import { factsOf } from "../../src/runtime/arguments.ts";
import type { HostData } from "../../src/runtime/elements.ts";
import type { WebGpuDevice } from "../../src/runtime/webgpu/device.ts";
import { createWebGpuDevice } from "../../src/runtime/webgpu/device.ts";
import { scaleRowsText } from "./scale-rows.ts";

let device: WebGpuDevice;
const printed: string[] = [];
beforeAll(async () => {
  device = await createWebGpuDevice({ adapter: "swiftshader", onPrint: (line) => printed.push(line) });
});
afterAll(() => device.dispose());

/** Metadata as a code generator would write it, for hand-written WGSL. */
function handMade(
  name: string,
  source: string,
  declared: readonly LaunchArgument[],
  more: Partial<LaunchMetadata> & { uniform?: readonly string[]; dtypes?: Readonly<Record<string, DType>> } = {},
): CompiledKernel {
  const { uniform = [], dtypes = {}, ...rest } = more;
  const buffers = declared
    .filter(({ kind }) => kind !== "scalar")
    .map(({ name: parameter, access }, binding) => ({
      parameter,
      binding,
      access: access === "read" ? ("read" as const) : ("read_write" as const),
    }));
  const metadata: LaunchMetadata = {
    name,
    target: "wgsl",
    entry: "main",
    params: launchParameters(declared, "i32"),
    arguments: declared,
    block: [64, 1, 1],
    grid: null,
    sharedMemory: { static: 0, dynamic: 0 },
    constants: {},
    wgsl: {
      buffers,
      uniform:
        uniform.length === 0
          ? null
          : {
              binding: 9,
              size: Math.ceil(uniform.length / 4) * 16,
              fields: uniform.map((field, index) => ({
                name: field,
                offset: index * 4,
                dtype: dtypes[field] ?? "i32",
              })),
            },
      features: [],
    },
    ...rest,
  };
  return { source, metadata };
}

const tensorArgument = (
  name: string,
  dtype: DType,
  rank: number,
  access: LaunchArgument["access"],
  facts: LaunchArgument["facts"] = {},
): LaunchArgument => ({ name, kind: "tensor", dtype, rank, access, facts });
const scalarArgument = (name: string, dtype: DType, facts: LaunchArgument["facts"] = {}): LaunchArgument => ({
  name,
  kind: "scalar",
  dtype,
  rank: 0,
  access: "read",
  facts,
});

/** out[i, j] = scale * x[i, j] over any strides: what a view load and store come to. */
const scaleKernel = handMade(
  "scale",
  `struct Arguments { rows : i32, columns : i32, x_row : i32, x_column : i32, out_row : i32, out_column : i32, x_offset : i32, out_offset : i32, scale : f32 }
  @group(0) @binding(0) var<storage, read> x : array<f32>;
  @group(0) @binding(1) var<storage, read_write> out : array<f32>;
  @group(0) @binding(9) var<uniform> a : Arguments;
  @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id : vec3u) {
    let column = i32(id.x);
    let row = i32(id.y);
    if (column < a.columns) { out[a.out_offset + row * a.out_row + column * a.out_column] = a.scale * x[a.x_offset + row * a.x_row + column * a.x_column]; }
  }`,
  [tensorArgument("x", "f32", 2, "read"), tensorArgument("out", "f32", 2, "write"), scalarArgument("scale", "f32")],
  {
    uniform: [
      "x.shape.0",
      "x.shape.1",
      "x.stride.0",
      "x.stride.1",
      "out.stride.0",
      "out.stride.1",
      "x.offset",
      "out.offset",
      "scale",
    ],
    dtypes: { scale: "f32" },
    grid: ["ceilDiv(x.shape.1, 64)", "x.shape.0", "1"],
  },
);

const count = (length: number): Float32Array => Float32Array.from({ length }, (_, index) => index);

describe("tensors", () => {
  it.each<[DType, HostData, unknown]>([
    ["f32", Float32Array.of(1.5, -0, Number.NaN, Infinity, 5), [1.5, -0, Number.NaN, Infinity, 5]],
    ["f32", Float64Array.of(0.1), [Math.fround(0.1)]],
    ["f16", Float32Array.of(1, 65519, 65520, 2 ** -24, -1 / 3), [1, 65504, Infinity, 2 ** -24, -0.333251953125]],
    ["f16", Uint16Array.of(0x3c00, 0x8001, 0x7c00), [1, -(2 ** -24), Infinity]],
    ["bf16", Float32Array.of(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8), [1, 1, 1 + 2 ** -6]],
    ["i32", Int32Array.of(-1, 2 ** 31 - 1), [-1, 2 ** 31 - 1]],
    ["u32", Uint32Array.of(2 ** 32 - 1), [2 ** 32 - 1]],
    ["i8", Int8Array.of(-128, 127, 3), [-128, 127, 3]],
    ["bool", Uint8Array.of(1, 0, 1, 1, 0), [1, 0, 1, 1, 0]],
    ["i64", BigInt64Array.of(-(2n ** 63n), 5n), [-(2n ** 63n), 5n]],
  ])("keeps %s %o", async (dtype, data, expected) => {
    using tensor = device.tensor(data, { shape: [data.length], dtype });
    expect([...(await tensor.read())]).toEqual(expected);
  });

  it("gives the stored bits of 16-bit floats", async () => {
    using tensor = device.tensor(Float32Array.of(1, -2, 0.5), { shape: [3], dtype: "f16" });
    expect(await tensor.readRaw()).toEqual(Uint16Array.of(0x3c00, 0xc000, 0x3800));
  });

  it("reads views in their own order, from any offset", async () => {
    const values = count(60);
    using tensor = device.tensor(values, { shape: [3, 4, 5], dtype: "f16" });
    expect([...(await tensor.transpose(0, 2).slice(0, 1, 3).read())]).toEqual(
      [1, 2].flatMap((k) => [0, 1, 2, 3].flatMap((j) => [0, 1, 2].map((i) => i * 20 + j * 5 + k))),
    );
    expect([...(await tensor.slice(0, 1, 2).slice(2, 1, 2).reshape([4]).read())]).toEqual([21, 26, 31, 36]);
    expect([...(await tensor.slice(2, 4).slice(1, 3).reshape([3, 1]).expand([3, 2]).read())]).toEqual([
      19, 19, 39, 39, 59, 59,
    ]);
  });

  it("has empty tensors and scalars", async () => {
    expect([...(await device.zeros([0, 3], "f32").read())]).toEqual([]);
    expect([...(await device.tensor(Float32Array.of(7), { shape: [], dtype: "f32" }).read())]).toEqual([7]);
    expect([...(await device.empty([5], "bool").read())]).toEqual([0, 0, 0, 0, 0]);
  });

  it("writes from the host, odd tails included, and refuses to tear a word", async () => {
    using tensor = device.tensor(count(5), { shape: [5], dtype: "bf16" });
    tensor.slice(0, 2).write(Float32Array.of(-1, -2, -3));
    expect([...(await tensor.read())]).toEqual([0, 1, -1, -2, -3]);
    expect(() => tensor.slice(0, 0, 1).write(Float32Array.of(9))).toThrow("whole 32-bit words");
    expect(() => tensor.slice(0, 0, 5, 2).write(Float32Array.of(1, 2, 3))).toThrow("not row-major");
  });

  it("lives until its last view is disposed of", async () => {
    const tensor = device.tensor(count(4), { shape: [4], dtype: "f32" });
    const view = tensor.slice(0, 2);
    tensor.dispose();
    tensor.dispose();
    expect([...(await view.read())]).toEqual([2, 3]);
    await expect(tensor.read()).rejects.toMatchObject({ code: "DISPOSED" });
    view.dispose();
    expect(view.isDisposed).toBe(true);
  });

  it.each([
    ["TENSOR_DATA", () => device.tensor(count(5), { shape: [2, 3], dtype: "f32" })],
    ["TENSOR_DATA", () => device.tensor(count(6), { shape: [2, 3], dtype: "i32" })],
    ["TENSOR_DATA", () => device.tensor(Float64Array.of(1), { shape: [1], dtype: "f16" })],
    ["TENSOR_DATA", () => device.tensor(Uint8Array.of(2), { shape: [1], dtype: "bool" })],
    ["SHAPE", () => device.zeros([2, -1], "f32")],
    ["SHAPE", () => device.zeros([1.5], "f32")],
    ["DTYPE", () => device.zeros([1], "f64" as DType)],
    ["DTYPE", () => device.tensor(count(1), { shape: [1], dtype: "constructor" as DType })],
    ["ARGUMENT_UNKNOWN", () => device.tensor(count(1), { shape: [1], dtype: "f32", ...{ strides: [1] } })],
    ["LIMIT", () => device.zeros([2 ** 31], "f32")],
  ])("refuses bad tensors: %s", (code, make) => {
    expect(make).toThrow(expect.objectContaining({ code }));
  });
});

describe("launch", () => {
  it("runs on views with offsets and strides, and caches the pipeline", async () => {
    using x = device.tensor(count(6 * 100), { shape: [6, 100], dtype: "f32" });
    using out = device.zeros([100, 6], "f32");
    device.launch(scaleKernel, { x, out: out.transpose(), scale: 2 });
    device.launch(scaleKernel, { x: x.slice(0, 3, 5).slice(1, 7, 9), out: out.slice(0, 98).slice(1, 0, 2), scale: -1 });
    const expected = Float32Array.from({ length: 600 }, (_, index) => 2 * ((index % 6) * 100 + Math.floor(index / 6)));
    expected.set([-307, -308], 98 * 6);
    expected.set([-407, -408], 99 * 6);
    expect(await out.read()).toEqual(expected);
  });

  it("does nothing on an empty grid", async () => {
    using out = device.tensor(count(4), { shape: [2, 2], dtype: "f32" });
    device.launch(scaleKernel, { x: device.zeros([0, 2], "f32"), out, scale: 1 });
    expect([...(await out.read())]).toEqual([0, 1, 2, 3]);
  });

  it("passes every scalar dtype", async () => {
    const names = ["b", "i8", "i32", "u32", "f16", "bf16", "f32", "i64"] as const;
    const dtypes = {
      b: "bool",
      i8: "i8",
      i32: "i32",
      u32: "u32",
      f16: "f16",
      bf16: "bf16",
      f32: "f32",
      i64: "i64",
    } as const;
    const kernel = handMade(
      "scalars",
      `struct Arguments { words : array<vec4u, 3> }
      @group(0) @binding(0) var<storage, read_write> out : array<u32>;
      @group(0) @binding(9) var<uniform> a : Arguments;
      @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i : u32) { if (i < 9) { out[i] = a.words[i / 4][i % 4]; } }`,
      [tensorArgument("out", "u32", 1, "write"), ...names.map((name) => scalarArgument(name, dtypes[name]))],
      { uniform: names, dtypes },
    );
    const metadata = {
      ...kernel.metadata,
      wgsl: { ...kernel.metadata.wgsl!, uniform: { ...kernel.metadata.wgsl!.uniform!, size: 48 } },
    };
    using out = device.zeros([9], "u32");
    device.launch(
      { ...kernel, metadata },
      { out, b: true, i8: -2, i32: -3, u32: 2 ** 32 - 1, f16: 1 + 2 ** -11, bf16: -1, f32: 0.1, i64: -1n },
      { grid: [1] },
    );
    const floats = [...new Uint32Array(Float32Array.of(1, -1, 0.1).buffer)]; // f16 and bf16 come as the f32 they round to
    expect([...(await out.read())]).toEqual([
      1,
      2 ** 32 - 2,
      2 ** 32 - 3,
      2 ** 32 - 1,
      ...floats,
      2 ** 32 - 1,
      2 ** 32 - 1,
    ]);
  });

  it("gives pointers the whole memory and the offset into it", async () => {
    const kernel = handMade(
      "gather",
      `struct Arguments { x_offset : i32, out_offset : i32 }
      @group(0) @binding(0) var<storage, read> x : array<f32>;
      @group(0) @binding(1) var<storage, read_write> out : array<f32>;
      @group(0) @binding(9) var<uniform> a : Arguments;
      @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i : u32) { if (i < 2) { out[a.out_offset + i32(i)] = x[a.x_offset - i32(i)]; } }`,
      [
        { ...tensorArgument("x", "f32", 0, "read"), kind: "pointer" },
        { ...tensorArgument("out", "f32", 0, "write"), kind: "pointer" },
      ],
      { uniform: ["x.offset", "out.offset"], grid: ["1", "1", "1"] },
    );
    using x = device.tensor(count(100), { shape: [100], dtype: "f32" });
    using out = device.zeros([3], "f32");
    device.launch(kernel, { x: x.slice(0, 80), out: out.slice(0, 1) });
    expect([...(await out.read())]).toEqual([0, 80, 79]);
  });

  it("times launches on the device", async () => {
    using x = device.zeros([512, 512], "f32");
    using out = device.zeros([512, 512], "f32");
    const timings = await device.profile(() => {
      device.launch(scaleKernel, { x, out, scale: 1 });
      device.launch(scaleKernel, { x, out, scale: 1 });
    });
    expect(timings.map(({ kernel }) => kernel)).toEqual(["scale", "scale"]);
    for (const { milliseconds } of timings) expect(milliseconds).toBeGreaterThan(0);
    expect(await device.profile(() => {})).toEqual([]);
    using plain = await createWebGpuDevice({ adapter: "swiftshader", features: [] });
    await expect(plain.profile(() => {})).rejects.toMatchObject({ code: "MISSING_FEATURE" });
  });

  it("uses the buffers of the user's own device", async () => {
    using own = await createWebGpuDevice({ device: device.gpuDevice });
    const buffer = device.gpuDevice.createBuffer({ size: 32, usage: 0x80 | 0x4 | 0x8 });
    device.gpuDevice.queue.writeBuffer(buffer, 0, count(8));
    const x = own.fromBuffer(buffer, { shape: [2, 2], dtype: "f32", strides: [4, 1], offset: 2 });
    using out = own.zeros([2, 2], "f32");
    own.launch(scaleKernel, { x, out, scale: 10 });
    expect([...(await out.read())]).toEqual([20, 30, 60, 70]);
    expect(own.bufferOf(x)).toBe(buffer);
    expect(() => own.fromBuffer(buffer, { shape: [9], dtype: "f32" })).toThrow(
      expect.objectContaining({ code: "BUFFER_SIZE" }),
    );
    const unpadded = device.gpuDevice.createBuffer({ size: 24, usage: 0x80 | 0x4 | 0x8, label: "unpadded" });
    expect(factsOf(own.fromBuffer(unpadded, { shape: [4], dtype: "f32" }))).toEqual({ alignment: 8, unitStride: true });
    const overlapping = own.fromBuffer(buffer, { shape: [2, 4], dtype: "f32", strides: [1, 1] });
    expect(factsOf(overlapping)).toEqual({ alignment: 4, unitStride: true });
    expect(factsOf(own.fromBuffer(buffer, { shape: [8, 1], dtype: "f32" }))).toEqual({
      alignment: 4,
      unitStride: true,
    });
    const narrow = device.gpuDevice.createBuffer({ size: 32, usage: 0x80 });
    expect(() => own.fromBuffer(narrow, { shape: [8], dtype: "f32" })).toThrow(
      expect.objectContaining({ code: "BUFFER_USAGE" }),
    );
    own.dispose();
    await expect(own.synchronize()).rejects.toMatchObject({ code: "DEVICE_DISPOSED" });
    expect([...(await device.fromBuffer(buffer, { shape: [1], dtype: "f32" }).read())]).toEqual([0]); // The user's device lives on.
  });
});

describe("launch errors", () => {
  const x = () => device.zeros([2, 2], "f32");
  const strict = handMade("strict", "", [
    tensorArgument("x", "f32", 2, "read", { alignment: 16, unitStride: true }),
    scalarArgument("n", "i32", { divisibleBy: 16 }),
  ]);

  it.each<[string, string, () => void]>([
    ["KERNEL", "must be made by kernel() or compile(), got object", () => device.launch({} as never, {})],
    [
      "ARGUMENT_UNKNOWN",
      'launch of "scale_rows": there is no option "gird"; known are grid, constants',
      () => device.launch(parseKernel(scaleRowsText), {}, { gird: [1] } as never),
    ],
    [
      "ARGUMENT_MISSING",
      'kernel "scale": the argument "out" (a tensor of f32 with 2 axes) is missing',
      () => device.launch(scaleKernel, { x: x(), scale: 1 }),
    ],
    [
      "ARGUMENT_UNKNOWN",
      'there is no parameter "y"; the parameters are x, out, scale',
      () => device.launch(scaleKernel, { x: x(), out: x(), scale: 1, y: 2 }),
    ],
    [
      "ARGUMENT_KIND",
      '"x" must be a tensor of f32 with 2 axes, but is 3',
      () => device.launch(scaleKernel, { x: 3, out: x(), scale: 1 }),
    ],
    [
      "ARGUMENT_KIND",
      '"scale" must be a scalar of f32, but is Tensor<f32, [2, 2]>',
      () => device.launch(scaleKernel, { x: x(), out: x(), scale: x() }),
    ],
    [
      "ARGUMENT_DTYPE",
      '"x" is Tensor<f16, [2, 2]>, but the kernel takes f32',
      () => device.launch(scaleKernel, { x: device.zeros([2, 2], "f16"), out: x(), scale: 1 }),
    ],
    [
      "ARGUMENT_RANK",
      '"out" is Tensor<f32, [4]> with 1 axes, but the kernel takes 2',
      () => device.launch(scaleKernel, { x: x(), out: x().reshape([4]), scale: 1 }),
    ],
    [
      "ARGUMENT_EXPANDED",
      "overlap (an expanded view)",
      () => device.launch(scaleKernel, { x: x(), out: device.zeros([1, 2], "f32").expand([2, 2]), scale: 1 }),
    ],
    [
      "ARGUMENT_RANGE",
      '"scale" must be a scalar of f32, but is true',
      () => device.launch(scaleKernel, { x: x(), out: x(), scale: true }),
    ],
    [
      "ARGUMENT_RANGE",
      "3 is not a multiple of 16",
      () => device.launch(strict, { x: device.zeros([2, 4], "f32"), n: 3 }, { grid: [1] }),
    ],
    [
      "ARGUMENT_RANGE",
      "4294967296 does not fit",
      () => device.launch(strict, { x: device.zeros([2, 4], "f32"), n: 2 ** 32 }, { grid: [1] }),
    ],
    [
      "ARGUMENT_FACT",
      "a last axis with stride 1",
      () => device.launch(strict, { x: device.zeros([4, 4], "f32").transpose(), n: 16 }, { grid: [1] }),
    ],
    [
      "ARGUMENT_FACT",
      "strides that are multiples of 16 bytes",
      () => device.launch(strict, { x: device.zeros([2, 3], "f32"), n: 16 }, { grid: [1] }),
    ],
    [
      "ARGUMENT_FACT",
      "a start at a multiple of 16 bytes",
      () => device.launch(strict, { x: device.zeros([2, 8], "f32").slice(1, 1), n: 16 }, { grid: [1] }),
    ],
    [
      "GRID_MISSING",
      'kernel "strict" does not say its grid',
      () => device.launch(strict, { x: device.zeros([2, 4], "f32"), n: 16 }),
    ],
    [
      "GRID_INVALID",
      "the grid [1.5]",
      () => device.launch(strict, { x: device.zeros([2, 4], "f32"), n: 16 }, { grid: [1.5] }),
    ],
    [
      "GRID_TOO_LARGE",
      "maxComputeWorkgroupsPerDimension",
      () => device.launch(scaleKernel, { x: x(), out: x(), scale: 1 }, { grid: [65536] }),
    ],
    [
      "ALIASED_BUFFER",
      '"x" (Tensor<f32, [1, 2]>) and "out" (Tensor<f32, [1, 2]>) share memory, and "out" is written',
      () => {
        const both = x();
        device.launch(scaleKernel, { x: both.slice(0, 0, 1), out: both.slice(0, 1, 2), scale: 1 });
      },
    ],
    [
      "DISPOSED",
      "Tensor<f32, [2, 2]> was used after it was disposed of",
      () => {
        const gone = x();
        gone.dispose();
        device.launch(scaleKernel, { x: gone, out: x(), scale: 1 });
      },
    ],
    [
      "NOT_WGSL",
      "is compiled for sm_80, not for WGSL",
      () =>
        device.launch(
          { ...strict, metadata: { ...strict.metadata, target: "sm_80", wgsl: undefined } },
          { x: device.zeros([2, 4], "f32"), n: 16 },
          { grid: [1] },
        ),
    ],
    [
      "LIMIT",
      "needs maxComputeWorkgroupSizeX of 2048, this device has 256",
      () =>
        device.launch(
          { source: "1", metadata: { ...strict.metadata, block: [2048, 1, 1] } },
          { x: device.zeros([2, 4], "f32"), n: 16 },
          { grid: [1] },
        ),
    ],
    [
      "MISSING_FEATURE",
      "shader-f16",
      () =>
        device.launch(
          {
            source: "2",
            metadata: { ...strict.metadata, wgsl: { ...strict.metadata.wgsl!, features: ["shader-f16"] } },
          },
          { x: device.zeros([2, 4], "f32"), n: 16 },
          { grid: [1] },
        ),
    ],
  ])("%s: %s", (code, message, launch) => {
    expect(launch).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  it("refuses a tensor of another device, and one that is too large to bind", async () => {
    using small = await createWebGpuDevice({ adapter: "swiftshader", limits: "default" });
    expect(() => small.launch(scaleKernel, { x: x(), out: small.zeros([2, 2], "f32"), scale: 1 })).toThrow(
      expect.objectContaining({ code: "ARGUMENT_DEVICE" }),
    );
    const large = small.zeros([2, 2 ** 24 + 1], "f32"); // 128 MiB and 8 bytes
    expect(() =>
      small.launch(scaleKernel, { x: large, out: small.zeros([2, 2], "f32"), scale: 1 }, { grid: [1] }),
    ).toThrow(
      expect.objectContaining({
        code: "BINDING_TOO_LARGE",
        message: expect.stringContaining("binds at most 134217728"),
      }),
    );
    large.dispose();
  });

  it("throws what WebGPU refuses at the next read, once, with the kernel and the line", async () => {
    const broken = handMade("broken", "@compute @workgroup_size(1) fn main() {\n  let x : f32 = 1u;\n}", []);
    const out = device.tensor(count(4), { shape: [4], dtype: "f32" });
    device.launch(broken, {}, { grid: [1] });
    await expect(out.read()).rejects.toMatchObject({
      code: "WGSL_REFUSED",
      message: expect.stringMatching(
        /^kernel "broken": the WGSL is refused at line 2, column \d+: .*\n {2}let x : f32 = 1u;$/s,
      ),
    });
    expect([...(await out.read())]).toEqual([0, 1, 2, 3]);
  });

  it("says so when the device is lost", async () => {
    const lost = await createWebGpuDevice({ adapter: "swiftshader" });
    const tensor = lost.zeros([4], "f32");
    lost.gpuDevice.destroy();
    await lost.gpuDevice.lost;
    await expect(tensor.read()).rejects.toMatchObject({ code: "DEVICE_LOST" });
    expect(() => lost.zeros([4], "f32")).toThrow(expect.objectContaining({ code: "DEVICE_LOST" }));
  });
});

describe("print and assert", () => {
  const kernel = (words: number): CompiledKernel => {
    const declared = [tensorArgument("x", "f32", 1, "read")];
    const made = handMade(
      "talk",
      `@group(0) @binding(0) var<storage, read> x : array<f32>;
      @group(0) @binding(1) var<storage, read_write> debug : array<atomic<u32>>;
      fn put(at : u32, value : u32) { if (at < ${words}u) { atomicStore(&debug[at], value); } }
      @compute @workgroup_size(1) fn main(@builtin(workgroup_id) id : vec3u) {
        let v = x[id.x];
        var at = 1u + atomicAdd(&debug[0], 7u);
        put(at, 0u); put(at + 1, id.x); put(at + 2, id.y); put(at + 3, id.z); put(at + 4, 3u); put(at + 5, bitcast<u32>(v)); put(at + 6, 0xfffffffeu);
        if (v < 0.0) { at = 1u + atomicAdd(&debug[0], 5u); put(at, 1u); put(at + 1, id.x); put(at + 2, 0u); put(at + 3, 0u); put(at + 4, 0u); }
      }`,
      declared,
      {
        debug: {
          words,
          sites: [
            { kind: "print", message: "v", location: "kernel.ts:3:1", dtypes: ["f32", "i32"], shape: [2, 2] },
            { kind: "assert", message: "v must not be negative", location: "kernel.ts:4:1", dtypes: [], shape: [] },
          ],
        },
      },
    );
    const wgsl = made.metadata.wgsl!;
    return {
      ...made,
      metadata: {
        ...made.metadata,
        wgsl: { ...wgsl, buffers: [...wgsl.buffers, { parameter: "debug", binding: 1, access: "read_write" }] },
      },
    };
  };

  it("prints values with program and element, and throws the assertion at the next wait", async () => {
    printed.length = 0;
    const x = device.tensor(Float32Array.of(1.5, -2), { shape: [2], dtype: "f32" });
    device.launch(kernel(64), { x }, { grid: [1] });
    await device.synchronize();
    expect(printed).toEqual(["talk[0,0,0] v [1, 1]: 1.5, -2"]);
    device.launch(kernel(64), { x }, { grid: [2] });
    await expect(x.read()).rejects.toMatchObject({
      code: "ASSERT",
      message: 'kernel "talk", program (1, 0, 0), assert at kernel.ts:4:1: assertion failed: v must not be negative',
    });
    expect(printed.length).toBe(3);
  });

  it("says when the buffer was too small", async () => {
    printed.length = 0;
    const x = device.zeros([100], "f32");
    device.launch(kernel(1 + 7 * 5 + 3), { x }, { grid: [100] });
    await device.synchronize();
    expect(printed.length).toBe(6);
    expect(printed.at(-1)).toBe("talk: the debug buffer is full: 662 words of output are missing");
  });
});
