/**
 * Which queries have their delta, the row sum of P ∘ dP, from the weights and which from the rounded output, and that the former is as exact as f32. That the
 * gradients are then within the accuracy rule is among the cases of the conformance tests.
 */
import { describe, expect, it } from "vitest";
import { isKernelDefinition } from "../../src/dsl/index.ts";
import type { LaunchValues } from "../../src/runtime/arguments.ts";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import type { Tensor } from "../../src/runtime/index.ts";
import type { Launchable } from "../../src/runtime/specialize.ts";
import { cumulative, make, problemOf, type VariantCase } from "./attention-variants-cases.ts";
import { argumentsOf, exactResults, inputsOf, runOperators } from "./attention-variants-errors.ts";

/** By queries of so many keys delta is taken from the weights. */
const few = 64;

/** Notes delta [B, Hq, M] before and after the kernel that corrects it, if that is launched, and how many rows its blocks have. */
class WatchingDevice extends CpuDevice {
  noted: { readonly block: number; readonly deltas: readonly Promise<unknown>[] } | undefined;

  override launch(launched: Launchable, values: LaunchValues, options: any): void {
    const watched = isKernelDefinition(launched) && launched.name.startsWith("attention_backward_delta");
    const delta = () => {
      using part = (values.statistics as Tensor).slice(0, 1, 2);
      return part.read();
    };
    const before = watched && delta();
    super.launch(launched, values, options);
    if (before) this.noted = { block: options.constants.BLOCK_M, deltas: [before, delta()] };
  }
}

/** For each batch entry, the rows whose block has a query that sees at least one and at most `few` keys. */
function rowsToCorrect(c: VariantCase, block: number): boolean[] {
  const { term } = problemOf(c, {});
  const starts = c.documents ? cumulative(c.documents.queries) : [0];
  return Array.from({ length: c.batch }, (_, b) => {
    const seen = Array.from({ length: c.queries }, (_, m) =>
      Array.from({ length: c.keys }, (_, n) => term(b, 0, m, n)).reduce<number>(
        (k, t) => k + Number(t !== undefined),
        0,
      ),
    );
    const blockOf = (m: number) => {
      const document = starts.findLastIndex((start) => start <= m);
      return `${document} ${Math.floor((m - starts[document]!) / block)}`;
    };
    const corrected = new Set(seen.flatMap((count, m) => (count > 0 && count <= few ? [blockOf(m)] : [])));
    return seen.map((_, m) => corrected.has(blockOf(m)));
  }).flat();
}

const f16 = (change: Partial<VariantCase>): VariantCase => make({ dtype: "f16", magnitude: 2, ...change });

describe("delta", () => {
  it.each<[string, VariantCase, "all" | "some"]>([
    ["the first queries of a causal mask", f16({ queries: 150, keys: 150 }), "some"],
    ["queries of which the first see nothing", f16({ queries: 170, keys: 100 }), "some"],
    ["few keys in all", f16({ queries: 70, keys: few, causal: false, headDim: 40, valueDim: 24 }), "all"],
    ["a small window with sink tokens", f16({ queries: 150, keys: 150, window: [5, 0], sinkTokens: 3 }), "all"],
    ["a large window", f16({ queries: 150, keys: 180, window: [100, 0] }), "some"],
    [
      "documents",
      f16({ queries: 230, keys: 250, documents: { queries: [30, 1, 150, 20], keys: [90, 5, 140, 8] } }),
      "some",
    ],
    ["key lengths", f16({ batch: 3, queries: 70, keys: 130, causal: false, keyLengths: [120, 20, 0] }), "some"],
    ["learned sinks and a bias", f16({ queries: 40, keys: 40, sinks: true, bias: [false, true, true] }), "all"],
    ["piecewise, dropout, groups", f16({ queries: 120, keys: 120, threshold: 9, dropout: 0.4, queryHeads: 4 }), "some"],
  ])("%s", async (_, c, extent) => {
    const device = new WatchingDevice();
    const inputs = inputsOf(device, c);
    runOperators(c, inputs, argumentsOf(device, c, inputs));
    const { block, deltas } = device.noted!;
    const [before, after] = (await Promise.all(deltas)) as [Float32Array, Float32Array];
    const corrected = rowsToCorrect(c, block);
    expect(corrected.every(Boolean)).toBe(extent === "all");

    const { out, lse } = exactResults(c, inputs);
    let mended = 0;
    for (const [i, value] of after.entries()) {
      const [b, m] = [Math.floor(i / (c.queryHeads * c.queries)), i % c.queries];
      if (!corrected[b * c.queries + m]) {
        expect(value, `row ${i}`).toBe(before[i]);
        continue;
      }
      let [delta, size] = [0, 0];
      for (let e = 0; e < c.valueDim; e++) {
        const product = out![i * c.valueDim + e]! * inputs.dout.values[i * c.valueDim + e]!;
        delta += product;
        size += Math.abs(inputs.dout.values[i * c.valueDim + e]!);
      }
      // Weights are exact to a few units for each unit of the exponent; sums run over the channels and the keys.
      const largest = inputs.v.values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      const units =
        4 + 4 * Math.abs(Number.isFinite(lse![i]!) ? lse![i]! : 0) + c.valueDim + Math.min(c.keys, few + block);
      const bound = (2 ** -24 * units * size * largest) / (1 - (c.dropout ?? 0));
      expect(Math.abs(value - delta), `row ${i}`).toBeLessThanOrEqual(bound);
      if (Math.abs(before[i]! - delta) > bound) mended++;
    }
    expect(mended).toBeGreaterThan(0);
  });

  it.each([
    ["f32", make({ queries: 30, keys: 30 })],
    ["many keys, all seen", f16({ queries: 30, keys: few + 1, causal: false })],
  ])("is not computed again: %s", (_, c) => {
    const device = new WatchingDevice();
    const inputs = inputsOf(device, c);
    runOperators(c, inputs, argumentsOf(device, c, inputs));
    expect(device.noted).toBeUndefined();
  });
});
