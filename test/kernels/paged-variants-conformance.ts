/**
 * @file The conformance test of variants and of packed queries over paged caches: written once, instantiated for every back end. Against f64 over each
 * sequence's keys, element by element, under the project's rule (paged-errors.ts).
 */
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { attention, pagedAttention } from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { randomValues } from "../support/rounding.ts";
import { sizeOf } from "./attention-errors.ts";
import { expectWithinRule } from "./judge.ts";
import { type PagedCase, titleOf } from "./paged-cases.ts";
import { pagedErrorShares } from "./paged-errors.ts";
import { pagedVariantCases, randomPagedVariantCases } from "./paged-variants-cases.ts";

/** `every`: only each so many-th case, for devices that are slow. */
export function describePagedVariants(title: string, device: () => Device, { randomRuns = 40, every = 1 } = {}): void {
  const expectRight = async (c: PagedCase) => expectWithinRule(await pagedErrorShares(device(), c), c, 2);

  describe(`variants over paged caches on ${title}`, () => {
    const cases = pagedVariantCases.filter((_, i) => i % every === 0);
    it.each(cases.map((c) => [titleOf(c), c] as const))("%s", (_, c) => expectRight(c));

    it("holds for random variants and shapes", async () => {
      await fc.assert(fc.asyncProperty(randomPagedVariantCases, expectRight), { numRuns: randomRuns, seed: 7 });
    });

    const [SEQUENCES, HEADS, KEY_HEADS, PAGE, DIM] = [2, 6, 2, 16, 16];
    const integers = (...values: readonly number[]) =>
      device().tensor(Int32Array.from(values), { shape: [values.length], dtype: "i32" });
    /** Sequences of 300 and 170 keys in pages of 16, one after the other; page 0 belongs to none. */
    const [contexts, columns, pages] = [[300, 170], 20, 32] as const;
    const tables = contexts.map((context, b) =>
      Array.from({ length: columns }, (_, i) => (i < Math.ceil(context / PAGE) ? 1 + i + b * 19 : 0)),
    );
    const tableOf = (entries: readonly (readonly number[])[]) =>
      device().tensor(Int32Array.from(entries.flat()), { shape: [SEQUENCES, columns], dtype: "i32" });
    const random = (shape: readonly number[], seed: number) =>
      device().tensor(randomValues("f16", sizeOf(shape), seed), { shape, dtype: "f16" });
    const good = () => ({
      q: random([SEQUENCES, HEADS, DIM], 1),
      keyCache: random([pages, KEY_HEADS, PAGE, DIM], 2),
      valueCache: random([pages, KEY_HEADS, PAGE, DIM], 3),
      contextLengths: integers(...contexts),
      blockTables: tableOf(tables),
    });
    const bits = ({ out, lse }: { readonly out: Tensor; readonly lse?: Tensor }) =>
      Promise.all([out.readRaw(), lse!.readRaw()]);

    it("reads no page of which a window hides every tile", async () => {
      const [args, window] = [{ ...good(), splits: 2, returnLse: true }, [40, 0]] as const;
      const expected = await bits(pagedAttention({ ...args, window }));
      // No tile has more than 128 keys.
      const seen = contexts.map((context) => Math.floor((context - 1 - 40) / 128) * 128);
      expect(seen).toEqual([256, 128]);
      const poisoned = tables.map((row, b) =>
        row.map((page, i) => ((i + 1) * PAGE <= seen[b]! ? 1_000_000_000 : page)),
      );
      expect(await bits(pagedAttention({ ...args, window, blockTables: tableOf(poisoned) }))).toEqual(expected);
    });

    it("gives packed queries what it gives a chunk of each, the same bits twice, and writes where it is told", async () => {
      const [args, count] = [{ ...good(), splits: 2, returnLse: true, window: [60, 0], softcap: 8 }, 3] as const;
      const q = random([SEQUENCES * count, HEADS, DIM], 5);
      const chunk = pagedAttention({ ...args, q: q.reshape([SEQUENCES, count, HEADS, DIM]).permute([0, 2, 1, 3]) });
      const packed = { ...args, q, cumulativeLengths: { queries: integers(0, count, 2 * count) } };
      const byRows = (tensor: Tensor, ...channels: readonly number[]) =>
        tensor.reshape([SEQUENCES, count, HEADS, ...channels]).permute([0, 2, 1, ...channels.map(() => 3)]);
      const once = pagedAttention(packed);
      expect(await byRows(once.out, DIM).readRaw()).toEqual(await chunk.out.readRaw());
      expect(await byRows(once.lse!).readRaw()).toEqual(await chunk.lse!.readRaw());
      const out = device()
        .empty([HEADS, SEQUENCES * count, DIM], "f16")
        .permute([1, 0, 2]);
      expect(await bits(pagedAttention({ ...packed, out }))).toEqual(await bits(once));
    });

    it("needs one launch and no workspace where keys are in one part, with packed heads too", async () => {
      const { q, keyCache, ...given } = good();
      const args = { ...given, validate: false };
      const starts = { cumulativeLengths: { queries: integers(0, 1, 2) } };
      const calls = [
        () => pagedAttention({ ...args, q, keyCache, splits: 1 }),
        () => pagedAttention({ ...args, q, keyCache, splits: 1, ...starts }),
        () =>
          attention({
            q: q.reshape([SEQUENCES, HEADS, 1, DIM]),
            k: keyCache.slice(0, 0, 2),
            v: keyCache.slice(0, 2, 4),
            splits: 1,
          }),
      ];
      for (const call of calls) {
        using launched = vi.spyOn(device(), "launch");
        using made = vi.spyOn(device(), "empty");
        const { out } = call();
        expect(launched.mock.calls.length).toBe(1);
        expect(made.mock.results.map(({ value }) => value.size)).toEqual([out.size, out.size / DIM]);
      }
    });

    it("gives over pages what attention gives over tensors, to the bit", async () => {
      // A tensor of keys is a cache with one page a sequence.
      const [count, keys] = [2, 48];
      const [q, k, v] = [HEADS, KEY_HEADS, KEY_HEADS].map((heads, i) =>
        random([SEQUENCES, heads, i === 0 ? count : keys, DIM], i + 1),
      ) as [Tensor, Tensor, Tensor];
      const lengths = integers(keys, keys - 13);
      const sinks = random([HEADS], 4);
      const shared = { q, causal: true, window: [20, 0], softcap: 5, sinks, splits: 2, returnLse: true } as const;
      const blockTables = device().tensor(Int32Array.of(0, 1), { shape: [SEQUENCES, 1], dtype: "i32" });
      const pages = { keyCache: k, valueCache: v, contextLengths: lengths, blockTables };
      expect(await bits(pagedAttention({ ...shared, ...pages }))).toEqual(
        await bits(attention({ ...shared, k, v, keyLengths: lengths })),
      );
    });

    it("names the argument of a variant that is wrong", () => {
      const args = good();
      const wrong = (change: object, message: RegExp) =>
        expect(() => pagedAttention({ ...args, ...change })).toThrow(message);
      wrong({ window: [1] }, /pagedAttention: "window" must be \[left, right\]/);
      wrong({ sinkTokens: 4 }, /"sinkTokens" are those that a "window" would hide/);
      wrong({ softcap: 0 }, /"softcap" must be a finite number of at least .*, got 0/);
      wrong({ sinks: device().zeros([5], "f32") }, /"sinks" has shape \[5\], but must be \[Hq\]/);
      wrong({ alibiSlopes: device().zeros([6], "f16") }, /"alibiSlopes" is f16, but must be f32/);
      wrong({ prefixLengths: integers(1, 2), causal: false }, /"prefixLengths" .* needs "causal": true/);
      wrong({ prefixLengths: integers(1, 2, 3) }, /"prefixLengths" has shape \[3\], but must be \[B\]/);
      wrong({ bias: device().zeros([1, 6, 1, 300], "f32") }, /"bias" is of 300 keys, but there may be 320/);
      wrong({ bias: device().zeros([1, 3, 1, 320], "f32") }, /"bias" has shape \[1, 3, 1, 320\], but must be/);
      wrong({ keyLengths: integers(1, 2) }, /"keyLengths" is no argument .*: "contextLengths" say/);
      wrong({ dropout: { probability: 0.5, seed: 1, offset: 0 } }, /"dropout" is no argument/);
      wrong({ returnTotalAttention: true }, /"returnTotalAttention" is no argument/);
      const starts = integers(0, 1, 2);
      const packed = (change: object, message: RegExp) =>
        wrong({ cumulativeLengths: { queries: starts, ...change } }, message);
      packed({ keys: starts }, /"cumulativeLengths.keys" is no argument .*: "contextLengths" say/);
      packed({ quries: starts }, /there is no entry of cumulativeLengths "quries"; known are queries/);
      packed({ queries: undefined }, /"cumulativeLengths.queries" must be a tensor/);
      packed({ queries: integers(0, 2) }, /"cumulativeLengths.queries" has 2 entries, but must have 1 more than the 2/);
      wrong(
        { cumulativeLengths: { queries: starts }, q: device().zeros([2, 6, 1, 16], "f16") },
        /"q" has shape \[2, 6, 1, 16\], but must be \[T, Hq, D\]/,
      );
      wrong(
        { cumulativeLengths: { queries: starts }, bias: device().zeros([1, 6, 1, 320], "f32") },
        /"bias" and "cumulativeLengths" cannot be combined/,
      );
    });
  });
}
