/** @file Host side of the gradients of what variants take besides the operands: a bias, sinks. */
import type { Tensor } from "../../runtime/index.ts";
import { backwardKeysConfiguration, backwardQueriesConfiguration, type HeadProblem } from "./configuration.ts";
import type { Call } from "./launch.ts";
import { attentionSinksGradientKernel } from "./sinks.ts";

/** Enqueues the kernel of the gradient of `bias`, which the call's variant reads: its shape and dtype. */
export function launchBiasGradient(
  { check: { device }, kernels, values, constants }: Call,
  problem: HeadProblem,
  bias: Tensor,
  dout: Tensor,
  statistics: Tensor,
): Tensor {
  if (statistics.size === 0) return device.zeros(bias.shape, bias.dtype);
  const dbias = device.empty(bias.shape, bias.dtype);
  if (dbias.size === 0) return dbias;
  const repeats = bias.shape[2] === 1;
  const blocks = repeats ? backwardKeysConfiguration(problem) : backwardQueriesConfiguration(problem);
  const options = { constants: { ...blocks, ...constants } };
  const kernel = repeats ? kernels.rowBiasGradient : kernels.biasGradient;
  device.launch(kernel, { ...values, dout, statistics, dbias }, options);
  return dbias;
}

/** Enqueues the kernel of the gradient of `sinks`: its shape and dtype. */
export function launchSinksGradient(sinks: Tensor, statistics: Tensor): Tensor {
  const { device } = sinks;
  if (statistics.size === 0) return device.zeros(sinks.shape, sinks.dtype);
  const dsinks = device.empty(sinks.shape, sinks.dtype);
  device.launch(attentionSinksGradientKernel, { sinks, statistics, dsinks });
  return dsinks;
}
