/**
 * @file Where a program that keeps queries stores what it found for them, `out` [B, Hq, M, E] and `lse` [B, Hq, M]: the rows of its head or, where heads are
 * packed (pack-heads.ts), of every head of the group.
 */
import { type Dim, type TensorView, type Tile, tl } from "../../dsl/index.ts";
import { rowsFrom } from "./operands.ts";
import { entriesOf, rowsOf } from "./places.ts";
import type { BlockM, Place, RuntimeIndex } from "./variant.ts";

/** Of the kept queries. */
export interface QueryResults {
  readonly out: Tile<"f32", readonly [BlockM, Dim<"VALUE_DIM">]>;
  readonly lse: Tile<"f32", readonly [BlockM]>;
  /** What `lse` lost by rounding: where logits are large, all of the logarithm of their number. */
  readonly lost: Tile<"f32", readonly [BlockM]>;
}

/** Stores the results of the rows from `first` on. `padded`: `out` has more channels than the tensor. */
export function storeResults(
  { out, lse }: Omit<QueryResults, "lost">,
  into: { readonly out: TensorView<"T", 4>; readonly lse: TensorView<"f32", 3> },
  at: Place,
  first: RuntimeIndex,
  padded: boolean,
): void {
  const rounded = out.to(into.out.dtype);
  if (!at.packed) {
    rowsOf(into.out.at(at.batch, at.head), at, "queries").store([first, 0], rounded, { inBounds: [false, !padded] });
    entriesOf(into.lse.at(at.batch, at.head), at, "queries").store([first], lse);
    return;
  }
  const [rows, width] = rounded.shape;
  const row = rowsFrom(first, rows);
  const exists = row.lt(at.queries);
  const channel = tl.arange(0, width).perColumn();
  const inside = padded ? exists.perRow().and(channel.lt(into.out.shape(3)) as never) : exists.perRow();
  // As for loading queries (operands.ts), but in u32: the same numbers would stay in registers all through the walk.
  const ofTensor = row.add(at.firstRow?.queries ?? 0).bitcast("u32");
  const group = at.group.bitcast("u32");
  const query = ofTensor.div(group);
  const head = ofTensor.sub(query.mul(group)).add(at.head.bitcast("u32"));
  const offsets = (tensor: TensorView<any, any>) =>
    head
      .to("i64")
      .mul(tensor.stride(1))
      .add(query.to("i64").mul(tensor.stride(2)));
  const places = into.out
    .at(at.batch)
    .pointer.add(offsets(into.out).perRow() as never)
    .add(channel.to("i64").mul(into.out.stride(3)) as never);
  tl.store(places as never, rounded as never, { mask: inside as never });
  const entries = into.lse.at(at.batch).pointer.add(offsets(into.lse) as never);
  tl.store(entries as never, lse as never, { mask: exists as never });
}
