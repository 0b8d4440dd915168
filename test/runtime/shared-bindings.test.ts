/** Kernels with more tensors than a device has storage buffers: those that are only read share bindings. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compile } from "../../src/codegen/index.ts";
import { createDevice, type Device, kernel, type Tensor, tl } from "../../src/index.ts";
import { attention } from "../../src/kernels/index.ts";

/** Eleven tensors: more than the eight storage buffers of WebGPU's default limits. */
const weightedSum = kernel({
  name: "weighted_sum",
  constants: { N: 64 },
  params: {
    a: tl.tensor("f32", 2),
    b: tl.tensor("f32", 1),
    c: tl.tensor("f32", 1),
    d: tl.tensor("f32", 2),
    e: tl.tensor("f16", 1),
    f: tl.tensor("f16", 1),
    g: tl.tensor("i32", 1),
    h: tl.tensor("i32", 1),
    i: tl.pointer("f32"),
    out: tl.tensor("f32", 1),
    doubled: tl.tensor("f16", 1),
  },
  grid: (p) => [tl.cdiv(p.out.shape(0), 64)],
  body(p, { N }) {
    const start = tl.programId(0).mul(N);
    const at = tl.arange(0, N).add(start);
    const row = (x: typeof p.a) => x.load([1, start], [1, N]).reshape([N]);
    const sum = row(p.a)
      .add(p.b.load([start], [N]).mul(2))
      .add(p.c.load([start], [N]).mul(3))
      .add(row(p.d).mul(4))
      .add(p.e.load([start], [N]).to("f32").mul(5))
      .add(p.f.load([start], [N]).to("f32").mul(6))
      .add(p.g.load([start], [N]).to("f32").mul(7))
      .add(p.h.load([start], [N]).to("f32").mul(8))
      .add(tl.load(p.i.add(at), { mask: at.lt(p.out.shape(0)), other: 0 }).mul(9));
    p.out.store([start], sum);
    p.doubled.store([start], sum.mul(2).to("f16"));
  },
});

const length = 150;
/** Small whole numbers, so that every sum is exact in f32 and its double in f16. */
const data = (seed: number) => Float32Array.from({ length: 2 * length }, (_, index) => (index * (seed + 3)) % 7);

let device: Device;
beforeAll(async () => {
  device = await createDevice({ backend: "webgpu", adapter: "swiftshader", limits: "default" });
});
afterAll(() => device.dispose());

const expected = Array.from({ length }, (_, index) => {
  const vector = (seed: number) => data(seed)[index]!;
  const secondRow = (seed: number) => data(seed)[length + index]!;
  return (
    secondRow(0) +
    2 * vector(1) +
    3 * vector(2) +
    4 * secondRow(3) +
    [4, 5, 6, 7, 8].reduce((sum, seed) => sum + (seed + 1) * vector(seed), 0)
  );
});

type F32 = Tensor<"f32">;
type Make = (values: Float32Array, shape: readonly number[]) => F32;

function inputs(makeF32: Make) {
  const vector = (seed: number) => data(seed).slice(0, length);
  const f16 = (seed: number) => device.tensor(vector(seed), { shape: [length], dtype: "f16" });
  const i32 = (seed: number) => device.tensor(Int32Array.from(vector(seed)), { shape: [length], dtype: "i32" });
  return {
    a: makeF32(data(0), [2, length]),
    b: makeF32(vector(1), [length]),
    c: makeF32(vector(2), [length]),
    d: makeF32(data(3), [2, length]),
    e: f16(4),
    f: f16(5),
    g: i32(6),
    h: i32(7),
    i: makeF32(vector(8), [length]),
  };
}

async function run(makeF32: Make): Promise<{ extra: number }> {
  const given = { ...inputs(makeF32), out: device.empty([length], "f32"), doubled: device.empty([length], "f16") };
  device.resetPeakMemory();
  const before = device.memory().current;
  device.launch(weightedSum, given);
  const extra = device.memory().peak - before;
  expect(device.memory().current).toBe(before);
  expect([...(await given.out.read())]).toEqual(expected);
  expect([...(await given.doubled.read())]).toEqual(expected.map((value) => 2 * value));
  return { extra };
}

describe("eleven tensors on a device of eight storage buffers", () => {
  test("the text declares eight, and says which parameters share one", () => {
    const { source, metadata } = compile(weightedSum, "wgsl");
    expect(source.match(/var<storage/g)).toHaveLength(8);
    const { buffers } = metadata.wgsl!;
    expect(buffers.map(({ parameter }) => parameter)).toHaveLength(11);
    expect(new Set(buffers.map(({ binding }) => binding))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7]));
    const written = buffers.filter(({ access }) => access === "read_write");
    for (const { binding } of written) expect(buffers.filter((other) => other.binding === binding)).toHaveLength(1);
  });

  /** The two vectors of f32 that share a binding, each filled up to a multiple of 16 bytes. */
  const pairOfVectors = 2 * 608;

  test("tensors in buffers of their own are copied together for the launch; views of one buffer are read where they lie", async () => {
    const apart = await run((values, shape) => device.tensor(values, { shape, dtype: "f32" }));
    expect(apart.extra).toBeGreaterThan(pairOfVectors);
    // All f32 inputs in one buffer, at places that no alignment helps: written at once, each viewed where it begins.
    const f32: { values: Float32Array; begin: number }[] = [];
    let end = 1;
    inputs((values, shape) => {
      f32.push({ values, begin: end });
      end += values.length + 5;
      return device.empty(shape, "f32");
    });
    const whole = new Float32Array(end);
    for (const { values, begin } of f32) whole.set(values, begin);
    const all = device.tensor(whole, { shape: [end], dtype: "f32" });
    let next = 0;
    const together = await run((values, shape) => {
      const { begin } = f32[next++]!;
      return all.slice(0, begin, begin + values.length).reshape(shape);
    });
    expect(together.extra).toBe(apart.extra - pairOfVectors);
  });

  test("attention with a bias, ALiBi, sinks and key lengths, which has nine", async () => {
    const cpu = await createDevice({ backend: "cpu" });
    const [B, H, M, D] = [1, 2, 20, 16];
    const run = async (on: Device) => {
      const tensor = (seed: number, ...shape: number[]) => {
        const count = shape.reduce((a, b) => a * b);
        const values = Float32Array.from({ length: count }, (_, index) => Math.sin((index + 1) * (seed + 1) * 0.37));
        return on.tensor(values, { shape, dtype: "f32" });
      };
      const { out, lse } = attention({
        q: tensor(0, B, H, M, D),
        k: tensor(1, B, H, M, D),
        v: tensor(2, B, H, M, D),
        alibiSlopes: tensor(3, H),
        bias: tensor(4, B, H, M, M),
        sinks: tensor(5, H),
        keyLengths: on.tensor(Int32Array.of(17), { shape: [B], dtype: "i32" }),
        returnLse: true,
      });
      return [...((await out.read()) as Float32Array), ...((await lse!.read()) as Float32Array)];
    };
    const [have, want] = [await run(device), await run(cpu)];
    const apart = Math.max(...have.map((value, index) => Math.abs(value - want[index]!)));
    expect(Math.max(...want)).toBeGreaterThan(0.5);
    expect(apart).toBeLessThan(1e-5); // Sums of twenty terms of size 1 in f32, in another order.
    cpu.dispose();
  });
});
