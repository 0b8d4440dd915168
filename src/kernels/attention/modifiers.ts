/**
 * @file The arguments by which callers ask for variants of attention, and which modifiers and values they become. Modifiers are added in one order, so a
 * combination has one kernel: `causal` and `prefixLengths`, then `window` and `sinkTokens`; on the logits `softcap`, `alibiSlopes`, `bias`; `sinks`;
 * then what sequences there are.
 */
import type { Constants } from "../../dsl/index.ts";
import type { LaunchValues, Tensor } from "../../runtime/index.ts";
import type { NamesOf } from "../../support/index.ts";
import { type ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { type Integers, integersOf } from "../support/integers.ts";
import { withDocuments, withKeyLengths } from "./documents.ts";
import { type Checked, countsOf, startsOf } from "./lengths.ts";
import { largestShortSoftcap, withAlibi, withBias, withSoftcap } from "./logit-variants.ts";
import { withSinks } from "./sinks.ts";
import type { Variant } from "./variant.ts";
import { withPrefix, withWindow } from "./windows.ts";

/**
 * Variants of attention; any may be combined, but for what each says. The distance of key n from query m is N - M + m - n: the last query stands at the
 * last key. Of packed or padded sequences M, N, m and n are those of the sequence itself.
 */
export interface VariantArguments {
  /**
   * `[left, right]`: a query sees the keys at distances from -right to left, as FlashAttention's `window_size`; -1 is no bound. A model that calls its window
   * W (Mistral's `sliding_window`) has [W - 1, 0]. Another window compiles nothing anew. Default: no window.
   */
  readonly window?: readonly [left: number, right: number];
  /** The first so many keys are visible to the left of the window, too (StreamingLLM). Only with a `window` that has a left bound. Default 0. */
  readonly sinkTokens?: number;
  /**
   * i32 [B], or [documents] of packed sequences: keys below it are visible to all queries, the others causally (prefix-LM). A `window` still
   * bounds both. Only with `causal`.
   */
  readonly prefixLengths?: Integers;
  /** Logits become softcap · tanh(logit / softcap) (Gemma 2). A positive number. Default: none. */
  readonly softcap?: number;
  /** f32 [Hq]: slope · |distance| is subtracted from the logits (ALiBi); see the helper `alibiSlopes`. No gradient. */
  readonly alibiSlopes?: Tensor;
  /**
   * [B or 1, Hq or 1, M or 1, N], f16, bf16 or f32, any strides: is added to the logits, after `softcap` and `alibiSlopes`. -Infinity hides a key; finite
   * numbers of any size do not, if all keys of a query have them (docs/variants.md, "Large logits"). Not with `cumulativeLengths`.
   */
  readonly bias?: Tensor;
  /** [Hq], f16, bf16 or f32: for each head a logit that joins the sum of weights and has no value (GPT-OSS). `lse` has it. */
  readonly sinks?: Tensor;
  /**
   * i32 [B], from 0 to N: how many keys of each batch entry are real, as FlashAttention's `seqused_k`. The others are never read, and N is this
   * number: the last of the M queries stands at the last real key. Not with `cumulativeLengths`. Numbers of the host are checked, here and below.
   */
  readonly keyLengths?: Integers;
  /**
   * i32 [documents + 1] each, rising from 0: where documents begin that are packed along the third axes of tensors with B = 1, as FlashAttention's
   * `cu_seqlens`; may be one tensor twice. A query sees keys of its own document. Rows beyond the last document give 0. Documents may
   * be empty.
   */
  readonly cumulativeLengths?: { readonly queries: Integers; readonly keys: Integers };
  /**
   * Whether lengths that only the device knows are checked there, in a kernel before the others: the first wrong one is the error `ASSERT`. Unchecked wrong
   * ones give wrong results, of rows and keys that are there: nothing outside of the tensors is read or written. Default: on the backend "cpu".
   */
  readonly validate?: boolean;
}

export const variantNames: NamesOf<VariantArguments> = {
  window: true,
  sinkTokens: true,
  prefixLengths: true,
  softcap: true,
  alibiSlopes: true,
  bias: true,
  sinks: true,
  keyLengths: true,
  cumulativeLengths: true,
  validate: true,
};

/** Makes a variant of another one. */
export type Modifier = <C extends Constants>(variant: Variant<any, C>) => Variant<any, any>;

/** What variant arguments come to. */
export interface Modified extends Disposable {
  readonly modifiers: readonly Modifier[];
  readonly values: LaunchValues;
  readonly constants: Readonly<Record<string, boolean>>;
}

/** Whether to check on the device what only the device knows. @throws ArgumentError `ARGUMENT_VALUE`. */
export const shouldValidate = (check: ArgumentChecker, { validate }: { readonly validate?: boolean }): boolean =>
  check.flag("validate", validate ?? check.device.backend === "cpu");

/**
 * Checks the variant arguments of a call whose operands have bound B, Hq, M and N.
 * @throws ArgumentError
 */
export function modifiersOf(check: ArgumentChecker, args: VariantArguments & { readonly causal: boolean }): Modified {
  const parts = [prefix, window, softcap, alibi, bias, sinks, keyLengths, documents].flatMap(
    (part) => part(check, args) ?? [],
  );
  if (shouldValidate(check, args)) for (const { lengths = [] } of parts) for (const one of lengths) one.validate();
  return {
    modifiers: parts.map(({ modifier }) => modifier),
    values: Object.assign({}, ...parts.map(({ values = {} }) => values)),
    constants: Object.assign({}, ...parts.map(({ constants = {} }) => constants)),
    [Symbol.dispose]: () => {
      for (const { view } of parts) view?.dispose();
      check[Symbol.dispose]();
    },
  };
}

/** How many of the last keys of a sequence its `queries` may see: what the bound of a window on the left leaves; without one, as many as there can be. */
export function keysBehind(
  { values, constants }: Pick<Modified, "values"> & { readonly constants: Readonly<Record<string, unknown>> },
  queries: number,
): number {
  // The last query stands at the last key, so nothing lies ahead but keys of other queries.
  const all = 2 ** 31 - 1;
  return constants.WINDOW_LEFT === true ? Math.min(all, (values.windowLeft as number) + queries) : all;
}

/** How many of a sequence's `keys` its `queries` may see. */
export const keysWithinWindow = (modified: Parameters<typeof keysBehind>[0], queries: number, keys: number): number =>
  modified.constants.SINK_TOKENS === true ? keys : Math.min(keys, keysBehind(modified, queries));

type Part = (
  check: ArgumentChecker,
  args: VariantArguments & { readonly causal: boolean },
) =>
  | {
      readonly modifier: Modifier;
      readonly values?: LaunchValues;
      readonly constants?: Modified["constants"];
      /** What was made for the call. */
      readonly view?: Tensor;
      readonly lengths?: readonly Checked<unknown>[];
    }
  | undefined;

const prefix: Part = (check, { prefixLengths, causal, cumulativeLengths }) => {
  if (prefixLengths === undefined) return undefined;
  if (!causal)
    check.fail("ARGUMENT_VALUE", `"prefixLengths" says what is visible besides the past: it needs "causal": true`);
  const { tensor } = integersOf(check, "prefixLengths", prefixLengths, cumulativeLengths ? "documents" : "B");
  return tensor.size === 0 ? undefined : { modifier: withPrefix, values: { prefixLengths: tensor } };
};

const window: Part = (check, { window, sinkTokens = 0, causal, prefixLengths }) => {
  check.integer("sinkTokens", sinkTokens);
  if (window === undefined) {
    if (sinkTokens > 0)
      check.fail("ARGUMENT_VALUE", `"sinkTokens" are those that a "window" would hide: give a window`);
    return undefined;
  }
  if (!Array.isArray(window) || window.length !== 2)
    check.fail("ARGUMENT_VALUE", `"window" must be [left, right], got ${String(window)}`);
  for (const [i, bound] of window.entries()) {
    check.integer(`window[${i}]`, bound, -1);
    if (bound >= 2 ** 31 - 1)
      check.fail("ARGUMENT_VALUE", `"window[${i}]" must be below 2^31 - 1, got ${bound}; -1 is no bound`);
  }
  const [left, right] = window;
  if (sinkTokens > 0 && left === -1)
    check.fail(
      "ARGUMENT_VALUE",
      `"sinkTokens" are those that a "window" would hide on the left, but window[0] is -1, no bound`,
    );
  // Where nothing of the future is seen, a bound on it says nothing.
  const ahead = right !== -1 && !(causal && prefixLengths === undefined);
  if (left === -1 && !ahead) return undefined;
  return {
    modifier: withWindow,
    values: {
      windowLeft: Math.max(left, 0),
      windowRight: Math.max(right, 0),
      sinkTokens: Math.min(sinkTokens, 2 ** 31 - 1),
    },
    constants: { WINDOW_LEFT: left !== -1, WINDOW_RIGHT: ahead, SINK_TOKENS: sinkTokens > 0 },
  };
};

const softcap: Part = (check, { softcap }) =>
  softcap === undefined
    ? undefined
    : {
        modifier: withSoftcap,
        // So that neither it nor its reciprocal is denormal, which a device may take for 0.
        values: { softcap: check.number("softcap", softcap, { from: 2 ** -126, below: 2 ** 64 }) },
        constants: { LARGE_SOFTCAP: softcap > largestShortSoftcap },
      };

const alibi: Part = (check, { alibiSlopes }) =>
  alibiSlopes === undefined
    ? undefined
    : { modifier: withAlibi, values: { alibiSlopes: check.tensor("alibiSlopes", alibiSlopes, ["Hq"], ["f32"]) } };

/** @throws ArgumentError `ARGUMENT_VALUE`. */
export function refusePackedBias(
  check: ArgumentChecker,
  { bias, cumulativeLengths }: { readonly bias?: Tensor; readonly cumulativeLengths?: object },
): void {
  if (bias && cumulativeLengths)
    check.fail(
      "ARGUMENT_VALUE",
      `"bias" and "cumulativeLengths" cannot be combined: a bias over all packed rows would be mostly unused`,
    );
}

const bias: Part = (check, args) => {
  const { bias } = args;
  if (bias === undefined) return undefined;
  refusePackedBias(check, args);
  check.tensor("bias", bias, ["bias batch", "bias heads", "bias queries", "N"], floatDTypes);
  const full = ["B", "Hq", "M", "N"].map((name) => check.size(name));
  if (bias.shape.some((size, i) => size !== full[i] && (size !== 1 || i === 3)))
    check.fail(
      "ARGUMENT_SHAPE",
      `"bias" has shape [${bias.shape.join(", ")}], but must be [B or 1, Hq or 1, M or 1, N], here [${full.join(", ")}]`,
    );
  const view = bias.expand(full);
  return { modifier: withBias, values: { bias: view }, view };
};

const sinks: Part = (check, { sinks }) => {
  if (sinks === undefined) return undefined;
  check.tensor("sinks", sinks, ["Hq"], floatDTypes);
  return { modifier: withSinks };
};

const keyLengths: Part = (check, { keyLengths, cumulativeLengths }) => {
  if (keyLengths === undefined) return undefined;
  if (cumulativeLengths)
    check.fail(
      "ARGUMENT_VALUE",
      `"keyLengths" and "cumulativeLengths" cannot be combined: packed documents have their lengths already`,
    );
  const given = countsOf(check, "keyLengths", keyLengths, "B", check.size("N"));
  return { modifier: withKeyLengths, values: { keyLengths: given.tensor }, lengths: [given] };
};

const documents: Part = (check, { cumulativeLengths, prefixLengths }) => {
  if (cumulativeLengths === undefined) return undefined;
  check.names(cumulativeLengths, { queries: true, keys: true }, "entry of cumulativeLengths");
  if (check.size("B") !== 1)
    check.fail("ARGUMENT_SHAPE", `"cumulativeLengths" is of documents in one batch entry, but B is ${check.size("B")}`);
  const starts = (side: "queries" | "keys", rows: number) =>
    startsOf(check, `cumulativeLengths.${side}`, cumulativeLengths?.[side], "documents + 1", rows);
  const given = [starts("queries", check.size("M")), starts("keys", check.size("N"))] as const;
  const count = check.size("documents + 1") - 1;
  if (prefixLengths && check.size("documents") !== count)
    check.fail(
      "ARGUMENT_SHAPE",
      `"prefixLengths" has ${check.size("documents")} entries, but "cumulativeLengths" say ${count} documents`,
    );
  const [queries, keys] = given;
  const values = { queryStarts: queries.tensor, keyStarts: keys.tensor };
  return { modifier: withDocuments, values, lengths: given };
};
