/**
 * @file Measures of long-context reading under different position schemes: perplexity and retrieval of a planted fact against context length,
 * and a picture of one head's attention. May import the model, `kernels`, `runtime` and `support`.
 */
export * from "./attention-picture.ts";
export type { MeasureProgress } from "./measure.ts";
export * from "./perplexity.ts";
export * from "./retrieval.ts";
export * from "./scoring.ts";
