/**
 * @file `layout`: where each element of a tile lives. A `LinearLayout` is a linear map over GF(2) from (warp, lane, register), or
 * from an offset in memory, to coordinates of the tile; blocked layouts, the fragments of the tensor cores, the layouts that
 * reductions and shape changes leave behind, and swizzled shared memory are all instances. From the bases are computed the elements a
 * thread owns, the widest vector access, what a conversion takes, whether ldmatrix applies, and bank conflicts. Pure arithmetic
 * on small integers, without text. `assign*.ts`, which choose a layout for every tile of a kernel, also import `ir`; the rest imports
 * only `support`.
 */
export * from "./assign.ts";
export * from "./assign-policy.ts";
export * from "./blocked.ts";
export * from "./byte-pairs.ts";
export * from "./conversion.ts";
export * from "./describe.ts";
export * from "./dims.ts";
export * from "./ldmatrix.ts";
export * from "./linear-layout.ts";
export * from "./mma.ts";
export * from "./queries.ts";
export * from "./reduction.ts";
export * from "./repetition.ts";
export * from "./shared.ts";
export * from "./slice.ts";
export * from "./swizzle.ts";
