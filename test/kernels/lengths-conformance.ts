/**
 * @file The conformance test of what operators make of lengths, starts of packed sequences and tables of pages, right and wrong ones: written once,
 * instantiated for every back end.
 */
import { describe, expect, it } from "vitest";
import { attention, attentionBackward, pagedAttention } from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { randomValues } from "../support/rounding.ts";
import { sizeOf } from "./attention-errors.ts";

const [ROWS, HEADS, KEY_HEADS, DIM] = [40, 6, 2, 16];
const [PAGES, PAGE] = [6, 8];
const most = 2 ** 31 - 1;

/** Starts that no sequences have. */
const wrongStarts = [
  [0, 30, 12, 40],
  [25, 10, 33, 36],
  [0, 1000, -7, 40],
  [most, -most - 1, most, -1],
  [40, 30, 20, 10],
];

export function describeLengths(title: string, device: () => Device, { backward = true } = {}): void {
  const random = (shape: readonly number[], seed: number) =>
    device().tensor(randomValues("f16", sizeOf(shape), seed), { shape, dtype: "f16" });
  const integers = (values: readonly number[], shape: readonly number[] = [values.length]) =>
    device().tensor(Int32Array.from(values), { shape, dtype: "i32" });
  const caches = () => ({
    keyCache: random([PAGES, KEY_HEADS, PAGE, DIM], 2),
    valueCache: random([PAGES, KEY_HEADS, PAGE, DIM], 3),
  });
  const contexts = [20, 3, 9];
  const rows = [[4, 1, 0], [2], [5, 3]];
  /** As `rows`; what is beyond a context names nothing. */
  const table = [4, 1, 0, 2, -1, 1000, 5, 3, most];
  const packed = () => ({ q: random([ROWS, HEADS, DIM], 1), ...caches(), returnLse: true }) as const;
  const dense = () =>
    ({
      q: random([1, HEADS, ROWS, DIM], 1),
      k: random([1, KEY_HEADS, ROWS, DIM], 2),
      v: random([1, KEY_HEADS, ROWS, DIM], 3),
    }) as const;
  const bits = ({ out, lse }: { readonly out: Tensor; readonly lse?: Tensor }) =>
    Promise.all([out.readRaw(), lse?.readRaw()]);

  describe(`lengths on ${title}`, () => {
    it("are numbers of the host as well as tensors", async () => {
      const starts = [0, 12, 12, 37];
      const onDevice = { contextLengths: integers(contexts), blockTables: integers(table, [3, 3]) };
      expect(
        await bits(
          pagedAttention({
            ...packed(),
            contextLengths: contexts,
            blockTables: rows,
            cumulativeLengths: { queries: Int32Array.from(starts) },
          }),
        ),
      ).toEqual(
        await bits(pagedAttention({ ...packed(), ...onDevice, cumulativeLengths: { queries: integers(starts) } })),
      );
      const documents = (given: ReturnType<typeof integers> | number[]) =>
        attention({ ...dense(), cumulativeLengths: { queries: given, keys: given } });
      expect(await bits(documents(starts))).toEqual(await bits(documents(integers(starts))));
      const padded = (keyLengths: ReturnType<typeof integers> | number[]) => attention({ ...dense(), keyLengths });
      expect(await bits(padded([17]))).toEqual(await bits(padded(integers([17]))));
    });

    it("of the host are checked, and the error says which is wrong", () => {
      const paged = (change: object, message: RegExp) =>
        expect(() => pagedAttention({ ...packed(), ...good, ...change })).toThrow(message);
      const good = { contextLengths: contexts, blockTables: rows, cumulativeLengths: { queries: [0, 12, 12, 37] } };
      const starts = (queries: readonly number[], message: RegExp) =>
        paged({ cumulativeLengths: { queries } }, message);
      starts([0, 12, 11, 37], /"cumulativeLengths.queries\[2\]" is 11, but must not be below the 12 before it/);
      starts([1, 12, 12, 37], /"cumulativeLengths.queries\[0\]" is 1, but must be 0/);
      starts([0, 12, 12, 41], /"cumulativeLengths.queries\[3\]" is 41, but there are 40 rows/);
      starts([0, 12, 37], /"cumulativeLengths.queries" has 3 entries, but must have 1 more than the 3/);
      starts([0, 0.5, 1, 1], /"cumulativeLengths.queries\[1\]" must be an integer/);
      paged({ contextLengths: [20, -1, 9] }, /"contextLengths\[1\]" is -1, but must be from 0 to 24/);
      paged({ contextLengths: [20, 3, 25] }, /"contextLengths\[2\]" is 25, but must be from 0 to 24/);
      paged({ contextLengths: [20, 3] }, /"contextLengths" has 2 entries, but B is 3 by "blockTables"/);
      paged({ blockTables: [[4, 1, 6], [2], [5, 3]] }, /"blockTables\[0\]\[2\]" is 6, but there are 6 pages/);
      paged({ blockTables: [[4, 1, 0], [-1], [5, 3]] }, /"blockTables\[1\]\[0\]" is -1, but there are 6 pages/);
      paged({ blockTables: [[4, 1, 0], [2], [5]] }, /"blockTables\[2\]" has 1 pages, too few for 9 keys/);
      paged({ blockTables: [[4, 1, 0], 2, [5]] }, /"blockTables\[1\]" must be an array of integers, got 2/);
      const wrong = (change: object, message: RegExp) =>
        expect(() => attention({ ...dense(), ...change })).toThrow(message);
      wrong({ keyLengths: [41] }, /"keyLengths\[0\]" is 41, but must be from 0 to 40/);
      wrong({ keyLengths: [1, 2] }, /"keyLengths" has 2 entries, but B is 1 by "q"/);
      wrong(
        { cumulativeLengths: { queries: [0, 40], keys: [0, 9, 8] } },
        /"cumulativeLengths.keys" has 3 entries, but documents \+ 1 is 2/,
      );
      wrong({ cumulativeLengths: { queries: [0, 40], keys: [0, 41] } }, /"cumulativeLengths.keys\[1\]" is 41/);
      wrong({ cumulativeLengths: { queries: [], keys: [] } }, /"cumulativeLengths.queries" is empty/);
    });

    it("that are wrong on the device lead nowhere outside of the tensors, and every row is written", async () => {
      const onDevice = () => ({
        contextLengths: integers([20, 1000, -9]),
        // Pages that are not there, also where a context says that there are keys.
        blockTables: integers([4, most, -1, PAGES, -most - 1, 0, 5, 3, 1], [3, 3]),
        validate: false,
      });
      for (const [i, starts] of wrongStarts.entries()) {
        // Of a larger tensor, whose other rows must stay as they are.
        const all = device().tensor(new Float32Array((ROWS + 2) * HEADS * DIM).fill(Number.NaN), {
          shape: [ROWS + 2, HEADS, DIM],
          dtype: "f16",
        });
        const out = all.slice(0, 1, ROWS + 1);
        const cumulativeLengths = { queries: integers(starts) };
        pagedAttention({ ...packed(), ...onDevice(), cumulativeLengths, splits: 1 + (i % 2), out });
        const values = (await all.read()) as Float32Array;
        expect(values.findIndex(Number.isFinite)).toBe(HEADS * DIM);
        expect(values.filter(Number.isFinite).length).toBe(ROWS * HEADS * DIM);
      }
      const starts = { queries: integers(wrongStarts[0]!), keys: integers(wrongStarts[1]!) };
      const documents = { ...dense(), cumulativeLengths: starts, validate: false };
      const { out, lse } = attention({ ...documents, returnLse: true });
      expect(((await out.read()) as Float32Array).every(Number.isFinite)).toBe(true);
      const { out: padded } = attention({ ...dense(), keyLengths: integers([1000]), validate: false });
      expect(((await padded.read()) as Float32Array).every(Number.isFinite)).toBe(true);
      if (!backward) return;
      const dout = random([1, HEADS, ROWS, DIM], 4);
      const gradients = attentionBackward({ ...documents, out, lse: lse!, dout });
      for (const gradient of [gradients.dq, gradients.dk, gradients.dv])
        expect(((await gradient.read()) as Float32Array).every(Number.isFinite)).toBe(true);
    });

    it("are checked on the device where that is asked for", async () => {
      const good = {
        contextLengths: integers(contexts),
        blockTables: integers(table, [3, 3]),
        cumulativeLengths: { queries: integers([0, 12, 12, 37]) },
        validate: true,
      };
      const run = async (change: object = {}) => {
        const { out } = pagedAttention({ ...packed(), ...good, ...change });
        await out.read();
      };
      const refuses = (change: object, message: RegExp) => expect(run(change)).rejects.toThrow(message);
      await run();
      // A window hides the first two pages of the first sequence, but for what sinks show.
      const hidden = integers([-1, -1, 0, 2, -1, -1, 5, 3, -1], [3, 3]);
      const single = { q: random([3, HEADS, DIM], 1), cumulativeLengths: undefined };
      await run({ ...single, blockTables: hidden, window: [3, 0] });
      await refuses({ ...single, blockTables: hidden, window: [3, 0], sinkTokens: 1 }, /"blockTables" must name pages/);
      await refuses({ blockTables: integers([4, 1, 6, 2, 0, 0, 5, 3, 0], [3, 3]) }, /"blockTables" must name pages/);
      await refuses({ contextLengths: integers([20, 3, 25]) }, /"contextLengths" must be from 0 to the number/);
      await refuses({ contextLengths: integers([20, -3, 5]) }, /"contextLengths" must be from 0 to the number/);
      for (const starts of wrongStarts)
        await refuses(
          { cumulativeLengths: { queries: integers(starts) } },
          /"cumulativeLengths.queries" must (begin with 0|not fall, nor end beyond)/,
        );
      const ofAttention = (change: object) => async () => {
        const { out } = attention({ ...dense(), ...change, validate: true });
        await out.read();
      };
      await ofAttention({ cumulativeLengths: { queries: integers([0, 40]), keys: integers([0, 3]) } })();
      await expect(
        ofAttention({ cumulativeLengths: { queries: integers([0, 40]), keys: integers([0, 41]) } })(),
      ).rejects.toThrow(/"cumulativeLengths.keys" must not fall, nor end beyond/);
      await expect(ofAttention({ keyLengths: integers([-1]) })()).rejects.toThrow(/"keyLengths" must be from 0/);
    });
  });
}
