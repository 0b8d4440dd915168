/** A fast Fourier transform (Stockham's order) by splitting and joining tiles: every step reads both halves of the one before. */
import { expect, it } from "vitest";
import { compileWgsl, defaultCapabilities } from "../../src/codegen/wgsl/index.ts";
import { kernel, tl } from "../../src/dsl/index.ts";
import type { Tile } from "../../src/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, Terms } from "./trial.ts";

type Vector = Tile<"f32", readonly [number]>;
type Matrix = Tile<"f32", readonly [number, number]>;

const fourier = kernel({
  name: "fourier",
  constants: { N: 64 },
  params: { x: tl.tensor("f32", 2), out: tl.tensor("f32", 2) },
  grid: () => [1],
  body(p, { N }) {
    let [re, im]: Vector[] = [0, 1].map((row) => p.x.load([row, 0], [N]));
    for (let half = N / 2, done = 1; half >= 1; half /= 2, done *= 2) {
      const halves = (x: Vector): Matrix[] => x.reshape([2, half, done]).permute([1, 2, 0]).split();
      const [[a, b], [c, d]] = [halves(re!), halves(im!)];
      const angle = tl
        .arange(0, half)
        .to("f32")
        .mul(-Math.PI / half)
        .perRow();
      const [cosine, sine] = [angle.cos(), angle.sin()];
      const [x, y] = [a!.sub(b!), c!.sub(d!)];
      const joined = (left: Matrix, right: Matrix): Vector => tl.join(left, right).permute([0, 2, 1]).reshape([N]);
      re = joined(a!.add(b!), x.mul(cosine).sub(y.mul(sine)));
      im = joined(c!.add(d!), x.mul(sine).add(y.mul(cosine)));
    }
    p.out.store([0, 0], re!);
    p.out.store([1, 0], im!);
  },
});

const N = 64;
const x = numbers("f32", [2, N], 1);

onEveryTarget((device) => {
  it("of 64 numbers", async () => {
    const expected = new Terms(2 * N);
    for (let k = 0; k < N; k++)
      for (let n = 0; n < N; n++) {
        const angle = (-2 * Math.PI * k * n) / N;
        const [re, im] = [x.values[n]!, x.values[N + n]!];
        expected.add(k, re * Math.cos(angle) - im * Math.sin(angle), Math.abs(re) + Math.abs(im));
        expected.add(N + k, re * Math.sin(angle) + im * Math.cos(angle), Math.abs(re) + Math.abs(im));
      }
    const out = device.empty([2, N], "f32");
    device.launch(fourier, { x: x.on(device), out });
    // Six steps, each of a sine to 3 units, a product and two sums.
    await expectClose(out, expected, 6 * 6);
  });
});

it("is computed step by step on a CPU too, not anew by every path that leads to a number", () => {
  const length = (size: number): number => {
    const capabilities = { ...defaultCapabilities, kind: "swiftshader" as const };
    return compileWgsl(optimize(fourier.trace({ constants: { N: size } })), capabilities).source.length;
  };
  // Two more steps of as many instructions a thread; twice as many paths a step would make it 16 times as long.
  expect(length(256)).toBeLessThan(3 * length(64));
});
