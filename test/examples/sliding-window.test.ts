/** The sliding window of examples/ against a plain f64 computation, and that it visits no key block outside the window. */
import { describe, expect, it } from "vitest";
import forwardKernel, { slidingWindow } from "../../examples/sliding-window.ts";
import { prepare } from "../../src/interpreter/index.ts";
import { blocks, checkVariant, DIM } from "./variant-check.ts";

describe("examples/sliding-window.ts", () => {
  it.each([
    [64, 64, 1],
    [64, 64, 20],
    [50, 90, 33],
    [40, 40, 100],
    [90, 50, 17],
  ])("%i queries, %i keys, window %i: forward and gradients", (M, N, WINDOW) =>
    checkVariant(slidingWindow, { WINDOW }, [M, N], (m, n) => N - M + m - n >= 0 && N - M + m - n < WINDOW),
  );

  it("executes dots for the blocks of the window only", () => {
    const length = 256;
    const kernel = forwardKernel.trace({ constants: { ...blocks, WINDOW: 32 }, dtypes: { T: "f32" } });
    const tensor = (shape: number[]) => ({ data: new Float32Array(shape.reduce((a, b) => a * b)), shape });
    const [q, k, v, out] = [0, 1, 2, 3].map(() => tensor([1, 1, length, DIM]));
    const { counts } = prepare(kernel).run({
      arguments: { q: q!, k: k!, v: v!, out: out!, lse: tensor([1, 1, length]), scale: 1 },
    });
    // 16 query blocks, each with at most 3 key blocks in reach (32 keys back from each of its 16 rows), two dots a block.
    expect(counts.dot).toBe(2 * (1 + 2 + 14 * 3));
  });
});
