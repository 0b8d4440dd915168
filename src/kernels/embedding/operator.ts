/** @file The host operator `embedding`. */
import type { DType } from "../../ir/index.ts";
import type { Tensor } from "../../runtime/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { embeddingKernel } from "./kernel.ts";

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
export function embedding({ table, ids, out: given, outDtype }: EmbeddingArguments): Tensor {
  const check = new ArgumentChecker("embedding");
  check.tensor("table", table, ["V", "hidden"], floatDTypes);
  check.tensor("ids", ids, ["T"], ["i32"]);
  const out = check.output("out", given, [ids.shape[0]!, table.shape[1]!], outDtype ?? given?.dtype ?? table.dtype);
  if (out.size > 0) check.device.launch(embeddingKernel, { table, ids, out });
  return out;
}
