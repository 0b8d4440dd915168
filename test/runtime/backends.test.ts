import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { type DType, dtypes, parseKernel } from "../../src/ir/index.ts";
import type { Device, DeviceOptions, HostData } from "../../src/runtime/index.ts";
import { createDevice } from "../../src/runtime/index.ts";
import { lavapipeDriver } from "../../src/runtime/node/vulkan.ts";
import { scaleRowsText } from "./scale-rows.ts";

/** One suite for every backend that runs kernels: what a user may rely on wherever the kernel runs. */
const backends: readonly { name: string; options: DeviceOptions; missing?: () => Promise<string | undefined> }[] = [
  { name: "cpu", options: { backend: "cpu" } },
  { name: "cuda, emulated", options: { backend: "cuda", emulate: true } },
  { name: "webgpu on SwiftShader", options: { backend: "webgpu", adapter: "swiftshader" } },
  {
    name: "webgpu on SwiftShader, bare",
    options: { backend: "webgpu", adapter: "swiftshader", features: [], limits: "default" },
  },
  {
    name: "webgpu on lavapipe",
    options: { backend: "webgpu", adapter: "lavapipe" },
    missing: async () => {
      const driver = await lavapipeDriver();
      return "reason" in driver ? driver.reason : undefined;
    },
  },
];

const scaleRows = parseKernel(scaleRowsText);

const copy = kernel({
  name: "copy",
  constants: { ROWS: 4, COLUMNS: 4 },
  params: { x: tl.tensor("T", 2), out: tl.tensor("T", 2) },
  grid: (p, { ROWS, COLUMNS }) => [tl.cdiv(p.x.shape(1), COLUMNS), tl.cdiv(p.x.shape(0), ROWS)],
  body(p, { ROWS, COLUMNS }) {
    const at = [tl.programId(1).mul(ROWS), tl.programId(0).mul(COLUMNS)] as const;
    p.out.store(at, p.x.load(at, [ROWS, COLUMNS]));
  },
});

/** Each row by a program of its own, read as COLUMNS elements. */
const copyRows = kernel({
  name: "copy_rows",
  constants: { COLUMNS: 64 },
  params: { x: tl.tensor("T", 2), out: tl.tensor("T", 2) },
  grid: (p) => [p.x.shape(0)],
  body(p, { COLUMNS }) {
    const row = tl.programId(0);
    p.out.at(row).store([0], p.x.at(row).load([0], [COLUMNS]));
  },
});

/** out = x + BLOCK + n; n is declared to be a multiple of 16. */
const addScaled = kernel({
  name: "add_scaled",
  constants: { BLOCK: 8 },
  params: { x: tl.tensor("f32", 1), out: tl.tensor("f32", 1), n: tl.scalar("i32", { divisibleBy: 16 }) },
  grid: (p, { BLOCK }) => [tl.cdiv(p.x.shape(0), BLOCK)],
  body(p, { BLOCK }) {
    const start = tl.programId(0).mul(BLOCK);
    const inside = tl.arange(0, BLOCK).add(start).lt(p.x.shape(0));
    const sum = p.x.load([start], [BLOCK]).add(BLOCK).add(p.n.to("f32"));
    p.out.store([start], tl.where(inside, sum, 0));
  },
});

const talk = kernel({
  name: "talk",
  params: { x: tl.tensor("f32", 1) },
  grid: (p) => [p.x.shape(0)],
  body(p) {
    const value = p.x.at(tl.programId(0)).load([], []);
    tl.print("x", value);
    tl.assert(value.ge(0), "x must not be negative");
  },
});

/** Any bits, but no signalling NaN, which a target may make quiet. */
function randomBits(dtype: DType, length: number): HostData {
  let state = 1;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
  const fill = <A extends HostData>(array: A, value: () => number | bigint): A => {
    for (let i = 0; i < array.length; i++) array[i] = value();
    return array;
  };
  switch (dtype) {
    case "bool":
      return fill(new Uint8Array(length), () => next() & 1);
    case "i8":
      return fill(new Int8Array(length), next);
    case "i32":
      return fill(new Int32Array(length), () => next() * 256);
    case "u32":
      return fill(new Uint32Array(length), () => next() * 256);
    case "i64":
      return fill(new BigInt64Array(length), () => (BigInt(next()) << 40n) - BigInt(next()));
    case "f32":
      return fill(new Float32Array(length), () => (next() - 2 ** 23) / 2 ** 12);
    default:
      return fill(new Uint16Array(length), () => (next() & 0x3fff) | ((next() & 1) << 15));
  }
}

describe.each(backends)("$name", ({ options, missing }) => {
  let device: Device;
  let reason: string | undefined;
  const printed: string[] = [];
  beforeAll(async () => {
    reason = await missing?.();
    if (reason === undefined) device = await createDevice({ ...options, onPrint: (line) => printed.push(line) });
  });
  afterAll(() => device?.dispose());
  const test = (name: string, body: () => Promise<void>): void => {
    it(name, async ({ skip }) => {
      if (reason !== undefined) skip(reason);
      await body();
    });
  };

  test("runs Tile IR on strided views, any length", async () => {
    using x = device.tensor(
      Float32Array.from({ length: 60 }, (_, i) => i),
      { shape: [5, 12], dtype: "f32" },
    );
    using out = device.empty([11, 5], "f32");
    device.launch(scaleRows, { x: x.slice(1, 1), out: out.transpose(), factor: -2 });
    const expected = Float32Array.from({ length: 55 }, (_, i) => -2 * ((i % 5) * 12 + 1 + Math.floor(i / 5)));
    expect(await out.read()).toEqual(expected);
  });

  test("copies every dtype bit by bit, from and to any strides and offsets", async () => {
    for (const dtype of dtypes) {
      const data = randomBits(dtype, 7 * 9);
      using x = device.tensor(data, { shape: [7, 9], dtype });
      using out = device.zeros([9, 8], dtype);
      const expected = [...(await out.readRaw())];
      device.launch(copy, { x: x.slice(0, 1).slice(1, 2, 8, 2), out: out.transpose().slice(0, 2).slice(1, 3, 6) });
      for (let i = 0; i < 6; i++) {
        for (let j = 0; j < 3; j++) expected[(3 + j) * 8 + 2 + i] = data[(1 + i) * 9 + 2 + 2 * j]!;
      }
      expect([dtype, ...(await out.readRaw())]).toEqual([dtype, ...expected]);
    }
  });

  test("reads rows shorter than a vector, one to a program, each where it lies", async () => {
    for (const dtype of ["f32", "f16", "i8"] as const)
      for (const columns of [1, 2, 3, 5]) {
        const data = randomBits(dtype, 8 * columns);
        using x = device.tensor(data, { shape: [8, columns], dtype });
        using out = device.zeros([8, columns], dtype);
        device.launch(copyRows, { x, out });
        expect([dtype, columns, ...(await out.readRaw())]).toEqual([dtype, columns, ...(data as Uint8Array)]);
      }
  });

  test("takes constants, and compiles anew for arguments that do not fit the declared facts", async () => {
    using x = device.tensor(
      Float32Array.from({ length: 96 }, (_, i) => i),
      { shape: [96], dtype: "f32" },
    );
    for (const { from, length, BLOCK } of [
      { from: 0, length: 64, BLOCK: 32 },
      { from: 3, length: 61, BLOCK: 16 },
      { from: 1, length: 0, BLOCK: 16 },
    ]) {
      using out = device.zeros([96], "f32");
      device.launch(addScaled, { x: x.slice(0, from, from + length), out, n: length }, { constants: { BLOCK } });
      const expected = new Float32Array(96);
      for (let i = 0; i < length; i++) expected[i] = from + i + BLOCK + length;
      expect(await out.read()).toEqual(expected);
    }
  });

  test("prints, and reports a failed assertion with kernel, program, place and message", async () => {
    printed.length = 0;
    using x = device.tensor(Float32Array.of(1, 2, -3, 4), { shape: [4], dtype: "f32" });
    device.launch(talk, { x: x.slice(0, 0, 2) });
    await device.synchronize();
    expect(printed).toEqual(["talk[0,0,0] x: 1", "talk[1,0,0] x: 2"]);
    const error = await failureOf(() => device.launch(talk, { x }));
    expect(error).toMatchObject({ code: "ASSERT" });
    for (const part of ['kernel "talk"', "program (2, 0, 0)", "backends.test.ts:", "x must not be negative"])
      expect(String(error)).toContain(part);
    expect([...(await x.read())]).toEqual([1, 2, -3, 4]);
  });

  test("refuses arguments before anything runs", async () => {
    using x = device.zeros([2, 4], "f16");
    using out = device.tensor(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), { shape: [2, 4], dtype: "f32" });
    const refusals: [string, string, () => void][] = [
      [
        "ARGUMENT_DTYPE",
        'the argument "out" is Tensor<f32, [2, 4]>, but another argument of dtype T is f16',
        () => device.launch(copy, { x, out }),
      ],
      [
        "ARGUMENT_RANK",
        '"x" is Tensor<f32, [8]> with 1 axes, but the kernel takes 2',
        () => device.launch(copy, { x: out.reshape([8]), out }),
      ],
      [
        "CONSTANT_NAME",
        'there is no constant "BLOK"',
        () =>
          device.launch(addScaled, { x: out.reshape([8]), out: out.reshape([8]), n: 8 }, { constants: { BLOK: 8 } }),
      ],
      ["DTYPE_VARIABLE", 'no dtype is given for "T"', () => device.launch(copy, {})],
    ];
    for (const [code, message, launch] of refusals)
      expect(launch).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
    expect([...(await out.read())]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  async function failureOf(launch: () => void): Promise<unknown> {
    try {
      launch();
      await device.synchronize();
    } catch (error) {
      return error;
    }
    return undefined;
  }
});
