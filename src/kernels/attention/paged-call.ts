/**
 * @file Host side of attention over paged caches, for any variant: checks, the form of the queries, launches. The operators name the operands and choose the
 * variant; variants' arguments become modifiers as they do for attention over tensors (modifiers.ts).
 */
import type { LaunchValues, Tensor } from "../../runtime/index.ts";
import type { NamesOf } from "../../support/index.ts";
import { type ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import type { IntegerRows, Integers } from "../support/integers.ts";
import { forwardConfiguration, headConstants, traitsOfVariant } from "./configuration.ts";
import { withPackedQueries } from "./documents.ts";
import { type VariantFamily, variantFamily } from "./family.ts";
import { attentionForward } from "./forward.ts";
import { scaleBounds } from "./launch.ts";
import { launchSplit, shouldPack } from "./launch-split.ts";
import {
  keysWithinWindow,
  type Modified,
  modifiersOf,
  shouldValidate,
  type VariantArguments,
  variantNames,
} from "./modifiers.ts";
import { canPackHeads } from "./pack-heads.ts";
import { checkTables, contextsSay, type Sequences, sequencesOf } from "./paged-sequences.ts";
import { type RopeAngles, type Rotation, rotationOf } from "./rope-angles.ts";
import { attentionSplit } from "./split-kv.ts";
import { fillsTiles, pagedKeyBlock, pagedSplits, splitConfiguration } from "./splits.ts";
import { termsOf, type Variant } from "./variant.ts";

/** What the operators over paged caches have in common. M, N, m and n of variants are those of the sequence: N is its context length. */
export interface PagedArguments
  extends Omit<VariantArguments, "bias" | "keyLengths" | "cumulativeLengths" | "prefixLengths" | "validate"> {
  /**
   * `[blocks, Hk, block, E]`: pages of values, any strides, any block size; powers of two and multiples of 32 are read fastest. FlashAttention's
   * and vLLM's [blocks, block, Hk, E] is `cache.permute([0, 2, 1, 3])`; for vLLM's older layout see `fromVllmCache`.
   */
  readonly valueCache: Tensor;
  /** i32 [B]: how many keys each sequence has, those of the queries included. 0 for none. Numbers of the host are checked, here and below. */
  readonly contextLengths: Integers;
  /**
   * i32 [B, columns], or rows of the host: key n of a sequence lies in page blockTables[b, floor(n / block)]. Entries beyond the context are not read; those
   * of pages that a `window` hides must be pages of the cache that hold finite numbers (vLLM's null block), since a tile that the window cuts is read whole.
   */
  readonly blockTables: IntegerRows;
  /** i32 [B]: keys below it are visible to all queries, the others causally (prefix-LM). A `window` still bounds both. Only with `causal`. */
  readonly prefixLengths?: Integers;
  /**
   * Whether lengths, starts and tables that only the device knows are checked there, in kernels before the others: the first wrong one is the error `ASSERT`.
   * Unchecked wrong ones give wrong results, of rows and pages that are there: nothing outside of the tensors is read or written. Default: on the
   * backend "cpu".
   */
  readonly validate?: boolean;
  /**
   * The queries of all sequences one after the other, [T, Hq, D], as vLLM has them: those of sequence b are rows queries[b] to queries[b + 1], any number
   * of them, so that prefill and decoding go in one launch. i32 [B + 1], rising from 0. Rows beyond the last sequence give 0. Default: as many of each.
   */
  readonly cumulativeLengths?: { readonly queries: Integers };
  /**
   * [B or 1, Hq or 1, M or 1, N], N at least `maxContextLength`: is added to the logits, after `softcap` and `alibiSlopes`. -Infinity hides a key. Not with
   * `cumulativeLengths`.
   */
  readonly bias?: Tensor;
  /** Positive factor of the logits. Default 1 / sqrt(D). */
  readonly scale?: number;
  /**
   * Query m of M sees key n iff contextLength - M + m >= n, so a chunk of queries whose keys were appended last sees the past and itself. Without
   * effect on one query a sequence. Default true.
   */
  readonly causal?: boolean;
  /** Into how many parts each sequence's keys are split. Default: FlagAttention's rule. */
  readonly splits?: number;
  /**
   * The largest context length, if the host knows it: the default of `splits` depends on it, and `bias` and `rope` need no more keys. No context may be
   * longer. Default: what a row of `blockTables` can hold.
   */
  readonly maxContextLength?: number;
  /** Also give the natural-log normaliser. Default false. */
  readonly returnLse?: boolean;
  /** Write here: the shape of `out`, dtype of the queries, any strides. */
  readonly out?: Tensor;
}

const { keyLengths: _, ...ofVariants } = variantNames;
export const pagedNames: NamesOf<PagedArguments> = {
  ...ofVariants,
  valueCache: true,
  contextLengths: true,
  blockTables: true,
  scale: true,
  causal: true,
  splits: true,
  maxContextLength: true,
  returnLse: true,
  out: true,
};

/** Arguments of `attention` that have another name or no meaning here. */
export const refusedNames = {
  keyLengths: contextsSay,
  dropout: "caches are for inference",
  returnTotalAttention: "the keys of sequences of different lengths have no common axis",
} as const;

/** What the operators over paged caches give. */
export interface PagedAttentionOutput {
  /** [B, Hq, E], [B, Hq, M, E] or [T, Hq, E], as the queries; dtype of the queries. 0 for a query that sees no key. */
  readonly out: Tensor;
  /** f32, `out` without its last axis; -inf, or the sink, for a query that sees no key. Only with `returnLse`. */
  readonly lse?: Tensor;
}

/** The kernels of a variant over paged caches. */
const kernelsOf = (variant: Variant) => ({
  variant,
  split: attentionSplit(variant),
  forward: attentionForward(variant),
});
type PagedKernels = ReturnType<typeof kernelsOf>;

/** The kernels of a variant over paged caches, alone and modified. */
export const pagedFamily = (variant: Variant): VariantFamily<PagedKernels> => variantFamily(variant, kernelsOf);

/** A variant's operands: by parameter name, the argument's name and the tensor. */
type Named = Readonly<Record<string, readonly [argument: string, tensor: Tensor]>>;

export interface PagedCall {
  readonly check: ArgumentChecker;
  readonly family: VariantFamily<PagedKernels>;
  readonly queries: Named;
  readonly keys: Named;
  /** What else the variant reads. */
  readonly own?: LaunchValues;
  /** There where the variant is rotated. */
  readonly rope?: RopeAngles;
}

/** How queries lie: their axes, and as [batch, Hq, M, ...], which the kernels take. */
interface QueryForm {
  readonly axes: readonly string[];
  shape(size: (name: string) => number): readonly [batch: number, heads: number, queries: number];
  /** A view of queries, outputs or normalisers. */
  view(tensor: Tensor): Tensor;
}

const forms = {
  single: {
    axes: ["B", "Hq"],
    shape: (size) => [size("B"), size("Hq"), 1],
    view: (tensor) => tensor.reshape([...tensor.shape.slice(0, 2), 1, ...tensor.shape.slice(2)]),
  },
  chunk: {
    axes: ["B", "Hq", "M"],
    shape: (size) => [size("B"), size("Hq"), size("M")],
    view: (tensor) => tensor.reshape(tensor.shape),
  },
  packed: {
    axes: ["T", "Hq"],
    shape: (size) => [1, size("Hq"), size("T")],
    view(tensor) {
      using byHead = tensor.permute(tensor.shape.length === 3 ? [1, 0, 2] : [1, 0]);
      return byHead.reshape([1, ...byHead.shape]);
    },
  },
} as const satisfies Record<string, QueryForm>;

/** What a call asks for, checked. */
interface Problem {
  readonly form: QueryForm;
  readonly sequences: Sequences;
  readonly keyHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly pageSize: number;
}

/** Checks operands, caches and tables. @throws ArgumentError */
function checkOperands({ check, queries, keys }: PagedCall, args: PagedArguments): Problem {
  const { valueCache, cumulativeLengths } = args;
  const [[first, given]] = Object.values(queries) as [readonly [string, Tensor]];
  const form = cumulativeLengths !== undefined ? "packed" : given?.shape?.length === 3 ? "single" : "chunk";
  const { axes } = forms[form];
  const dtypes = () => (given?.dtype === undefined ? floatDTypes : [given.dtype]);
  check.tensor(first, given, [...axes, "D"], floatDTypes);
  for (const [name, tensor] of Object.values(queries)) check.tensor(name, tensor, [...axes, "D"], dtypes());
  for (const [name, tensor] of Object.values(keys))
    check.tensor(name, tensor, ["blocks", "Hk", "block", "D"], dtypes());
  check.tensor("valueCache", valueCache, ["blocks", "Hk", "block", "E"], dtypes());
  if (form === "single") check.bind("M", 1);

  const size = (name: string) => check.size(name);
  const [heads, keyHeads, headDim, valueDim, pageSize] = [size("Hq"), size("Hk"), size("D"), size("E"), size("block")];
  if (keyHeads === 0 ? heads !== 0 : heads % keyHeads !== 0)
    check.fail(
      "ARGUMENT_HEADS",
      `"${first}" has ${heads} heads, which is not a multiple of the ${keyHeads} heads of the caches`,
    );
  for (const [name, dim] of [
    [first, headDim],
    ["valueCache", valueDim],
  ] as const)
    if (dim < 1 || dim > 256) check.fail("ARGUMENT_HEAD_DIM", `"${name}" has head dim ${dim}; it must be 1 to 256`);
  if (pageSize < 1)
    check.fail("ARGUMENT_SHAPE", `"valueCache" has pages of ${pageSize} keys; they must hold at least 1`);
  const sequences = sequencesOf(check, args);
  return { form: forms[form], keyHeads, headDim, valueDim, pageSize, sequences };
}

/** Checks, launches, and gives results in the form of the queries. @throws ArgumentError */
export function runPaged(call: PagedCall, args: PagedArguments): PagedAttentionOutput {
  const { check, family, rope } = call;
  const problem = checkOperands(call, args);
  const { headDim, valueDim, sequences } = problem;
  const { longest } = sequences;
  const { cumulativeLengths, causal = true, returnLse = false, splits } = args;
  check.flag("causal", causal);
  check.flag("returnLse", returnLse);
  const { cumulativeLengths: _, ...variants } = args;
  using modified = modifiersOf(check, { ...variants, causal });
  const tables = checkTables(check, sequences, modified);
  if (args.bias && check.size("N") < longest)
    check.fail("ARGUMENT_SHAPE", `"bias" is of ${check.size("N")} keys, but there may be ${longest}`);
  const kernels = family.with([...modified.modifiers, ...(cumulativeLengths ? [withPackedQueries] : [])]);
  const rotation = "rope" in call ? rotationOf(check, rope!, termsOf(kernels.variant).length, longest) : undefined;
  const scale = check.number("scale", args.scale ?? headDim ** -0.5, scaleBounds);
  if (splits !== undefined) check.integer("splits", splits, 1);

  const [[, { shape, dtype }]] = Object.values(call.queries) as [readonly [string, Tensor]];
  const rows = shape.slice(0, -1);
  const out = check.output("out", args.out, [...rows, valueDim], dtype);
  const lse = check.device.empty(rows, "f32");
  if (shouldValidate(check, args)) for (const one of [...sequences.lengths, tables]) one.validate();
  if (lse.size > 0) launch(call, args, { problem, kernels, modified, rotation, scale, causal, out, lse });
  if (returnLse) return { out, lse };
  lse.dispose();
  return { out };
}

interface Launch {
  readonly problem: Problem;
  readonly kernels: PagedKernels;
  readonly modified: Modified;
  readonly rotation: Rotation | undefined;
  readonly scale: number;
  readonly causal: boolean;
  readonly out: Tensor;
  readonly lse: Tensor;
}

/** Enqueues the kernels. */
function launch({ check, queries, keys, own }: PagedCall, args: PagedArguments, launch: Launch): void {
  const { problem, kernels, modified, rotation, scale, causal, out, lse } = launch;
  const { form, sequences, keyHeads, headDim, valueDim, pageSize } = problem;
  const { contextLengths, blockTables, queryStarts } = sequences;
  const { valueCache: v, cumulativeLengths, sinks } = args;
  const { device } = check;
  const [batch, heads, count] = form.shape((name) => check.size(name));
  // How many each of the packed sequences has only the device knows.
  const queriesEach = cumulativeLengths ? Math.ceil(count / Math.max(1, sequences.count)) : count;
  const packable = canPackHeads(kernels.variant);
  const packed = cumulativeLengths ? packable && heads > keyHeads : shouldPack(packable, [0, heads, count], keyHeads);
  const keysEach = keysWithinWindow(modified, queriesEach, sequences.longest);
  const shapeEach = { queryShape: [sequences.count, heads, queriesEach, headDim], keyHeads, pageSize } as const;
  const splits = args.splits ?? pagedSplits(device.backend, { ...shapeEach, keys: keysEach, packed });

  const views = Object.entries(queries).map(([parameter, [, tensor]]) => [parameter, form.view(tensor)] as const);
  using outView = form.view(out);
  using lseView = form.view(lse);
  const values = {
    ...Object.fromEntries(views),
    ...Object.fromEntries(Object.entries(keys).map(([parameter, [, tensor]]) => [parameter, tensor])),
    ...own,
    ...modified.values,
    ...rotation?.values,
    ...(sinks && { sinks }),
    ...(queryStarts && { queryStarts: queryStarts.tensor }),
    v,
    contextLengths: contextLengths.tensor,
    blockTables: blockTables.tensor,
    scale,
  };
  const constants = {
    ...headConstants(headDim, valueDim),
    ...modified.constants,
    ...rotation?.constants,
    PAGE_SIZE: pageSize,
    CAUSAL: causal && (cumulativeLengths !== undefined || count > 1),
  };
  const blocksFor = {
    backend: device.backend,
    dtype: out.dtype,
    headDim,
    valueDim,
    ...traitsOfVariant(kernels.variant),
  };
  if (splits === 1 && !packed && fillsTiles(queriesEach)) {
    const blocks = forwardConfiguration(blocksFor, queriesEach);
    const BLOCK_N = pagedKeyBlock(blocks.BLOCK_N, pageSize);
    const options = { constants: { ...blocks, ...constants, BLOCK_N } };
    device.launch(kernels.forward, { ...values, out: outView, lse: lseView }, options);
  } else {
    const BLOCK_N = pagedKeyBlock(splitConfiguration(blocksFor, 1).BLOCK_N, pageSize);
    const queryShape = [batch, heads, count, headDim] as const;
    const shapes = { queryShape, queriesEach, keyHeads, problem: blocksFor };
    const call = { device, kernels, values, constants: { ...constants, BLOCK_N }, ...shapes };
    launchSplit({ ...call, splits, packed }, outView, lseView);
  }
  for (const [, view] of views) view.dispose();
}
