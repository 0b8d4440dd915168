/**
 * @file The attention family: one forward kernel over a *variant* (variant.ts says what that is; dense.ts is one), its operator, and the
 * references to compare with.
 */
export { dense } from "./dense.ts";
export { attentionForward } from "./forward.ts";
export * from "./operator.ts";
export * from "./reference.ts";
export type * from "./variant.ts";
