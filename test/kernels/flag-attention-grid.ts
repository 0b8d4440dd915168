/**
 * @file The grids of FlagAttention's own tests (tests/flag_attn of its repository) as data: flash attention forward, backward and with its
 * auxiliary outputs, split-KV, dropout, PiecewiseAttention, paged attention. One *unit* here is one computation that covers several of its
 * tests, since forward, backward and auxiliary outputs of one problem are judged together, as are both orders of axes in memory.
 */
import { attention, type FloatDType } from "../../src/kernels/index.ts";
import type { Device } from "../../src/runtime/index.ts";
import { make, titleOf } from "./attention-backward-cases.ts";
import { type AttentionProblem, errorShares, type JudgeOptions } from "./attention-errors.ts";
import { makePagedCase, titleOf as titleOfPaged } from "./paged-cases.ts";
import { pagedErrorShares } from "./paged-errors.ts";

export const gridFamilies = ["flash", "split-KV", "dropout", "dropout mask", "piecewise", "paged"] as const;
export type GridFamily = (typeof gridFamilies)[number];

/**
 * How large. `full`: lengths as they are, one key head judged; of 16 or 32 problems that differ in magnitude, memory order and probability of
 * dropout alone, one, in rotation. `scaled` and `small`: every unit, lengths divided (with the remainder added, so that what no tile divides
 * stays so), the first and the last key head judged.
 */
export const gridSizes = { full: 1, scaled: 8, small: 32 } as const;
export type GridSizes = keyof typeof gridSizes;

export interface GridUnit {
  readonly family: GridFamily;
  readonly title: string;
  /** How many of FlagAttention's tests it stands for. */
  readonly cells: number;
  /** What differs from FlagAttention's sizes; undefined where nothing does. */
  readonly scaled?: string;
  /** Errors as shares of what is allowed, by the result's name: at most 1 is right. */
  readonly run: (device: Device) => Promise<Record<string, number>>;
}

type Shape = readonly [batch: number, queryHeads: number, keyHeads: number, queries: number, keys: number, dim: number];

/** Tested forward, backward and, without groups, with auxiliary outputs; but for the exceptions below. */
const flashShapes: readonly Shape[] = [
  [2, 4, 4, 512, 612, 128],
  [2, 4, 4, 1024, 1034, 64],
  [2, 4, 4, 2048, 2048, 32],
  [2, 4, 4, 4096, 4096, 16],
  [2, 4, 4, 4001, 4001, 32],
  [2, 4, 4, 4001, 4096, 64],
  [2, 4, 4, 4096, 4001, 128],
  [1, 2, 2, 8192, 8202, 16],
  [1, 2, 2, 8192, 8192, 32],
  [2, 4, 4, 10006, 10, 128],
  [2, 4, 2, 512, 612, 128],
  [2, 4, 1, 1024, 1034, 64],
  [2, 4, 2, 2048, 2048, 32],
  [2, 4, 1, 4096, 4096, 16],
  [2, 4, 2, 4001, 4001, 32],
  [2, 4, 1, 4001, 4096, 64],
  [2, 4, 2, 4096, 4001, 128],
  [1, 2, 1, 8192, 8202, 16],
  [1, 2, 1, 8192, 8192, 32],
  [2, 4, 2, 10006, 10, 128],
];
/** Forward, these stand in the place of 4096 x 4001. */
const forwardOnly: readonly Shape[] = [
  [2, 4, 4, 4096, 4000, 128],
  [2, 4, 2, 4096, 4000, 128],
];
const splitShapes: readonly Shape[] = [
  [2, 4, 4, 1, 612, 128],
  [2, 4, 4, 1, 1034, 64],
  [2, 4, 4, 1, 2048, 32],
  [2, 4, 4, 1, 4096, 16],
  [2, 4, 4, 1, 4001, 32],
  [2, 4, 4, 1, 4096, 64],
  [2, 4, 4, 2, 4000, 128],
  [1, 2, 2, 4, 8202, 16],
  [1, 2, 2, 1, 8192, 32],
  [2, 4, 2, 1, 612, 128],
  [2, 4, 1, 1, 1034, 64],
  [2, 4, 2, 1, 2048, 32],
  [2, 4, 1, 1, 4096, 16],
  [2, 4, 2, 1, 4001, 32],
  [2, 4, 1, 1, 4096, 64],
  [2, 4, 2, 2, 4000, 128],
  [1, 2, 1, 4, 8202, 16],
  [1, 2, 1, 1, 8192, 32],
];
const dropoutShapes: readonly Shape[] = [...flashShapes.slice(0, 6), forwardOnly[0]!, ...flashShapes.slice(7, 9)];
const piecewiseShapes: readonly Shape[] = [
  [2, 4, 4, 512, 612, 128],
  [2, 4, 4, 1024, 1034, 64],
  [2, 4, 4, 2048, 2048, 32],
  [2, 4, 4, 4096, 4096, 16],
  [2, 4, 4, 4096, 4001, 16],
  [1, 2, 2, 8192, 8192, 16],
  [1, 2, 2, 8192, 8192, 32],
  [1, 2, 2, 8192, 3867, 32],
];

/** Every combination of one value of each list. */
function combinations<T extends object>(lists: { readonly [K in keyof T]: readonly T[K][] }): T[] {
  return Object.entries<readonly unknown[]>(lists).reduce<object[]>(
    (found, [name, values]) => found.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  ) as T[];
}

const causals = [true, false] as const;
const dtypes = ["f16", "bf16"] as const;
const orders = ["BHTD", "BTHD"] as const;

/** Lengths of a few queries or keys are not what makes a problem large. */
const shrink = (length: number, divisor: number): number =>
  length <= 16 ? length : Math.floor(length / divisor) + (length % divisor);

class Grid {
  readonly units: GridUnit[] = [];
  readonly #divisor: number;

  constructor(sizes: GridSizes) {
    this.#divisor = gridSizes[sizes];
  }

  /** All, or at own sizes the one whose turn it is. */
  #inRotation<T>(choices: readonly T[], turn: number): readonly T[] {
    return this.#divisor === 1 ? [choices[turn % choices.length]!] : choices;
  }

  /** Units of one shape, dtype and mask; `cells` of each memory order. */
  attention(
    family: GridFamily,
    [batch, queryHeads, keyHeads, queries, keys, headDim]: Shape,
    choices: readonly Partial<AttentionProblem>[],
    { cells, thresholdOf, ...options }: JudgeOptions & { cells: number; thresholdOf?: typeof piecewiseThreshold },
  ): void {
    // A few queries cost little at any number of keys.
    const divisor = queries <= 16 ? 1 : this.#divisor;
    const [m, n] = [shrink(queries, divisor), shrink(keys, divisor)];
    const heads = batch * keyHeads;
    // Masks and dtypes are four units a shape: magnitudes and orders turn in other steps, so that each meets each.
    const start = this.units.length;
    for (const choice of this.#inRotation(choices, start + Math.floor(start / 4))) {
      const index = this.units.length;
      const chosen = this.#inRotation(orders, Math.floor(start / 2) + Math.floor(start / 16));
      const judgedHeads = this.#divisor === 1 ? [index % heads] : [0, heads - 1];
      const threshold = thresholdOf && { threshold: thresholdOf(m, n) };
      const problem = make({ batch, queryHeads, keyHeads, queries: m, keys: n, headDim, ...threshold, ...choice });
      this.units.push({
        family,
        title: `${titleOf(problem)} ${chosen.join(" and ")}`,
        cells: cells * chosen.length,
        ...(divisor > 1 && { scaled: `lengths / ${divisor}` }),
        run: (device) => {
          // The interpreter's own choice is never to split.
          const splits = family === "split-KV" && device.backend === "cpu" ? { splits: 3 } : {};
          return errorShares(device, { ...problem, ...splits }, { ...options, orders: chosen, judgedHeads });
        },
      });
    }
  }

  /** FlagAttention's test of dropout alone: the share of dropped weights is within 1 % of the probability. */
  dropoutMask([batch, heads, , queries, keys]: Shape, probability: number): void {
    const [m, n] = [shrink(queries, this.#divisor), shrink(keys, this.#divisor)];
    this.units.push({
      family: "dropout mask",
      title: `B${batch} H${heads} ${m}x${n} probability ${probability}`,
      cells: 1,
      ...(this.#divisor > 1 && { scaled: `lengths / ${this.#divisor}` }),
      run: async (device) => {
        using zeros = device.zeros([batch, heads, m, 1], "f32");
        using k = device.zeros([batch, heads, n, 1], "f32");
        using v = device.tensor(new Float32Array(batch * heads * n).fill(1), { shape: k.shape, dtype: "f32" });
        const dropout = { probability, seed: 123456789, offset: 123456789123456789n };
        // With equal logits and values of 1 the output is the share that was kept, over that which should be.
        using out = attention({ q: zeros, k, v, dropout }).out;
        const kept = ((await out.read()) as Float32Array).reduce((sum, x) => sum + x, 0) / (batch * heads * m);
        const dropped = 1 - kept * (1 - probability);
        // Small samples vary more: five standard deviations of a binomial distribution.
        const deviation = Math.sqrt((probability * (1 - probability)) / (batch * heads * m * n));
        return { dropped: Math.abs(dropped - probability) / Math.max(0.01 * probability, 5 * deviation) };
      },
    });
  }

  paged(
    sequences: number,
    heads: number,
    group: number,
    { headDim, pageSize, length, splits }: { headDim: number; pageSize: number; length: number; splits?: number },
  ): void {
    const small = heads < 64;
    const queryHeads = small || (this.#divisor === 1 && sequences === 1) ? heads : 8;
    const count = this.#divisor === 1 ? sequences : Math.min(sequences, 4);
    const longest = shrink(length, small ? 1 : this.#divisor);
    const contexts = Array.from({ length: count }, (_, i) => (i === 0 ? longest : 1 + ((i * 7919) % longest)));
    const problem = makePagedCase({
      dtype: "f16",
      queryHeads,
      keyHeads: queryHeads / group,
      headDim,
      pageSize,
      contexts,
      splits,
      // The standard deviation of FlagAttention's numbers, uniform between ± D^-1/2.
      magnitude: (3 * headDim) ** -0.5,
    });
    const changes = [
      queryHeads === heads ? [] : [`heads ${heads} to ${queryHeads}`],
      count === sequences ? [] : [`sequences ${sequences} to ${count}`],
      longest === length ? [] : [`lengths / ${this.#divisor}`],
    ].flat();
    this.units.push({
      family: "paged",
      title: titleOfPaged({ ...problem, contexts: [longest] }).replace("contexts", `${count} contexts up to`),
      cells: 1,
      ...(changes.length > 0 && { scaled: changes.join(", ") }),
      run: (device) => pagedErrorShares(device, problem),
    });
  }
}

const piecewiseThreshold = (queries: number, keys: number): number =>
  queries <= keys ? Math.floor(queries / 2) : queries - Math.floor(keys / 2);

/** All units of all grids at these sizes. */
export function gridUnits(sizes: GridSizes): readonly GridUnit[] {
  const grid = new Grid(sizes);
  const each = (
    shapes: readonly Shape[],
    add: (shape: Shape, choice: { causal: boolean; dtype: FloatDType }) => void,
  ): void => {
    for (const shape of shapes)
      for (const choice of combinations({ causal: causals, dtype: dtypes })) add(shape, choice);
  };
  const magnitudes = (choice: object, values: readonly number[]) =>
    values.map((magnitude) => ({ ...choice, magnitude }));

  each(flashShapes, (shape, choice) => {
    const [, queryHeads, keyHeads, queries, keys] = shape;
    const forward = keys === 10 || (queries === 4096 && keys === 4001) ? 0 : 1;
    const auxiliary = !choice.causal && queryHeads === keyHeads && keys !== 10 ? 1 : 0;
    grid.attention("flash", shape, magnitudes(choice, [1, 2, 3, 4]), { cells: 1 + forward + auxiliary });
  });
  each(forwardOnly, (shape, choice) =>
    grid.attention("flash", shape, magnitudes(choice, [1, 2, 3, 4]), { cells: 1, gradients: false }),
  );
  each(splitShapes, (shape, choice) =>
    grid.attention("split-KV", shape, magnitudes(choice, [10]), { cells: 1, gradients: false }),
  );
  each(dropoutShapes, (shape, choice) => {
    // Forward and backward. Magnitude 1 counts in 32 bits, 2 in 64, which the reference cannot follow at own sizes.
    const offset = sizes === "full" ? 123456n : 123456789123456789n;
    const drops = (magnitude: number) => [0.5, 0.8].map((dropout) => ({ ...choice, dropout, magnitude }));
    if (sizes === "full") return grid.attention("dropout", shape, [1, 2].flatMap(drops), { cells: 2 });
    grid.attention("dropout", shape, drops(1), { cells: 2 });
    grid.attention("dropout", shape, drops(2), { cells: 2, offset });
  });
  for (const shape of dropoutShapes) for (const probability of [0.5, 0.8]) grid.dropoutMask(shape, probability);
  each(piecewiseShapes, (shape, choice) =>
    grid.attention("piecewise", shape, magnitudes(choice, [1, 2, 3, 4]), {
      cells: 2,
      thresholdOf: piecewiseThreshold,
    }),
  );
  for (const { sequences, group, ...rest } of combinations({
    sequences: [1, 32],
    group: [1, 8],
    headDim: [64, 128],
    pageSize: [16, 128, 256],
    length: [512, 4096],
  }))
    grid.paged(sequences, 64, group, rest);
  for (const { sequences, group, ...rest } of combinations({
    sequences: [1, 16],
    group: [1, 8],
    headDim: [32, 64],
    splits: [1, 2, 3, 4, 5, 6, 7, 8],
  }))
    grid.paged(sequences, 64, group, { pageSize: 16, length: 2048, ...rest });
  grid.paged(1, 12, 1, { headDim: 64, pageSize: 16, length: 2 });
  grid.paged(16, 64, 8, { headDim: 32, pageSize: 16, length: 2048, splits: 2 });
  grid.paged(16, 64, 1, { headDim: 64, pageSize: 16, length: 2048, splits: 6 });
  return grid.units;
}
