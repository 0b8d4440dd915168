/** Layer norm forward and backward (Ba et al., arXiv 1607.06450): one row a program; the gradients of weight and bias are summed over a program's rows. */
import { expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { exact, expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

const forward = kernel({
  name: "layer_norm",
  constants: { COLUMNS: 1024 },
  params: {
    x: tl.tensor("T", 2),
    weight: tl.tensor("T", 1),
    bias: tl.tensor("T", 1),
    out: tl.tensor("T", 2),
    mean: tl.tensor("f32", 1),
    scale: tl.tensor("f32", 1),
    epsilon: tl.scalar("f32"),
  },
  grid: (p) => [p.x.shape(0)],
  body(p, { COLUMNS }) {
    const row = tl.programId(0);
    const length = p.x.shape(1);
    const x = p.x.load([row, 0], [COLUMNS]).to("f32");
    const mean = tl.sum(x).div(length.to("f32"));
    const centred = tl.where(tl.arange(0, COLUMNS).lt(length), x.sub(mean), 0);
    const scale = tl.rsqrt(tl.sum(centred.mul(centred)).div(length.to("f32")).add(p.epsilon));
    const [weight, bias] = [p.weight, p.bias].map((vector) => vector.load([0], [COLUMNS]).to("f32"));
    p.out.store([row, 0], centred.mul(scale).mul(weight!).add(bias!).to(p.out.dtype));
    p.mean.store([row], mean);
    p.scale.store([row], scale);
  },
});

const backward = kernel({
  name: "layer_norm_backward",
  constants: { COLUMNS: 1024 },
  params: {
    x: tl.tensor("T", 2),
    weight: tl.tensor("T", 1),
    dout: tl.tensor("T", 2),
    mean: tl.tensor("f32", 1),
    scale: tl.tensor("f32", 1),
    dx: tl.tensor("T", 2),
    dweight: tl.tensor("f32", 2),
    dbias: tl.tensor("f32", 2),
  },
  grid: (p) => [p.dweight.shape(0)],
  body(p, { COLUMNS }) {
    const length = p.x.shape(1).to("f32");
    const weight = p.weight.load([0], [COLUMNS]).to("f32");
    const inside = tl.arange(0, COLUMNS).lt(p.x.shape(1));
    const zero = tl.zeros([COLUMNS], "f32");
    const rows = { from: tl.programId(0), to: p.x.shape(0), step: tl.numPrograms(0) };
    const { dweight, dbias } = tl.loop(rows, { dweight: zero, dbias: zero }, (row, sums) => {
      const scale = p.scale.load([row], []);
      const x = p.x.load([row, 0], [COLUMNS]).to("f32");
      const normal = tl.where(inside, x.sub(p.mean.load([row], [])).mul(scale), 0);
      const dout = p.dout.load([row, 0], [COLUMNS]).to("f32");
      const dnormal = dout.mul(weight);
      const along = tl.sum(normal.mul(dnormal)).div(length);
      const shift = tl.sum(dnormal).div(length);
      p.dx.store([row, 0], dnormal.sub(normal.mul(along)).sub(shift).mul(scale).to(p.dx.dtype));
      return { dweight: sums.dweight.add(dout.mul(normal)), dbias: sums.dbias.add(dout) };
    });
    p.dweight.store([tl.programId(0), 0], dweight);
    p.dbias.store([tl.programId(0), 0], dbias);
  },
});

const [ROWS, LENGTH, PROGRAMS] = [5, 900, 2];
const epsilon = 1e-5;
const x = numbers("f16", [ROWS, LENGTH], 1);
const weight = numbers("f16", [LENGTH], 2);
const bias = numbers("f16", [LENGTH], 3);
const dout = numbers("f16", [ROWS, LENGTH], 4);

/** Everything in f64, with the mean and scale of each row. */
function reference() {
  const out = new Terms(ROWS * LENGTH);
  const [mean, scale] = [new Float64Array(ROWS), new Float64Array(ROWS)];
  const dx = new Terms(ROWS * LENGTH);
  const [dweight, dbias] = [new Terms(PROGRAMS * LENGTH), new Terms(PROGRAMS * LENGTH)];
  for (let row = 0; row < ROWS; row++) {
    const own = x.values.subarray(row * LENGTH, (row + 1) * LENGTH);
    mean[row] = own.reduce((sum, value) => sum + value, 0) / LENGTH;
    scale[row] = 1 / Math.sqrt(own.reduce((sum, value) => sum + (value - mean[row]!) ** 2, 0) / LENGTH + epsilon);
    let [along, shift, most] = [0, 0, 0];
    const normal = Float64Array.from(own, (value) => (value - mean[row]!) * scale[row]!);
    normal.forEach((value, i) => {
      const dnormal = dout.values[row * LENGTH + i]! * weight.values[i]!;
      along += (value * dnormal) / LENGTH;
      shift += dnormal / LENGTH;
      most += (Math.abs(value * dnormal) + Math.abs(dnormal)) / LENGTH;
    });
    normal.forEach((value, i) => {
      const at = row * LENGTH + i;
      out.add(at, value * weight.values[i]!);
      out.add(at, bias.values[i]!);
      const dnormal = dout.values[at]! * weight.values[i]!;
      const size = (Math.abs(dnormal) + most * (1 + Math.abs(value))) * scale[row]!;
      dx.set(at, (dnormal - value * along - shift) * scale[row]!, size);
      dweight.add((row % PROGRAMS) * LENGTH + i, dout.values[at]! * value);
      dbias.add((row % PROGRAMS) * LENGTH + i, dout.values[at]!);
    });
  }
  return { out, mean, scale, dx, dweight, dbias };
}
const expected = reference();

onEveryTarget((device) => {
  it("gives output and statistics", async () => {
    const [out, mean, scale] = [
      device.empty([ROWS, LENGTH], "f16"),
      device.empty([ROWS], "f32"),
      device.empty([ROWS], "f32"),
    ];
    const given = { x: x.on(device), weight: weight.on(device), bias: bias.on(device) };
    device.launch(forward, { ...given, out, mean, scale, epsilon });
    // A sum of 900 terms in whatever order, a root, and some products.
    await expectClose(out, expected.out, 60);
    await expectClose(scale, exact(expected.scale), 60);
    await expectClose(mean, { values: expected.mean, magnitudes: expected.mean.map(() => 1) }, 60);
  });

  it("gives gradients", async () => {
    const [dx, dweight, dbias] = [
      device.empty([ROWS, LENGTH], "f16"),
      device.empty([PROGRAMS, LENGTH], "f32"),
      device.empty([PROGRAMS, LENGTH], "f32"),
    ];
    const vector = (values: Float64Array) => device.tensor(Float32Array.from(values), { shape: [ROWS], dtype: "f32" });
    const statistics = { mean: vector(expected.mean), scale: vector(expected.scale) };
    const given = { x: x.on(device), weight: weight.on(device), dout: dout.on(device) };
    device.launch(backward, { ...given, ...statistics, dx, dweight, dbias });
    await expectClose(dx, expected.dx, 60);
    await expectClose(dweight, expected.dweight, 10);
    await expectClose(dbias, expected.dbias, 10);
  });
});

it("loads 16 bytes at a time, and only what reductions leave of a warp passes shared memory", () => {
  const { all } = ptxOf(forward, { dtypes: { T: "f16" } });
  // 1024 halves by 128 threads: one vector each of x, weight and bias, and of out. (The path for odd lengths loads single elements.)
  expect([all(/^ld\.global\.v4/), all(/^st\.global\.v4/)]).toEqual([3, 1]);
  // Two sums: five exchanges in the warp, then one word a warp.
  expect([all(/^shfl/), all(/^st\.shared/), all(/^ld\.shared/)]).toEqual([10, 2, 2]);
});
