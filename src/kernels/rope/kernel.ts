/**
 * @file Rotary position embedding (Su et al., arXiv 2104.09864): a pair of channels turns by the angle position · theta_i, whose cosine and
 * sine come from tables [positions, d/2]. Half-split: channel i of the first half turns with channel i of the second; INTERLEAVED: 2i with
 * 2i + 1. The channels after the first d pass. With INVERSE it turns back by the same angle, which is also the gradient.
 *
 * A kernel for another tensor and one in place: WebGPU forbids that one buffer is read as one argument and written as another.
 */
import {
  type BodyParameters,
  type KernelDefinition,
  kernel,
  type ParameterSpecs,
  type Scalar,
  type TensorView,
  type Tile,
  tl,
} from "../../dsl/index.ts";

interface Pairs {
  readonly interleaved: boolean;
  readonly count: Scalar<"i32">;
}

/** The first or second channels of the pairs as a view of its own, so that its edge is checked where d/2 is no power of two. */
function membersOf(view: TensorView<any, 4>, second: boolean, { interleaved, count }: Pairs) {
  const channel = view.stride(3);
  const start = second
    ? view.pointer.add((interleaved ? channel : channel.mul(count.to("i64"))) as never)
    : view.pointer;
  const shape = [view.shape(0), view.shape(1), view.shape(2), count] as const;
  const step = interleaved ? channel.mul(2) : channel;
  return tl.makeView(start, shape, [view.stride(0), view.stride(1), view.stride(2), step] as const);
}

/** The channels after the turned ones. */
function restOf(view: TensorView<any, 4>, turned: Scalar<"i32">) {
  const start = view.pointer.add(view.stride(3).mul(turned.to("i64")) as never);
  const shape = [view.shape(0), view.shape(1), view.shape(2), view.shape(3).sub(turned)] as const;
  return tl.makeView(start, shape, [view.stride(0), view.stride(1), view.stride(2), view.stride(3)] as const);
}

const constants = {
  BLOCK_T: 32,
  /** d/2, rounded up to a power of two. */
  HALF_DIM: 64,
  /** Channels that pass, rounded up to a power of two; 0: none. */
  REST_DIM: 0,
  INVERSE: false,
  INTERLEAVED: false,
};
const inPlace = {
  x: tl.tensor("T", 4),
  cos: tl.tensor("f32", 2),
  sin: tl.tensor("f32", 2),
};
const params = { ...inPlace, out: tl.tensor("T", 4) };
type Integer = Scalar<"i32">;
/** A tile of a table for rows of x from `row` of batch `batch` on. */
type RowsOf<P> = <R extends number, W extends number>(
  p: P,
  table: TensorView<"f32", 2>,
  at: { readonly row: Integer; readonly batch: Integer; readonly shape: readonly [R, W] },
) => Tile<"f32", readonly [R, W]>;

/** The kernels over a rule that says which row of the tables belongs to a row of x; `own` are its parameters. */
const ropeKernelsOf = <const P extends ParameterSpecs>(name: string, own: P, rowsOf: RowsOf<BodyParameters<P>>) => ({
  toOther: ropeKernelOf(name, { ...params, ...own }, rowsOf as RowsOf<any>),
  inPlace: ropeKernelOf(`${name}_in_place`, { ...inPlace, ...own }, rowsOf as RowsOf<any>),
});

function ropeKernelOf<P extends ParameterSpecs>(
  name: string,
  parameters: P,
  rowsOf: RowsOf<any>,
): KernelDefinition<typeof constants, P> {
  const definition: KernelDefinition<any, any> = kernel({
    name,
    constants,
    params: parameters as unknown as typeof params,
    grid: (p, { BLOCK_T }) => [tl.cdiv(p.x.shape(2), BLOCK_T), p.x.shape(1), p.x.shape(0)],
    body(p, { BLOCK_T, HALF_DIM, REST_DIM, INVERSE, INTERLEAVED }) {
      const row = tl.programId(0).mul(BLOCK_T);
      const [head, batch] = [tl.programId(1), tl.programId(2)];
      const pairs: Pairs = { interleaved: INTERLEAVED, count: p.cos.shape(1) };
      const load = (second: boolean) =>
        membersOf(p.x, second, pairs).at(batch, head).load([row, 0], [BLOCK_T, HALF_DIM]).to("f32");
      const [first, second] = [load(false), load(true)];
      const angles = (table: TensorView<"f32", 2>) =>
        rowsOf(p as never, table, { row, batch, shape: [BLOCK_T, HALF_DIM] });
      const cos = angles(p.cos);
      const sin = INVERSE ? angles(p.sin).neg() : angles(p.sin);
      const isInPlace = !("out" in parameters);
      const out = isInPlace ? p.x : p.out;
      const store = (isSecond: boolean, tile: typeof first) =>
        membersOf(out, isSecond, pairs).at(batch, head).store([row, 0], tile.to(out.dtype));
      store(false, first.mul(cos).sub(second.mul(sin)));
      store(true, second.mul(cos).add(first.mul(sin)));
      if (REST_DIM > 0 && !isInPlace) {
        const turned = p.cos.shape(1).mul(2);
        const rest = restOf(p.x, turned).at(batch, head).load([row, 0], [BLOCK_T, REST_DIM]);
        restOf(out, turned).at(batch, head).store([row, 0], rest);
      }
    },
  });
  return definition;
}

/** Row t of x has position `start` + t. */
export const { toOther: ropeKernel, inPlace: ropeInPlaceKernel } = ropeKernelsOf(
  "rope",
  { start: tl.scalar("i32") },
  (p, table, { row, shape }) => table.load([row.add(p.start), 0], shape),
);

/** Row t of batch b of x has position `positions[b, t]`. One outside of the tables fails an assertion on the device. */
export const { toOther: ropeGatheredKernel, inPlace: ropeGatheredInPlaceKernel } = ropeKernelsOf(
  "rope_gathered",
  { positions: tl.tensor("i32", 2) },
  (p, table, { row, batch, shape: [rows, columns] }) => {
    const position = p.positions.at(batch).load([row], [rows]).perRow();
    const known = position.ge(0).and(position.lt(table.shape(0)));
    tl.assert(known, "rope: a position lies outside the tables");
    const column = tl.arange(0, columns).perColumn();
    const offset = position
      .to("i64")
      .mul(table.stride(0))
      .add(column.to("i64").mul(table.stride(1)));
    const mask = known.and(column.lt(table.shape(1)));
    return tl.load(table.pointer.add(offset as never), { mask: mask as never }) as never;
  },
);
