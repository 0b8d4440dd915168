/** Mamba-2 (arXiv 2405.21060): a chunk of the scan as matrix products, with decays from a running sum, and the short convolution before it. */
import { expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

const chunkScan = kernel({
  name: "chunk_scan",
  constants: { STEPS: 32, STATE: 32, CHANNELS: 32 },
  params: {
    c: tl.tensor("T", 2),
    b: tl.tensor("T", 2),
    x: tl.tensor("T", 2),
    dt: tl.tensor("f32", 1),
    rate: tl.scalar("f32"),
    // [chunks, STATE, CHANNELS]: before each chunk, and what each adds up to.
    state: tl.tensor("f32", 3),
    out: tl.tensor("f32", 2),
    after: tl.tensor("f32", 3),
  },
  grid: (p, { STEPS }) => [tl.cdiv(p.x.shape(0), STEPS)],
  body(p, { STEPS, STATE, CHANNELS }) {
    const chunk = tl.programId(0);
    const start = chunk.mul(STEPS);
    const dt = p.dt.load([start], [STEPS]);
    const log = tl.cumsum(dt.mul(p.rate), 0);
    const total = tl.sum(dt.mul(p.rate), 0);
    const [c, b] = [p.c.load([start, 0], [STEPS, STATE]), p.b.load([start, 0], [STEPS, STATE])];
    const x = p.x.load([start, 0], [STEPS, CHANNELS]);
    const step = tl.arange(0, STEPS);
    const earlier = step.perRow().ge(step.perColumn());
    const decay = tl.where(earlier, log.perRow().sub(log.perColumn()).exp(), 0);
    const weights = tl.dot(c, b.trans()).mul(decay).mul(dt.perColumn());
    const state = p.state.load([chunk, 0, 0], [STATE, CHANNELS]);
    const past = tl.dot(c, state.to(p.x.dtype)).mul(log.exp().perRow());
    p.out.store([start, 0], tl.dot(weights.to(p.x.dtype), x, past));
    const scaled = b.to("f32").mul(total.sub(log).exp().mul(dt).perRow());
    p.after.store([chunk, 0, 0], tl.dot(scaled.to(p.x.dtype).trans(), x, state.mul(total.exp())));
  },
});

const shortConvolution = kernel({
  name: "short_convolution",
  constants: { STEPS: 16, CHANNELS: 64, WIDTH: 4 },
  params: { x: tl.tensor("T", 2), weight: tl.tensor("T", 2), bias: tl.tensor("T", 1), out: tl.tensor("f32", 2) },
  grid: (p, { STEPS, CHANNELS }) => [tl.cdiv(p.x.shape(1), CHANNELS), tl.cdiv(p.x.shape(0), STEPS)],
  body(p, { STEPS, CHANNELS, WIDTH }) {
    const [channel, step] = [tl.programId(0).mul(CHANNELS), tl.programId(1).mul(STEPS)];
    let sum = p.bias.load([channel], [CHANNELS]).to("f32").perColumn().broadcastTo([STEPS, CHANNELS]);
    for (let i = 0; i < WIDTH; i++) {
      const weight = p.weight.load([i, channel], [1, CHANNELS]).to("f32").broadcastTo([STEPS, CHANNELS]);
      sum = p.x
        .load([step.add(i - WIDTH + 1), channel], [STEPS, CHANNELS])
        .to("f32")
        .fma(weight, sum);
    }
    p.out.store([step, channel], sum.mul(sum.sigmoid()));
  },
});

onEveryTarget((device) => {
  it("two chunks of a scan", async () => {
    const [steps, chunks, n, d] = [32, 2, 32, 32];
    const [c, b] = [numbers("f16", [64, n], 1, 0.5), numbers("f16", [64, n], 2, 0.5)];
    const [x, state] = [numbers("f16", [64, d], 3), numbers("f16", [chunks, n, d], 4)];
    const dt = numbers("f32", [64], 5);
    const rate = 0.25;
    const [expected, after] = [new Terms(64 * d), new Terms(chunks * n * d)];
    for (let chunk = 0; chunk < chunks; chunk++) {
      const at = (i: number): number => chunk * steps + i;
      let log = 0;
      const logs = Array.from({ length: steps }, (_, i) => (log += dt.values[at(i)]! * rate));
      for (let channel = 0; channel < d; channel++) {
        const before = (k: number): number => state.values[(chunk * n + k) * d + channel]!;
        for (let i = 0; i < steps; i++) {
          for (let k = 0; k < n; k++)
            expected.add(at(i) * d + channel, c.values[at(i) * n + k]! * before(k) * Math.exp(logs[i]!));
          for (let j = 0; j <= i; j++) {
            const decay = Math.exp(logs[i]! - logs[j]!) * dt.values[at(j)]! * x.values[at(j) * d + channel]!;
            for (let k = 0; k < n; k++)
              expected.add(at(i) * d + channel, c.values[at(i) * n + k]! * b.values[at(j) * n + k]! * decay);
          }
        }
        for (let k = 0; k < n; k++) {
          after.add((chunk * n + k) * d + channel, before(k) * Math.exp(log));
          for (let j = 0; j < steps; j++) {
            const decay = Math.exp(log - logs[j]!) * dt.values[at(j)]! * x.values[at(j) * d + channel]!;
            after.add((chunk * n + k) * d + channel, b.values[at(j) * n + k]! * decay);
          }
        }
      }
    }
    const [out, last] = [device.empty([64, d], "f32"), device.empty([chunks, n, d], "f32")];
    const given = { c: c.on(device), b: b.on(device), x: x.on(device), dt: dt.on(device), rate };
    const first = device.tensor(state.values, { shape: [chunks, n, d], dtype: "f32" });
    device.launch(chunkScan, { ...given, state: first, out, after: last });
    // Weights and scaled operands are rounded to halves once: 2^13 units of f32.
    await expectClose(out, expected, 2 ** 13 + 100);
    await expectClose(last, after, 2 ** 13 + 100);
  });

  it("a convolution over the last four steps", async () => {
    const [steps, channels, width] = [21, 72, 4];
    const [x, weight] = [numbers("f16", [steps, channels], 1), numbers("f16", [width, channels], 2)];
    const bias = numbers("f16", [channels], 3);
    const expected = new Terms(steps * channels);
    for (let step = 0; step < steps; step++)
      for (let channel = 0; channel < channels; channel++) {
        let [sum, size] = [bias.values[channel]!, Math.abs(bias.values[channel]!)];
        for (let i = Math.max(0, width - 1 - step); i < width; i++) {
          const term = x.values[(step + i - width + 1) * channels + channel]! * weight.values[i * channels + channel]!;
          [sum, size] = [sum + term, size + Math.abs(term)];
        }
        // The function's slope is below 1.1.
        expected.set(step * channels + channel, sum / (1 + Math.exp(-sum)), 1.1 * size);
      }
    const out = device.empty([steps, channels], "f32");
    const given = { x: x.on(device), weight: weight.on(device), bias: bias.on(device) };
    device.launch(shortConvolution, { ...given, out });
    await expectClose(out, expected, 16);
  });
});

it("reads a short row again for each user, and brings what was scanned to all of them by one barrier", () => {
  const { all } = ptxOf(chunkScan, { dtypes: { T: "f16" } });
  // Operands of five dots, the results on their way out, and the running sum: each written once.
  expect(all(/^bar/)).toBeLessThanOrEqual(13);
});

it("spreads rows of weights over tiles without shared memory", () => {
  const { all } = ptxOf(shortConvolution, { dtypes: { T: "f16" } });
  expect([all(/^bar/), all(/shared/)]).toEqual([0, 0]);
});
