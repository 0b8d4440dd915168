/**
 * @file `support`: what every other folder may use and what depends on nothing: errors, small integer arithmetic, 16-bit floats,
 * grid expressions, dominators, relations, names of
 * arguments. No Node, no package.
 */
export * from "./dominators.ts";
export * from "./errors.ts";
export * from "./float16.ts";
export * from "./grid-expression.ts";
export * from "./names.ts";
export * from "./relations.ts";
