/**
 * @file `tl`: everything that a kernel is written with, under Triton's names in camelCase. Most functions are methods of `Tile` too.
 */
export { pointer, scalar, tensor } from "../parameters.ts";
export * from "./across.ts";
export * from "./arrange.ts";
export * from "./combine.ts";
export * from "./control.ts";
export * from "./creation.ts";
export * from "./debug.ts";
export * from "./math.ts";
export * from "./memory.ts";
export * from "./random.ts";
