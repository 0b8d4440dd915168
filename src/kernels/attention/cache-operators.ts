/**
 * @file Host operators on paged caches: `appendToCache`, and the converters `fromVllmCache` and `toVllmCache`.
 *
 * The attention operators read caches [blocks, Hk, block, D] of any strides, so these layouts need no converter:
 * - FlagAttention: keys and values [blocks, Hk, block, D], as it is;
 * - FlashAttention, and vLLM with it: [blocks, block, Hk, D], by `cache.permute([0, 2, 1, 3])`.
 *
 * vLLM's older layout, keys [blocks, Hk, D / x, block, x] with x = 16 bytes, and values [blocks, Hk, D, block], is not strided in that way.
 */
import type { DType } from "../../ir/index.ts";
import type { Tensor } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { type Integers, integersOf } from "../support/integers.ts";
import { appendToCacheKernel, checkSlotsKernel, copyPagesKernel } from "./cache-kernels.ts";
import { shouldValidate } from "./modifiers.ts";

/** Arguments of `appendToCache`. */
export interface AppendToCacheArguments {
  /** [T, Hk, D], f16, bf16 or f32: keys, or values, of T tokens; any strides. */
  readonly rows: Tensor;
  /**
   * T of them: where each row goes, page · block + place within the page; rows with negative ones are left out (vLLM's -1, padding). No two alike.
   * Numbers of the host are checked. Of an i32 tensor [T] only the device knows the values: unchecked, rows whose slots lie beyond the cache are left out, too.
   */
  readonly slots: Integers;
  /** [blocks, Hk, block, D], dtype of `rows`, any strides. Written in place. */
  readonly cache: Tensor;
  /** Whether slots that only the device knows are checked there, before anything is written; a wrong one is the error `ASSERT`. Default: on the backend "cpu". */
  readonly validate?: boolean;
}

/**
 * Writes keys or values of new tokens into their places in a paged cache (elsewhere called `reshape_and_cache`). Enqueues and returns at once.
 * @throws ArgumentError `ARGUMENT_MISSING`, `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`.
 */
export function appendToCache(args: AppendToCacheArguments): void {
  using check = ArgumentChecker.of("appendToCache", args, { rows: true, slots: true, cache: true, validate: true });
  const { rows, slots, cache } = args;
  check.tensor("rows", rows, ["T", "Hk", "D"], floatDTypes);
  check.tensor("cache", cache, ["blocks", "Hk", "block", "D"], [rows.dtype]);
  const { tensor: places, values } = integersOf(check, "slots", slots, "T", slotRule(check));
  const validate = shouldValidate(check, args) && values === undefined;
  if (rows.size === 0) return;
  if (cache.size === 0) check.fail("ARGUMENT_SHAPE", `"cache" has shape [${cache.shape.join(", ")}]: it has no room`);
  const last = Math.min(check.size("blocks") * check.size("block"), 2 ** 31) - 1;
  if (validate) check.device.launch(checkSlotsKernel, { slots: places, last });
  const constants = {
    PAGE_SIZE: check.size("block"),
    BLOCK_HEADS: Math.min(8, nextPowerOfTwo(check.size("Hk"))),
    WIDTH: nextPowerOfTwo(check.size("D")),
  };
  check.device.launch(appendToCacheKernel, { rows, slots: places, cache }, { constants });
}

/** What slots of the host must be: in the cache, and no two alike. @throws ArgumentError `ARGUMENT_VALUE`. */
function slotRule(check: ArgumentChecker) {
  const count = check.size("blocks") * check.size("block");
  const taken = new Map<number, number>();
  return (slot: number, row: number): void => {
    if (slot < 0) return;
    if (slot >= count)
      check.fail("ARGUMENT_VALUE", `"slots[${row}]" is ${slot}, but "cache" has ${count} slots; -1 leaves a row out`);
    if (taken.has(slot))
      check.fail("ARGUMENT_VALUE", `"slots[${taken.get(slot)}]" and "slots[${row}]" are both ${slot}`);
    taken.set(slot, row);
  };
}

/** Keys and values of a paged cache. */
export interface CachePair {
  readonly keyCache: Tensor;
  readonly valueCache: Tensor;
}

/** Bytes of a piece of a key in vLLM's layout. */
const pieceBytes = 16;
const pieceOf = (dtype: DType): number => pieceBytes / (dtype === "f32" ? 4 : 2);

/**
 * Copies caches from vLLM's layout, keys [blocks, Hk, D / x, block, x] and values [blocks, Hk, E, block], x = 16 bytes of elements, to new ones
 * [blocks, Hk, block, D] and [blocks, Hk, block, E]. Enqueues and returns at once.
 * @throws ArgumentError `ARGUMENT_MISSING`, `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`.
 */
export function fromVllmCache(args: CachePair): CachePair {
  const check = ArgumentChecker.of("fromVllmCache", args, { keyCache: true, valueCache: true });
  const { keyCache, valueCache } = args;
  const piece = typeof keyCache?.dtype === "string" ? pieceOf(keyCache.dtype) : "x";
  check.tensor("keyCache", keyCache, ["blocks", "Hk", "D/x", "block", piece], floatDTypes);
  check.tensor("valueCache", valueCache, ["blocks", "Hk", "E", "block"], [keyCache.dtype]);
  const { device } = check;
  const [blocks, heads, chunks, size, width] = keyCache.shape as [number, number, number, number, number];
  const keys = device.empty([blocks, heads, size, chunks * width], keyCache.dtype);
  const values = device.empty([blocks, heads, size, valueCache.shape[2]!], keyCache.dtype);
  using keysFrom = keyCache.permute([0, 1, 3, 2, 4]);
  using keysTo = keys.reshape([blocks, heads, size, chunks, width]);
  using valuesFrom = valueCache.permute([0, 1, 3, 2]);
  copyPages(keysFrom, keysTo);
  copyValues(valuesFrom, values);
  return { keyCache: keys, valueCache: values };
}

/**
 * Copies caches [blocks, Hk, block, D] and [blocks, Hk, block, E], any strides, D a multiple of x, to new ones in vLLM's layout: the reverse of
 * `fromVllmCache`.
 * @throws ArgumentError as `fromVllmCache` does.
 */
export function toVllmCache(args: CachePair): CachePair {
  const check = ArgumentChecker.of("toVllmCache", args, { keyCache: true, valueCache: true });
  const { keyCache, valueCache } = args;
  check.tensor("keyCache", keyCache, ["blocks", "Hk", "block", "D"], floatDTypes);
  check.tensor("valueCache", valueCache, ["blocks", "Hk", "block", "E"], [keyCache.dtype]);
  const { device } = check;
  const width = pieceOf(keyCache.dtype);
  const [blocks, heads, size, dim] = keyCache.shape as [number, number, number, number];
  if (dim % width !== 0)
    check.fail(
      "ARGUMENT_SHAPE",
      `"keyCache" has head dim ${dim}, but must have a multiple of ${width} in ${keyCache.dtype}`,
    );
  const keys = device.empty([blocks, heads, dim / width, size, width], keyCache.dtype);
  const values = device.empty([blocks, heads, valueCache.shape[3]!, size], keyCache.dtype);
  using keysFrom = keyCache.reshape([blocks, heads, size, dim / width, width]);
  using keysTo = keys.permute([0, 1, 3, 2, 4]);
  using valuesTo = values.permute([0, 1, 3, 2]);
  copyPages(keysFrom, keysTo);
  copyValues(valueCache, valuesTo);
  return { keyCache: keys, valueCache: values };
}

/** Copies pages [blocks, Hk, block, E], a key being one piece. */
function copyValues(from: Tensor, to: Tensor): void {
  const [blocks, heads, size, dim] = from.shape as [number, number, number, number];
  const pieces = [blocks, heads, size, 1, dim];
  using wholeFrom = from.reshape(pieces);
  using wholeTo = to.reshape(pieces);
  copyPages(wholeFrom, wholeTo);
}

/** Elements of a tile of pages. */
const tileElements = 2048;

/** Enqueues a copy between strided tensors of shape [blocks, Hk, block, pieces, piece]. */
function copyPages(from: Tensor, to: Tensor): void {
  const [, , size, chunks, width] = from.shape as [number, number, number, number, number];
  const [CHUNKS, WIDTH] = [nextPowerOfTwo(chunks), nextPowerOfTwo(width)];
  const BLOCK = Math.max(1, Math.min(nextPowerOfTwo(size), tileElements / (CHUNKS * WIDTH)));
  if (to.size > 0) to.device.launch(copyPagesKernel, { from, to }, { constants: { BLOCK, CHUNKS, WIDTH } });
}
