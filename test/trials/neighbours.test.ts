/** Elementwise kernels over tiles that memory would hold differently: shifted by a column (a stencil), and of several dtypes (an optimizer's step). */
import { expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

/** Exchanges that bring the middle one of nine to place 4 (Smith's network for the median). */
// biome-ignore format: a table
const NETWORK = [[1, 2], [4, 5], [7, 8], [0, 1], [3, 4], [6, 7], [1, 2], [4, 5], [7, 8], [0, 3], [5, 8], [4, 7], [3, 6], [1, 4], [2, 5], [4, 7], [4, 2], [6, 4], [4, 2]] as const;

const median = kernel({
  name: "median",
  constants: { ROWS: 8, COLUMNS: 64 },
  params: { x: tl.tensor("T", 2), out: tl.tensor("T", 2) },
  grid: (p, { ROWS, COLUMNS }) => [tl.cdiv(p.x.shape(1), COLUMNS), tl.cdiv(p.x.shape(0), ROWS)],
  body(p, { ROWS, COLUMNS }) {
    const [column, row] = [tl.programId(0).mul(COLUMNS), tl.programId(1).mul(ROWS)];
    const pixels = [-1, 0, 1].flatMap((down) =>
      [-1, 0, 1].map((right) => p.x.load([row.add(down), column.add(right)], [ROWS, COLUMNS])),
    );
    for (const [low, high] of NETWORK) {
      const [a, b] = [pixels[low]!, pixels[high]!];
      [pixels[low], pixels[high]] = [tl.minimum(a, b), tl.maximum(a, b)];
    }
    p.out.store([row, column], pixels[4]!);
  },
});

const momentum = kernel({
  name: "momentum",
  constants: { BLOCK: 1024 },
  params: { weight: tl.tensor("bf16", 1), gradient: tl.tensor("bf16", 1), velocity: tl.tensor("f32", 1) },
  grid: (p, { BLOCK }) => [tl.cdiv(p.weight.shape(0), BLOCK)],
  body(p, { BLOCK }) {
    const start = tl.programId(0).mul(BLOCK);
    const load = (view: typeof p.weight) => view.load([start], [BLOCK]).to("f32");
    const velocity = p.velocity.load([start], [BLOCK]).mul(0.5).add(load(p.gradient));
    p.velocity.store([start], velocity);
    p.weight.store([start], load(p.weight).sub(velocity.mul(0.25)).to("bf16"));
  },
});

onEveryTarget((device) => {
  it.each(["f32", "f16"] as const)("the median of a pixel and its neighbours, %s", async (dtype) => {
    const [ROWS, COLUMNS] = [11, 77];
    const x = numbers(dtype, [ROWS, COLUMNS], 1);
    const at = (row: number, column: number): number =>
      row < 0 || row >= ROWS || column < 0 || column >= COLUMNS ? 0 : x.values[row * COLUMNS + column]!;
    const expected = Array.from(x.values, (_, i) => {
      const [row, column] = [Math.floor(i / COLUMNS), i % COLUMNS];
      const near = [-1, 0, 1].flatMap((down) => [-1, 0, 1].map((right) => at(row + down, column + right)));
      return near.sort((a, b) => a - b)[4]!;
    });
    const out = device.empty([ROWS, COLUMNS], dtype);
    device.launch(median, { x: x.on(device), out });
    expect([...((await out.read()) as Float32Array)]).toEqual(expected);
  });

  it("a step with momentum", async () => {
    const count = 1500;
    const [weight, gradient, velocity] = [
      numbers("bf16", [count], 1),
      numbers("bf16", [count], 2),
      numbers("f32", [count], 3),
    ];
    const [newWeight, newVelocity] = [new Terms(count), new Terms(count)];
    for (let i = 0; i < count; i++) {
      for (const term of [velocity.values[i]! / 2, gradient.values[i]!]) newVelocity.add(i, term);
      newWeight.add(i, weight.values[i]!);
      newWeight.add(i, newVelocity.values[i]! / -4, newVelocity.magnitudes[i]! / 4);
    }
    const tensors = { weight: weight.on(device), gradient: gradient.on(device), velocity: velocity.on(device) };
    device.launch(momentum, tensors);
    await expectClose(tensors.velocity, newVelocity, 2);
    await expectClose(tensors.weight, newWeight, 4);
  });
});

it("keeps what meets in one layout: nothing goes through shared memory", () => {
  for (const dtype of ["f32", "f16"] as const)
    expect(ptxOf(median, { dtypes: { T: dtype } }).all(/shared|^bar/)).toBe(0);
  // A store waits for what other threads may still load from where it writes.
  expect(ptxOf(momentum).all(/\.shared/)).toBe(0);
});
