/** @file Measures of long-context reading: perplexity against length. May import the model, `kernels` and `support`. */
export * from "./perplexity.ts";
