/**
 * @file `syntax`: PTX text to a module of variables and entries whose instructions have resolved operands. No instruction is judged here.
 */
export { parseModule } from "./parser.ts";
export type * from "./tree.ts";
export { type PtxType, ptxTypes } from "./types.ts";
