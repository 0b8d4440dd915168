/**
 * @file Queries and keys before the rotary embedding: any variant over them, which turns both while it loads them, each term by angles of its
 * own. So PiecewiseAttention reads one query and one key where it would have two of each, and a cache holds each key once.
 *
 * A pair of channels (a, b) turns to (a cos - b sin, b cos + a sin). The first and the second channels of the pairs are separate parts of an
 * operand, and the channels that do not turn are a third: products are summed over parts, so nothing has to be brought back into order.
 * Gradients of turned operands are turned back, by the transposed matrix, before they are stored.
 */
import { type TensorView, type Tile, tl } from "../../dsl/index.ts";
import { channelsOf, loadOperand, packedQueries } from "./operands.ts";
import { type Channels, operandNames, type Place, type RuntimeIndex, type Side, type Variant } from "./variant.ts";

const parameters = {
  /** `[2, terms, 2, positions, d/2]`: of queries and of keys, for each term, cosines and sines of the token at each position. */
  angles: tl.tensor("f32", 5),
};

const constants = {
  /** d/2, the number of pairs, rounded up to a power of two; PAD_PAIRS says whether it was rounded. */
  PAIRS: 32,
  PAD_PAIRS: false,
  /** Channels that do not turn, rounded up to a power of two, 0 for none; PAD_REST says whether it was rounded. */
  REST: 0,
  PAD_REST: false,
  /** Pairs are channels 2i and 2i + 1, not i and i + d/2. */
  INTERLEAVED: false,
};
type RotatedConstants = typeof constants;

/** Some channels of rows, in f32. */
type Channel<R extends number> = Tile<"f32", readonly [R, number]>;

/** The variant with tensors "q" and "k" that are turned into its terms' operands. The last query stands at the last key's position. */
export function rotated(variant: Variant): Variant {
  // Where the host does not know how many keys there are, it cannot know that the tables hold them.
  const hostCounts = variant.keyCount === undefined;
  return {
    ...variant,
    name: `rotated_${variant.name}`,
    tensors: { queries: ["q"], keys: ["k"] },
    parameters: { ...variant.parameters, ...parameters },
    constants: { ...variant.constants, ...constants },
    load(p, at, tile, c) {
      const read = (request: typeof tile) => variant.load?.(p, at, request, c) ?? loadOperand(p, at, request);
      const { name, side, first: row, shape, inBounds } = tile;
      if (name === "v" || name === "dout") return read(tile);
      const own = c as unknown as RotatedConstants;
      const tensor = tensorOf(side);
      const source = p[tensor] as TensorView<"T", 4>;
      const { first, second, rest } = channelsOfParts(p, source.shape(3), own);
      const load = (width: number, padded: boolean, channels: Channels) =>
        read({ ...tile, name: tensor, shape: [shape[0], width], inBounds: [inBounds[0], !padded], channels } as never);
      const member = (channels: Channels) =>
        (load(own.PAIRS, own.PAD_PAIRS, channels) as Tile<"T", readonly [number, number]>).to("f32");
      const [a, b] = [member(first), member(second)];
      const term = operandNames(variant, side).indexOf(name);
      const { cos, sin } = anglesOf(p, at, { side, row, rows: shape[0], exist: inBounds[0] && hostCounts, term }, own);
      const turned = [a.mul(cos).sub(b.mul(sin)), b.mul(cos).add(a.mul(sin))].map((part) => part.to(source.dtype));
      return [...turned, ...(rest ? [load(own.REST, own.PAD_REST, rest)] : [])] as never;
    },
    storeGradients(p, at, { side, first: row, parts }, into, c) {
      const own = c as unknown as RotatedConstants;
      const back = operandNames(variant, side).map((operand, term) => {
        const [a, b, rest] = parts(operand) as unknown as [Channel<number>, Channel<number>, Channel<number>?];
        const { cos, sin } = anglesOf(p, at, { side, row, rows: a.shape[0], exist: false, term }, own);
        return { first: a.mul(cos).add(b.mul(sin)), second: b.mul(cos).sub(a.mul(sin)), rest };
      });
      const view = into(0);
      const channels = channelsOfParts(p, (p[tensorOf(side)] as TensorView<"T", 4>).shape(3), own);
      for (const part of ["first", "second", "rest"] as const) {
        if (channels[part] === undefined) continue;
        const padded = part === "rest" ? own.PAD_REST : own.PAD_PAIRS;
        const sum = back.map((gradient) => gradient[part]!).reduce((x, y) => x.add(y));
        channelsOf(view, channels[part]).store([row, 0], sum.to(view.dtype) as never, { inBounds: [false, !padded] });
      }
    },
  };
}

const tensorOf = (side: Side): string => (side === "queries" ? "q" : "k");

/** Which channels are the first and the second ones of the pairs, and which do not turn. `dim`: how many there are. */
function channelsOfParts(
  p: any,
  dim: RuntimeIndex,
  { PAIRS, PAD_PAIRS, REST, PAD_REST, INTERLEAVED }: RotatedConstants,
): { readonly first: Channels; readonly second: Channels; readonly rest: Channels | undefined } {
  // As constants where they are, so that targets see what is aligned.
  const index = (value: number) => tl.full([], value, "i32");
  const pairs: RuntimeIndex = PAD_PAIRS ? (p.angles as TensorView<"f32", 5>).shape(4) : index(PAIRS);
  const step = INTERLEAVED ? 2 : 1;
  const turned = pairs.mul(2);
  return {
    first: { from: index(0), step, count: pairs },
    second: { from: INTERLEAVED ? index(1) : pairs, step, count: pairs },
    rest: REST > 0 ? { from: turned, step: 1, count: PAD_REST ? dim.sub(turned) : index(REST) } : undefined,
  };
}

interface AngleTile<R extends number> {
  readonly side: Side;
  readonly term: number;
  /** Rows [row, row + rows) of the side. `exist`: all of them are keys that the tables hold. */
  readonly row: RuntimeIndex;
  readonly rows: R;
  readonly exist: boolean;
}

/** Cosines and sines of a tile's rows. */
function anglesOf<R extends number>(
  p: any,
  at: Place,
  { side, term, row, rows, exist }: AngleTile<R>,
  { PAIRS, PAD_PAIRS }: RotatedConstants,
): { readonly cos: Channel<R>; readonly sin: Channel<R> } {
  const tables = (p.angles as TensorView<"f32", 5>).at(side === "queries" ? 0 : 1, term);
  const offset = at.keys.sub(at.packed ? at.queries.div(at.group) : at.queries);
  const table = (i: number): Channel<R> => {
    const matrix = tables.at(i) as TensorView<"f32", 2>;
    if (side === "keys") return matrix.load([row, 0], [rows, PAIRS], { inBounds: [exist, !PAD_PAIRS] });
    if (at.packed) return gatherTable(matrix, packedQueries(at, row, rows).add(offset as never) as never, PAIRS);
    // A sequence of its own length (packed, padded, paged) may be shorter than its queries: the first of them have no position.
    return matrix.load([row.add(offset), 0], [rows, PAIRS], { inBounds: [false, !PAD_PAIRS] });
  };
  return { cos: table(0), sin: table(1) };
}

/** Rows of a table at positions; 0 for those outside of it. */
function gatherTable<R extends number>(
  table: TensorView<"f32", 2>,
  positions: Tile<"i32", readonly [R]>,
  pairs: number,
): Channel<R> {
  const [row, column] = [positions.perRow(), tl.arange(0, pairs).perColumn()];
  const inside = row
    .ge(0)
    .and(row.lt(table.shape(0)))
    .and(column.lt(table.shape(1)) as never);
  const offset = row
    .to("i64")
    .mul(table.stride(0))
    .add(column.to("i64").mul(table.stride(1)) as never);
  return tl.load(table.pointer.add(offset as never) as never, { mask: inside as never }) as never;
}
