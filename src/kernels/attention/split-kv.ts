/**
 * @file Split-KV attention (flash decoding), over any variant: with few queries there are too few blocks of them to fill a processor, so
 * each block's keys are shared out to several programs, whose results merge.ts brings together. A split that a query sees no key of gives
 * it output 0 and lse -inf, which weigh nothing.
 */
import { type Constants, tl } from "../../dsl/index.ts";
import { attentionKernel } from "./declare.ts";
import { attendRows, weightConstants } from "./forward.ts";
import { packHeads } from "./pack-heads.ts";
import { blockCount, blockOf, rowsOf } from "./places.ts";
import { keep } from "./scores.ts";
import { keysInReach } from "./segments.ts";
import type { Place, Variant } from "./variant.ts";

/** A row of partial results: VALUE_DIM channels, lse, what lse lost by rounding, and what makes rows whole multiples of 16 bytes. */
export const partialWidth = (valueExtent: number): number => valueExtent + 4;

/**
 * `partial` f32 [splits, B, H, rows, VALUE_DIM + 4] (`partialWidth`): the results of every split, in one tensor because WebGPU guarantees 8 buffers a
 * kernel. With PACK_HEADS, H is Hk and rows are M · group (pack-heads.ts); without, Hq and M. What is shared out, in whole tiles, is what the
 * block's queries may see of their own sequence.
 */
export const attentionSplit = <C extends Constants>(variant: Variant<any, C>) =>
  attentionKernel(variant, {
    name: "attention_split",
    params: { ...variant.sink?.parameters, partial: tl.tensor("f32", 5) },
    constants: { ...weightConstants, PACK_HEADS: false },
    grid: (p, { BLOCK_M }) => [
      blockCount(variant, p, "queries", p.partial.shape(3), BLOCK_M).mul(p.partial.shape(0)),
      p.partial.shape(2),
      p.partial.shape(1),
    ],
    body(p, context, { FUSED_SHIFT, PACK_HEADS }) {
      const { BLOCK_M, BLOCK_N, VALUE_DIM } = context.c;
      const splits = p.partial.shape(0);
      const [block, split] = [tl.programId(0).div(splits), tl.programId(0).rem(splits)];
      const { at: whole, first } = blockOf(context, "queries", block, PACK_HEADS);
      const own = PACK_HEADS ? packHeads(context, whole) : { context, at: whole };
      const reach = keysInReach(own.context, { side: "queries", first, extent: BLOCK_M }, BLOCK_N, own.at);
      const size = tl.cdiv(tl.cdiv(reach.to.sub(reach.from), BLOCK_N), splits).mul(BLOCK_N);
      const from = reach.from.add(split.mul(size));
      const to = tl.maximum(tl.minimum(from.add(size), reach.to), from);
      const at: Place = { ...own.at, keyRange: { from, to, first: split.eq(0) } };

      const kept = keep(own.context, "queries", first, at);
      const { out, lse, lost } = attendRows(own.context, kept, at, { fused: FUSED_SHIFT, lazy: false });
      const rows = rowsOf(p.partial.at(split, at.batch, tl.programId(1)), at, "queries");
      rows.store([first, 0], out, { inBounds: [false, true] });
      rows.store([first, VALUE_DIM], lse.perRow(), { inBounds: [false, true] });
      rows.store([first, VALUE_DIM + 1], lost.perRow(), { inBounds: [false, true] });
    },
  });
