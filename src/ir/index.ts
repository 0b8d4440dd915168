/**
 * @file `ir`: Tile IR. Types, the op table, values and operations, the builder, rewriting, the text form and the verifier. Knows no
 * target. May import `support` only.
 */
export * from "./builder.ts";
export * from "./ir.ts";
export * from "./ops/index.ts";
export * from "./parse.ts";
export * from "./print.ts";
export * from "./rewrite.ts";
export * from "./types.ts";
export * from "./verify.ts";
