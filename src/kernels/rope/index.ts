/**
 * @file Rotary position embeddings: the variants as data and from config.json (`readRopeConfig`), their frequencies, tables of cosines and
 * sines, the operator `rope`, and position maps for PiecewiseAttention. May import `dsl`, `runtime`, `support`, `kernels/support`.
 */

export { overrideRopeConfig, type RopeConfigOptions, readRopeConfig, ropeTypes } from "./config.ts";
export type { RopeParameters } from "./config-keys.ts";
export * from "./frequencies.ts";
export { ropeGatheredInPlaceKernel, ropeGatheredKernel, ropeInPlaceKernel, ropeKernel } from "./kernel.ts";
export * from "./operator.ts";
export * from "./position-maps.ts";
export * from "./table.ts";
export * from "./variants.ts";
