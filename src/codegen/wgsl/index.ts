/**
 * @file `codegen/wgsl`: from Tile IR to WGSL for any conformant WebGPU device. `compileWgsl` narrows 64-bit addresses, lets layout
 * assignment share out the tiles between threads (policy.ts), decides what is kept in arrays (analysis.ts), and writes the module:
 * loops over registers (groups.ts), global memory (loads.ts, stores.ts, atomics.ts), workgroup memory (arena.ts, exchange.ts, reduce.ts,
 * scan.ts), matrix products (dot.ts) and control flow (control.ts). May import `support`, `ir`, `layout`, `passes`, and of `codegen` the files that both targets share.
 */
export { defaultCapabilities, type WgslCapabilities, type WgslDeviceKind } from "./capabilities.ts";
export { compileWgsl } from "./compile.ts";
