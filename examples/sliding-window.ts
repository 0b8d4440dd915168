/**
 * @file A custom attention in one file: each query sees itself and the WINDOW - 1 keys before it. Only the window's key blocks are visited,
 * and only the blocks that its two edges cut run mask code.
 *
 *   npx tilewright compile examples/sliding-window.ts --target sm_80 --set T=f16 --set WINDOW=1024 --out out
 */
import { attentionForward, defineVariant, diagonal } from "tilewright/kernels";

export const slidingWindow = defineVariant({
  name: "sliding_window",
  constants: { WINDOW: 256 },
  spans: (_, at, { WINDOW }) => [{ from: diagonal(at, WINDOW), to: diagonal(at, 0) }],
});

export default attentionForward(slidingWindow);
