/**
 * @file `passes`: functions from Tile IR to Tile IR that keep its meaning, and analyses of it; nothing here knows a target.
 * `optimize` is the standard order. May import `support` and `ir`.
 */
export { type AxisAnalysis, analyzeAxes } from "./axis-analysis.ts";
export type { AxisInfo } from "./axis-info.ts";
export * from "./canonicalize.ts";
export * from "./cse.ts";
export * from "./dce.ts";
export * from "./licm.ts";
export * from "./mask-bound.ts";
export * from "./memory-access.ts";
export * from "./optimize.ts";
export * from "./partial-sums.ts";
export * from "./prefetch.ts";
export * from "./range-folding.ts";
export * from "./ranges.ts";
