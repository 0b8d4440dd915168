/** @file The host operators `embedding` and `embeddingBackward`. */
import type { DType } from "../../ir/index.ts";
import type { Tensor } from "../../runtime/index.ts";
import { fillKernel } from "../elementwise/kernel.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { embeddingBackwardKernel, embeddingKernel, embeddingSortKernel } from "./kernel.ts";

export interface EmbeddingArguments {
  /** [V, hidden], f16, bf16 or f32. */
  readonly table: Tensor;
  /** i32 [T], each in [0, V). */
  readonly ids: Tensor;
  readonly out?: Tensor;
  /** Dtype of the result. Default: that of `out`, else of `table`. */
  readonly outDtype?: DType;
}

/**
 * Rows of the table, [T, hidden]. An id outside the table is reported by the next `read()`.
 * @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`.
 */
export function embedding(args: EmbeddingArguments): Tensor {
  const check = ArgumentChecker.of("embedding", args, { table: true, ids: true, out: true, outDtype: true });
  const { table, ids, out: given, outDtype } = args;
  check.tensor("table", table, ["V", "hidden"], floatDTypes);
  check.tensor("ids", ids, ["T"], ["i32"]);
  const out = check.floatOutput("out", given, [ids.shape[0]!, table.shape[1]!], outDtype, table.dtype);
  if (out.size > 0) check.device.launch(embeddingKernel, { table, ids, out });
  return out;
}

export interface EmbeddingBackwardArguments {
  /** [T, hidden], f16, bf16 or f32: the gradient of `embedding`'s result. */
  readonly dout: Tensor;
  /** i32 [T], as given to `embedding`. */
  readonly ids: Tensor;
  /** V, the number of rows of the table. */
  readonly rows: number;
  /** Write here: [V, hidden], any float dtype. */
  readonly out?: Tensor;
  /** Dtype of the result. Default: that of `out`, else of `dout`. */
  readonly outDtype?: DType;
  /** Add to what `out` holds, which must be given: where another layer shares the table. Default false. */
  readonly accumulate?: boolean;
}

/**
 * The gradient of the table, [V, hidden]: row v is the sum of the rows of `dout` whose token has id v, in f32 with one rounding; rows of other
 * ids are zero. Deterministic: the tokens are sorted by id on the device, and the rows of an id are added in the order of their
 * positions, without atomics. Takes 8 bytes a token of workspace. An id outside the table is reported by the next `read()`.
 * @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`, `ARGUMENT_MISSING` (`accumulate` without `out`).
 */
export function embeddingBackward(given: EmbeddingBackwardArguments): Tensor {
  const check = ArgumentChecker.of("embeddingBackward", given, {
    dout: true,
    ids: true,
    rows: true,
    out: true,
    outDtype: true,
    accumulate: true,
  });
  const { dout, ids, rows, outDtype, accumulate = false } = given;
  check.tensor("dout", dout, ["T", "hidden"], floatDTypes);
  check.tensor("ids", ids, ["T"], ["i32"]);
  check.integer("rows", rows);
  if (accumulate && given.out === undefined)
    check.fail("ARGUMENT_MISSING", '"accumulate" adds to what "out" holds, so "out" must be given');
  const { device } = check;
  check.flag("accumulate", accumulate);
  const out = check.floatOutput("out", given.out, [rows, check.size("hidden")], outDtype, dout.dtype);
  // Rows of ids that do not occur are not visited: they must be zero beforehand.
  if (!accumulate && out.size > 0) device.launch(fillKernel, { out, value: 0 });
  if (dout.size === 0 || out.size === 0) return out;
  using order = device.empty(ids.shape, "i32");
  using count = device.empty(ids.shape, "i32");
  device.launch(embeddingSortKernel, { ids, order, count });
  device.launch(
    embeddingBackwardKernel,
    { dout, ids, order, count, dtable: out },
    { constants: { ACCUMULATE: accumulate } },
  );
  return out;
}
