/**
 * @file `tilewright`: the language (`kernel`, `tl`), the compiler (`compile`), and the devices that run kernels (`createDevice`).
 * Nothing here reads Node or a browser at import; the compiler part has no dependency and bundles for a page.
 */
export * from "./codegen/index.ts";
export * from "./dsl/index.ts";
export { type DType, type Kernel, parseKernel, printKernel, verifyKernel } from "./ir/index.ts";
export { optimize } from "./passes/index.ts";
export * from "./runtime/index.ts";
export * from "./support/errors.ts";
