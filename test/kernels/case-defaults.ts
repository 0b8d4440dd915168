/** @file What the cases of attention's conformance tests leave open. */
export const smallProblem = {
  batch: 1,
  queryHeads: 2,
  keyHeads: 2,
  queries: 64,
  keys: 64,
  causal: true,
  dtype: "f32",
  magnitude: 1,
} as const;

/** The case with values as wide as keys, and the usual scale, where it does not say otherwise. */
export const completed = <C extends { readonly headDim: number; readonly valueDim?: number; readonly scale?: number }>(
  c: C,
) => ({ ...c, valueDim: c.valueDim ?? c.headDim, scale: c.scale ?? c.headDim ** -0.5 });
