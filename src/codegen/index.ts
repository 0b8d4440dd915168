/**
 * @file `codegen`: from Tile IR to PTX and WGSL text with launch metadata. `ptx/` and `wgsl/` are the two code generators; `compile`
 * runs the whole way from a kernel. May import `support`, `ir`, `dsl`, `passes` and `layout`; knows no kernel by name.
 */
export * from "./compile.ts";
export * from "./details.ts";
export * from "./metadata.ts";
