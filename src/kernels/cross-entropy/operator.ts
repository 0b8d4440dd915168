/** @file The host operators `crossEntropy` and `crossEntropyBackward`. */
import type { Tensor } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import {
  crossEntropyBackwardInPlaceKernel,
  crossEntropyBackwardKernel,
  crossEntropyKernel,
  crossEntropyTotalKernel,
} from "./kernel.ts";

export interface CrossEntropyArguments {
  /** [T, V], f16, bf16 or f32. */
  readonly logits: Tensor;
  /** i32 [T], each in [0, V) or `ignoreIndex`. */
  readonly labels: Tensor;
  /** Rows with this label have loss 0 and do not count. Default -100. */
  readonly ignoreIndex?: number;
  /** `"mean"` over the rows that count, `"sum"`, or `"none"`: the loss of each row. Default `"mean"`. */
  readonly reduction?: "mean" | "sum" | "none";
}

export interface CrossEntropyOutput {
  /** f32 [1]; with reduction `"none"` [T]. The mean over no rows is 0. */
  readonly loss: Tensor;
  /** f32 [T, 2]: of each row the largest logit and Σ exp(logit - largest), for the backward; lse is the first plus the log of the second. */
  readonly statistics: Tensor;
  /** f32 [1]: the derivative of `loss` by the loss of a row that counts, to give to the backward as `dloss`. Not with reduction `"none"`. */
  readonly rowWeight?: Tensor;
}

const rowConstants = (classes: number) => ({
  BLOCK: Math.min(nextPowerOfTwo(classes), crossEntropyKernel.constants.BLOCK),
});

/**
 * -log softmax(logits)[label] of each row, in f32 from logits of any float dtype, streamed over a vocabulary of any size.
 * A label outside the vocabulary is reported by the next `read()`.
 * @throws ArgumentError `ARGUMENT_SHAPE` (also for a vocabulary of 0), `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`.
 */
export function crossEntropy(args: CrossEntropyArguments): CrossEntropyOutput {
  const check = ArgumentChecker.of("crossEntropy", args, {
    logits: true,
    labels: true,
    ignoreIndex: true,
    reduction: true,
  });
  const { logits, labels, ignoreIndex = -100, reduction = "mean" } = args;
  checkRows(check, logits, labels, ignoreIndex);
  check.oneOf("reduction", reduction, ["mean", "sum", "none"]);
  const { device } = check;
  const losses = device.empty(labels.shape, "f32");
  const statistics = device.empty([check.size("T"), 2], "f32");
  if (logits.size > 0)
    device.launch(
      crossEntropyKernel,
      { logits, labels, loss: losses, statistics, ignoreIndex },
      { constants: rowConstants(check.size("V")) },
    );
  if (reduction === "none") return { loss: losses, statistics };
  const [total, rowWeight] = [device.empty([1], "f32"), device.empty([1], "f32")];
  device.launch(
    crossEntropyTotalKernel,
    { losses, labels, total, rowWeight, ignoreIndex },
    { constants: { MEAN: reduction === "mean" } },
  );
  losses.dispose();
  return { loss: total, statistics, rowWeight };
}

export interface CrossEntropyBackwardArguments {
  /** [T, V], as given to `crossEntropy`. */
  readonly logits: Tensor;
  /** i32 [T], as given to `crossEntropy`. */
  readonly labels: Tensor;
  /** f32 [T, 2], from `crossEntropy`. */
  readonly statistics: Tensor;
  /** f32 [T]: the gradient of each row's loss; or [1], one for all rows: `rowWeight` from `crossEntropy`. */
  readonly dloss: Tensor;
  /** Factor of the gradient, for loss scaling or gradient accumulation. Default 1. */
  readonly scale?: number;
  /** As given to `crossEntropy`. Default -100. */
  readonly ignoreIndex?: number;
  /** Write here: [T, V], dtype of the logits. May be `logits` itself, which the gradient then replaces. */
  readonly out?: Tensor;
}

/**
 * The gradient of the logits, (softmax(logits) - onehot(label)) · dloss · scale, in f32 with one rounding; 0 in rows that are ignored.
 * @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`.
 */
export function crossEntropyBackward(args: CrossEntropyBackwardArguments): Tensor {
  const check = ArgumentChecker.of("crossEntropyBackward", args, {
    logits: true,
    labels: true,
    statistics: true,
    dloss: true,
    scale: true,
    ignoreIndex: true,
    out: true,
  });
  const { logits, labels, statistics, dloss, scale = 1, ignoreIndex = -100, out: given } = args;
  checkRows(check, logits, labels, ignoreIndex);
  const rows = check.size("T");
  check.tensor("statistics", statistics, ["T", 2], ["f32"]);
  check.tensor("dloss", dloss, [dloss?.shape?.[0] === 1 ? 1 : "T"], ["f32"]);
  check.number("scale", scale);
  const dlogits = check.output("out", given, logits.shape, logits.dtype);
  if (dlogits.size === 0) return dlogits;
  using perRow = dloss.expand([rows]);
  const values = { labels, statistics, dloss: perRow, dlogits, ignoreIndex, scale };
  const options = { constants: rowConstants(check.size("V")) };
  const inPlace = dlogits.storage === logits.storage && dlogits.offset === logits.offset;
  if (inPlace) check.device.launch(crossEntropyBackwardInPlaceKernel, values, options);
  else check.device.launch(crossEntropyBackwardKernel, { ...values, logits }, options);
  return dlogits;
}

function checkRows(check: ArgumentChecker, logits: Tensor, labels: Tensor, ignoreIndex: number): void {
  check.tensor("logits", logits, ["T", "V"], floatDTypes);
  check.tensor("labels", labels, ["T"], ["i32"]);
  check.integer("ignoreIndex", ignoreIndex, -(2 ** 31));
  if (check.size("V") === 0 && check.size("T") > 0)
    check.fail(
      "ARGUMENT_SHAPE",
      `"logits" has shape [${logits.shape.join(", ")}]: a softmax over no classes does not exist`,
    );
}
