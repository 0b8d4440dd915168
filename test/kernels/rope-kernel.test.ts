/** The rotary kernel: both layouts, part of the head, gathered positions, any strides, its inverse, against f64. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RopeArguments, type RopeLayout, rope, ropeTable } from "../../src/kernels/index.ts";
import { createDevice, type Device, type DeviceOptions, type Tensor } from "../../src/runtime/index.ts";
import { type FloatDType, randomValues } from "../support/rounding.ts";

const devices: readonly [string, DeviceOptions][] = [
  ["cpu", { backend: "cpu" }],
  ["webgpu on SwiftShader", { backend: "webgpu", adapter: "swiftshader" }],
];
/** Half a unit in the last place at 1. */
const halfUnit: Readonly<Record<FloatDType, number>> = { f16: 2 ** -11, bf16: 2 ** -8, f32: 2 ** -24 };
const [batch, heads, length] = [2, 3, 37]; // more than a block of rows, and no power of two
const positions = Int32Array.from({ length: batch * length }, (_, i) => (i * 29) % 101);

describe.each(devices)("rope on %s", (_, options) => {
  let device: Device;
  beforeAll(async () => {
    device = await createDevice(options);
  });
  afterAll(() => device.dispose());

  /** x row-major [B, H, T, D], turned in f64. */
  function expected(
    x: Float32Array,
    {
      dim,
      turned,
      layout,
      gathered,
      sign,
    }: { dim: number; turned: number; layout: RopeLayout; gathered: boolean; sign: number },
  ): Float64Array {
    return Float64Array.from(x, (value, at) => {
      const [channel, row] = [at % dim, Math.floor(at / dim)];
      if (channel >= turned) return value;
      const half = turned / 2;
      const pair = layout === "half" ? channel % half : channel >> 1;
      const isFirst = layout === "half" ? channel < half : channel % 2 === 0;
      const partner = x[row * dim + (layout === "half" ? pair + (isFirst ? half : 0) : 2 * pair + (isFirst ? 1 : 0))]!;
      const [b, t] = [Math.floor(row / (heads * length)), row % length];
      const position = gathered ? positions[b * length + t]! : 5 + t;
      const angle = sign * position * 10000 ** ((-2 * pair) / turned);
      return value * Math.cos(angle) + (isFirst ? -partner : partner) * Math.sin(angle);
    });
  }

  const cases = (["half", "interleaved"] as const).flatMap((layout) =>
    (
      [
        ["f32", 20, 20, false],
        ["f16", 20, 20, true],
        ["bf16", 20, 12, false],
        ["f32", 33, 12, true], // an odd head dim, part of which turns
      ] as const
    ).map((more) => [layout, ...more] as const),
  );
  it.each(cases)("%s, %s, head dim %i of which %i turn, gathered %s", async (layout, dtype, dim, turned, gathered) => {
    const x = randomValues(dtype, batch * heads * length * dim, 1);
    const table = ropeTable(device, { positions: 101, headDim: turned });
    const place = gathered
      ? { positions: device.tensor(positions, { shape: [batch, length], dtype: "i32" }) }
      : { startPosition: 5 };
    const turn = (tensor: Tensor, more: Partial<RopeArguments> = {}) =>
      rope({ x: tensor, ...table, ...place, layout, ...more });
    const tensor = device.tensor(x, { shape: [batch, heads, length, dim], dtype });
    const expectClose = async (actual: Tensor, sign: number) => {
      const wanted = expected(x, { dim, turned, layout, gathered, sign });
      // Two products and a sum with f32 tables, then one rounding to the dtype: by the size of what is added.
      const largest = 2 * x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const allowed = largest * (halfUnit[dtype] + 4 * halfUnit.f32);
      const values = (await actual.read()) as Float32Array;
      for (const [i, value] of values.entries()) expect(Math.abs(value - wanted[i]!)).toBeLessThanOrEqual(allowed);
    };
    await expectClose(turn(tensor), 1);
    await expectClose(turn(tensor, { inverse: true }), -1);
    const bits = await turn(tensor).readRaw();
    expect(turn(tensor, { out: tensor })).toBe(tensor);
    expect(await tensor.readRaw(), "in place").toEqual(bits);
  });

  it.each(["half", "interleaved"] as const)("%s: x and out with any strides", async (layout) => {
    const [dim, turned] = [16, 12];
    const x = randomValues("f32", batch * heads * length * dim, 2);
    const table = ropeTable(device, { positions: 64, headDim: turned });
    const rowMajor = device.tensor(x, { shape: [batch, heads, length, dim], dtype: "f32" });
    // Channels far apart in memory: [B, D, T, H].
    const order = [0, 3, 2, 1] as const;
    const strided = device.tensor(
      Float32Array.from(x, (_, at) => {
        const [h, t, d, b] = [
          at % heads,
          Math.floor(at / heads) % length,
          Math.floor(at / (heads * length)) % dim,
          Math.floor(at / (heads * length * dim)),
        ];
        return x[((b * heads + h) * length + t) * dim + d]!;
      }),
      { shape: [batch, dim, length, heads], dtype: "f32" },
    );
    const plain = rope({ x: rowMajor, ...table, layout });
    const fromStrided = rope({ x: strided.permute(order), ...table, layout });
    expect(await fromStrided.read()).toEqual(await plain.read());
    const out = device.empty([batch, dim, length, heads], "f32");
    rope({ x: rowMajor, ...table, layout, out: out.permute(order) });
    expect(await rope({ x: out.permute(order), ...table, layout, inverse: true }).read()).toEqual(
      await rope({ x: plain, ...table, layout, inverse: true }).read(),
    );
  });

  it("mistakes are named", () => {
    const x = device.empty([1, 1, 3, 8], "f32");
    const table = ropeTable(device, { positions: 4, headDim: 8 });
    const wide = ropeTable(device, { positions: 4, headDim: 16 });
    expect(() => rope({ x, ...wide })).toThrow(
      /tables 8 columns: they must have at least 1 and at most half the head dim/,
    );
    expect(() => rope({ x, ...table, startPosition: 2 })).toThrow(/positions up to 4, but the tables end at 3/);
    expect(() => rope({ x, ...table, layout: "pairs" as RopeLayout })).toThrow(
      /"layout" must be "half" or "interleaved"/,
    );
    const places = device.tensor(Int32Array.of(0, 1, 2), { shape: [1, 3], dtype: "i32" });
    expect(() => rope({ x, ...table, positions: places, startPosition: 1 })).toThrow(/exclude each other/);
  });
});
