/** @file The arguments by which callers ask for variants of attention, one by one and together, for calls that run nothing. */
import type { DType } from "../../src/ir/index.ts";
import type { Tensor } from "../../src/runtime/index.ts";

/** Keys of a sequence, and sequences of a call. */
export const KEYS = 4096;
export const BATCH = 1;

type Arguments = Readonly<Record<string, unknown>>;
export type MakeTensor = (shape: readonly number[], dtype: DType) => Tensor;

/** What arguments of variants depend on. */
interface Sizes {
  readonly heads: number;
  readonly queries: number;
  readonly dtype: DType;
  readonly causal: boolean;
}
type MakeArguments = (make: MakeTensor, sizes: Sizes) => Arguments;

const window: MakeArguments = () => ({ window: [512, 64], sinkTokens: 4 });
const prefix: MakeArguments = (make, { causal }) => (causal ? { prefixLengths: make([BATCH], "i32") } : {});
const softcap: MakeArguments = () => ({ softcap: 30 });
const alibi: MakeArguments = (make, { heads }) => ({ alibiSlopes: make([heads], "f32") });
const bias: MakeArguments = (make, { heads, queries, dtype }) => ({ bias: make([BATCH, heads, queries, KEYS], dtype) });
const rowBias: MakeArguments = (make, { dtype }) => ({ bias: make([BATCH, 1, 1, KEYS], dtype) });
const sinks: MakeArguments = (make, { heads, dtype }) => ({ sinks: make([heads], dtype) });
const keyLengths: MakeArguments = (make) => ({ keyLengths: make([BATCH], "i32") });
const documents: MakeArguments = (make) => ({
  cumulativeLengths: { queries: make([BATCH + 1], "i32"), keys: make([BATCH + 1], "i32") },
});
const packedQueries: MakeArguments = (make) => ({ cumulativeLengths: { queries: make([BATCH + 1], "i32") } });
const dropout: MakeArguments = () => ({ dropout: { probability: 0.1, seed: 1, offset: 0 } });
const wideDropout: MakeArguments = () => ({ dropout: { probability: 0.1, seed: 1, offset: 2 ** 40 } });
const together =
  (...all: readonly MakeArguments[]): MakeArguments =>
  (make, sizes) =>
    Object.assign({}, ...all.map((one) => one(make, sizes)));
const common = together(window, prefix, softcap, alibi, sinks);

/** Each argument alone, of attention over tensors. */
const single = { window, prefix, softcap, alibi, bias, rowBias, sinks, keyLengths, documents, dropout, wideDropout };

/** As many as go together: of one kind of sequence and of bias, with and without dropout. */
const combined = {
  padded: together(common, bias, keyLengths, dropout),
  undropped: together(common, bias, keyLengths),
  paddedRows: together(common, rowBias, keyLengths, dropout),
  packed: together(common, documents, dropout),
  packedWide: together(common, documents, wideDropout),
};

/** Over paged caches. */
const paged = {
  pagedBias: together(common, bias),
  packedQueries,
  packedQueriesFull: together(common, packedQueries),
};

export const variantArguments = { ...single, ...combined, ...paged } satisfies Record<string, MakeArguments>;
export type VariantName = keyof typeof variantArguments;
export const singleVariants = Object.keys(single) as readonly VariantName[];

/** Whether the queries of all sequences lie one after the other, [T, Hq, D]. */
export const packsQueries = (name: VariantName | undefined): boolean =>
  name === "packedQueries" || name === "packedQueriesFull";
