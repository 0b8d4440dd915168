/**
 * @file What the editor must accept and refuse. `tsc` is the judge (`npm run typecheck`): an `@ts-expect-error` that is no error is one.
 * Nothing of this runs but the tracing of the kernels that must be right.
 */
import { describe, expect, expectTypeOf, it } from "vitest";
import {
  type BodyParameters,
  type Broadcast,
  type Dim,
  type DTypeLike,
  kernel,
  type ParameterSpecs,
  type Pointer,
  type Scalar,
  type Shape,
  type TensorView,
  type Tile,
  tl,
} from "../../src/dsl/index.ts";

type M = Dim<"BLOCK_M">;
type N = Dim<"BLOCK_N">;
type D = Dim<"HEAD_DIM">;
type Matrix<R extends number, C extends number, T extends DTypeLike = "f32"> = Tile<T, readonly [R, C]>;
type Vector<R extends number, T extends DTypeLike = "f32"> = Tile<T, readonly [R]>;

/** Type-checks `body` with the constants and parameters that most cases use; never runs it. */
const check = (
  body: (
    c: { BLOCK_M: M; BLOCK_N: N; HEAD_DIM: D; CAUSAL: boolean },
    p: {
      q: TensorView<"T", 4>;
      out: TensorView<"T", 2>;
      lse: TensorView<"f32", 3>;
      x: Pointer<"f32", readonly []>;
      n: Scalar<"i32">;
    },
  ) => void,
): void => void body;

describe("shapes", () => {
  it("names the extents by their constants", () => {
    check(({ BLOCK_M, BLOCK_N }) => {
      const tile = tl.zeros([BLOCK_M, BLOCK_N], "f32");
      expectTypeOf(tile).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(tl.arange(0, BLOCK_M)).toEqualTypeOf<Vector<M, "i32">>();
      expectTypeOf(tl.full([BLOCK_M, 4], 1, "f16")).toEqualTypeOf<Matrix<M, 4, "f16">>();
      expectTypeOf(tl.full([], 1, "i32")).toEqualTypeOf<Scalar<"i32">>();
      expectTypeOf(tile.trans()).toEqualTypeOf<Matrix<N, M>>();
      expectTypeOf(tile.permute([1, 0])).toEqualTypeOf<Matrix<N, M>>();
      expectTypeOf(tl.sum(tile, 0)).toEqualTypeOf<Vector<N>>();
      expectTypeOf(tl.max(tile, 1)).toEqualTypeOf<Vector<M>>();
      expectTypeOf(tl.argmax(tile, 1)).toEqualTypeOf<Vector<M, "i32">>();
      expectTypeOf(tl.sum(tile)).toEqualTypeOf<Scalar<"f32">>();
      expectTypeOf(tile.cumsum(1)).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(tl.join(tile, tile)).toEqualTypeOf<Tile<"f32", readonly [M, N, 2]>>();
      expectTypeOf(tl.join(tile, tile).split()).toEqualTypeOf<[Matrix<M, N>, Matrix<M, N>]>();
      expectTypeOf(tile.expandDims(1)).toEqualTypeOf<Tile<"f32", readonly [M, 1, N]>>();
      expectTypeOf(tile.reshape([BLOCK_N, BLOCK_M])).toEqualTypeOf<Matrix<N, M>>();
      const half = tl.dim("HALF", BLOCK_M / 2);
      expectTypeOf(tl.zeros([half], "f32")).toEqualTypeOf<Vector<Dim<"HALF">>>();
    });
  });

  it("broadcasts missing leading axes and axes of extent 1", () => {
    check(({ BLOCK_M, BLOCK_N, HEAD_DIM }, p) => {
      const [matrix, rows, columns] = [
        tl.zeros([BLOCK_M, BLOCK_N], "f32"),
        tl.zeros([BLOCK_M], "f32"),
        tl.zeros([BLOCK_N], "f32"),
      ];
      expectTypeOf(matrix.add(1)).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(matrix.add(matrix)).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(matrix.sub(rows.perRow())).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(matrix.sub(columns)).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(columns.sub(matrix)).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(rows.perRow().ge(columns.perColumn())).toEqualTypeOf<Matrix<M, N, "bool">>();
      expectTypeOf(p.n.add(tl.arange(0, BLOCK_M))).toEqualTypeOf<Vector<M, "i32">>();
      const either = p.n as Scalar<"i32"> | number;
      expectTypeOf(tl.arange(0, BLOCK_M).add(either)).toEqualTypeOf<Vector<M, "i32">>();
      expectTypeOf(tl.programId(0).mul(BLOCK_M)).toEqualTypeOf<Scalar<"i32">>();
      expectTypeOf(tl.sub(1, matrix)).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(tl.maximum(matrix, rows.perRow())).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(tl.where(rows.gt(0).perRow(), matrix, Number.NEGATIVE_INFINITY)).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(tl.where(rows.gt(0).perRow(), 0, columns.perColumn())).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(matrix.fma(p.n.to("f32"), rows.perRow())).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf<Broadcast<readonly [M, 1, D], readonly [N, 1]>>().toEqualTypeOf<readonly [M, N, D]>();

      // @ts-expect-error [BLOCK_M, BLOCK_N] with [BLOCK_M, HEAD_DIM]
      matrix.add(tl.zeros([BLOCK_M, HEAD_DIM], "f32"));
      // @ts-expect-error [BLOCK_M] aligns with the columns: perRow() was meant
      matrix.add(rows);
      // @ts-expect-error
      tl.maximum(matrix, tl.zeros([BLOCK_M, HEAD_DIM], "f32"));
      // @ts-expect-error
      tl.where(rows.gt(0), matrix, 0);
      // @ts-expect-error
      tl.where(matrix.gt(0), rows.perRow(), tl.zeros([HEAD_DIM], "f32"));
    });
  });

  it("multiplies matrices of one inner dimension", () => {
    check(({ BLOCK_M, BLOCK_N, HEAD_DIM }) => {
      const [q, k] = [tl.zeros([BLOCK_M, HEAD_DIM], "f16"), tl.zeros([BLOCK_N, HEAD_DIM], "f16")];
      expectTypeOf(tl.dot(q, k.trans())).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(q.dot(k.trans(), tl.zeros([BLOCK_M, BLOCK_N], "f32"))).toEqualTypeOf<Matrix<M, N>>();
      // @ts-expect-error the inner dimensions are HEAD_DIM and BLOCK_N
      tl.dot(q, k);
      // @ts-expect-error an accumulator of another shape
      tl.dot(q, k.trans(), tl.zeros([BLOCK_M, HEAD_DIM], "f32"));
      // @ts-expect-error an accumulator of f16
      tl.dot(q, k.trans(), tl.zeros([BLOCK_M, BLOCK_N], "f16"));
      // @ts-expect-error f16 by f32
      tl.dot(q, k.trans().to("f32"));
    });
  });
});

describe("dtypes", () => {
  it("do not mix", () => {
    check(({ BLOCK_M }, p) => {
      const [half, single, int] = [tl.zeros([BLOCK_M], "f16"), tl.zeros([BLOCK_M], "f32"), tl.arange(0, BLOCK_M)];
      expectTypeOf(half.to("f32").add(single)).toEqualTypeOf<Vector<M>>();
      // @ts-expect-error f16 + f32
      half.add(single);
      // @ts-expect-error
      tl.mul(half, single);
      // @ts-expect-error
      tl.where(int.lt(3), half, single);
      // @ts-expect-error i32 * f32
      int.mul(p.lse.load([0, 0, 0], []));
      // @ts-expect-error functions are computed in f32: .to("f32") first
      tl.exp2(half);
      // @ts-expect-error
      half.exp2();
      // @ts-expect-error sums of f16: .to("f32") first
      tl.sum(half, 0);
      // @ts-expect-error bit operations are for integers and bool
      single.and(single);
      // @ts-expect-error the condition is no bool
      tl.where(single, single, single);
      expectTypeOf(int.lt(3).and(int.ge(1)).not()).toEqualTypeOf<Vector<M, "bool">>();
    });
  });

  it("of a tensor may be a variable of the kernel", () => {
    check(({ BLOCK_M, HEAD_DIM }, p) => {
      const q = p.q.at(p.n, 0).load([0, 0], [BLOCK_M, HEAD_DIM]);
      expectTypeOf(q).toEqualTypeOf<Matrix<M, D, "T">>();
      p.out.store([0, 0], q);
      p.out.store([0, 0], tl.zeros([BLOCK_M, HEAD_DIM], "f32").to(p.out.dtype));
      // @ts-expect-error f32 into T: .to(p.out.dtype)
      p.out.store([0, 0], tl.zeros([BLOCK_M, HEAD_DIM], "f32"));
      // @ts-expect-error T into f32
      p.lse.store([0, 0, 0], q);
      // @ts-expect-error T + f32
      q.add(tl.zeros([BLOCK_M, HEAD_DIM], "f32"));
    });
  });
});

describe("memory", () => {
  it("takes one index for each axis", () => {
    check(({ BLOCK_M }, p) => {
      expectTypeOf(p.q.at(0)).toEqualTypeOf<TensorView<"T", 3>>();
      expectTypeOf(p.q.at(0, p.n)).toEqualTypeOf<TensorView<"T", 2>>();
      expectTypeOf(p.lse.load([0, 0, p.n], [BLOCK_M])).toEqualTypeOf<Vector<M>>();
      expectTypeOf(p.lse.load([0, 0, 0], [])).toEqualTypeOf<Scalar<"f32">>();
      expectTypeOf(tl.makeView(p.x, [p.n, 4], [4, 1])).toEqualTypeOf<TensorView<"f32", 2>>();
      // @ts-expect-error a rank-4 tensor
      p.q.load([0, 0], [BLOCK_M]);
      // @ts-expect-error an f32 index
      p.out.load([p.n.to("f32"), 0], [BLOCK_M]);
    });
  });

  it("takes masks and values of the pointer's shape", () => {
    check(({ BLOCK_M, BLOCK_N }, p) => {
      const [rows, columns] = [tl.arange(0, BLOCK_M), tl.arange(0, BLOCK_N)];
      const pointers = p.x.add(rows.perRow().mul(p.n).add(columns.perColumn()));
      expectTypeOf(pointers).toEqualTypeOf<Pointer<"f32", readonly [M, N]>>();
      expectTypeOf(tl.load(pointers)).toEqualTypeOf<Matrix<M, N>>();
      expectTypeOf(tl.load(pointers, { mask: rows.lt(p.n).perRow(), other: 1 })).toEqualTypeOf<Matrix<M, N>>();
      tl.store(pointers, tl.zeros([BLOCK_M, BLOCK_N], "f32"), { mask: columns.lt(p.n) });
      tl.atomicAdd(pointers, 1);
      // @ts-expect-error a mask along the wrong axis
      tl.load(pointers, { mask: rows.lt(p.n) });
      // @ts-expect-error a mask that would enlarge the pointer
      tl.load(p.x.add(rows), { mask: rows.perRow().lt(columns.perColumn()) });
      // @ts-expect-error a mask of i32
      tl.load(p.x.add(rows), { mask: rows });
      // @ts-expect-error other is f16
      tl.load(p.x.add(rows), { mask: rows.lt(1), other: tl.zeros([BLOCK_M], "f16") });
      // @ts-expect-error the value is i32
      tl.store(p.x.add(rows), rows);
      // @ts-expect-error float offsets
      p.x.add(rows.to("f32"));
    });
  });
});

describe("control flow", () => {
  it("carries a state of unchanged dtypes and shapes", () => {
    check(({ BLOCK_M, BLOCK_N }) => {
      const state = { max: tl.zeros([BLOCK_M], "f32"), acc: tl.zeros([BLOCK_M, BLOCK_N], "f32") };
      const last = tl.loop({ to: 4 }, state, (n, s) => {
        expectTypeOf(n).toEqualTypeOf<Scalar<"i32">>();
        return { max: s.max.mul(2), acc: s.acc.add(s.max.perRow()) };
      });
      expectTypeOf(last).toEqualTypeOf<{ max: Vector<M>; acc: Matrix<M, N> }>();
      tl.loop({ to: 4 }, {}, (n) => tl.print("n", n));
      // @ts-expect-error a forgotten field
      tl.loop({ to: 4 }, state, (_, s) => ({ max: s.max }));
      // @ts-expect-error a field of another shape
      tl.loop({ to: 4 }, state, (_, s) => ({ max: s.max.perRow(), acc: s.acc }));
      // @ts-expect-error a field of another dtype
      tl.loop({ to: 4 }, state, (_, s) => ({ max: s.max.to("f16"), acc: s.acc }));
      // @ts-expect-error nothing returned
      tl.loop({ to: 4 }, state, () => {});
      // @ts-expect-error a plain number is no value of a kernel
      tl.loop({ to: 4 }, { count: 0 }, (_, s) => s);
      // @ts-expect-error an f32 bound
      tl.loop({ to: tl.sum(state.max) }, state, (_, s) => s);
    });
  });

  it("gives what both arms of a branch give", () => {
    check(({ BLOCK_M }, p) => {
      const x = tl.zeros([BLOCK_M], "f32");
      const positive = p.n.gt(0);
      const same = () => ({ x });
      const chosen = tl.if(positive, same, () => ({ x: x.mul(2) }));
      expectTypeOf(chosen).toEqualTypeOf<{ x: Vector<M> }>();
      tl.if(positive, () => tl.print("positive"));
      // @ts-expect-error the second arm gives another dtype
      tl.if(positive, same, () => ({ x: x.to("f16") }));
      // @ts-expect-error the second arm is missing
      tl.if(positive, same);
      // @ts-expect-error a tile is no condition
      tl.if(x.gt(0), () => tl.print("positive"));
    });
  });
});

describe("helpers", () => {
  /** Generic in its dimensions: what a hook of a variant looks like. */
  function causal<R extends number, C extends number>(
    scores: Matrix<R, C>,
    rows: Vector<R, "i32">,
    columns: Vector<C, "i32">,
  ): Matrix<R, C> {
    const visible: Matrix<R, C, "bool"> = rows.perRow().ge(columns.perColumn());
    return tl.where(visible, scores, Number.NEGATIVE_INFINITY);
  }
  function normalized<R extends number, C extends number>(x: Matrix<R, C>): Matrix<R, C> {
    const shifted: Matrix<R, C> = x.sub(tl.max(x, 1).perRow());
    const weights = tl.exp(shifted);
    return weights.div(tl.sum(weights, 1).perRow()).mul(2).add(tl.sum(weights, 0)).add(tl.sum(weights));
  }
  /** Generic in the whole shape. */
  function softCap<S extends Shape>(x: Tile<"f32", S>, cap: Scalar<"f32">): Tile<"f32", S> {
    return tl.tanh(x.div(cap)).mul(cap).add(x.mul(x).mul(cap)).sub(cap);
  }
  function twice<T extends DTypeLike, S extends Shape>(x: Tile<T, S>): Tile<T, S> {
    return x.add(x).mul(1).add(tl.mul(0, x));
  }
  function wrong<R extends number, C extends number, K extends number>(
    x: Matrix<R, C>,
    y: Matrix<R, K>,
    r: Vector<R>,
  ): void {
    // @ts-expect-error C and K are different extents
    x.add(y);
    // @ts-expect-error
    x.add(r);
    // @ts-expect-error
    tl.dot(x, y);
    // @ts-expect-error
    tl.mul(x, y);
  }

  it("may be generic in their dimensions", () => {
    check(({ BLOCK_M, BLOCK_N }, p) => {
      const scores = tl.zeros([BLOCK_M, BLOCK_N], "f32");
      const masked = causal(scores, tl.arange(0, BLOCK_M), tl.arange(0, BLOCK_N));
      expectTypeOf(twice(softCap(normalized(masked), p.n.to("f32")))).toEqualTypeOf<Matrix<M, N>>();
      void wrong;
    });
  });
});

describe("kernels", () => {
  it("checks constants, dtypes and facts of a specialisation", () => {
    const copy = kernel({
      name: "copy",
      constants: { BLOCK: 64, REVERSE: false, MODE: "fast" as "fast" | "slow" },
      params: { x: tl.tensor("T", 1), y: tl.tensor("T", 1), n: tl.scalar("i32") },
      grid: (p, { BLOCK }) => [tl.cdiv(p.x.shape(0), BLOCK), p.n],
      body(p, { BLOCK, REVERSE, MODE }) {
        expectTypeOf(BLOCK).toEqualTypeOf<Dim<"BLOCK">>();
        expectTypeOf(REVERSE).toEqualTypeOf<boolean>();
        expectTypeOf(MODE).toEqualTypeOf<"fast" | "slow">();
        expectTypeOf(p.n).toEqualTypeOf<Scalar<"i32">>();
        p.y.store([0], p.x.load([0], [BLOCK]));
      },
    });
    copy.trace({
      dtypes: { T: "f16" },
      constants: { BLOCK: 32, REVERSE: true, MODE: "slow" },
      facts: { x: { alignment: 2 } },
    });
    // @ts-expect-error no such constant
    expect(() => copy.trace({ dtypes: { T: "f16" }, constants: { BLOK: 32 } })).toThrow();
    // @ts-expect-error a boolean is wanted
    expect(() => copy.trace({ dtypes: { T: "f16" }, constants: { REVERSE: 1 } })).toThrow();
    // @ts-expect-error no such variable
    expect(() => copy.trace({ dtypes: { U: "f16" } })).toThrow();
    // @ts-expect-error no such parameter
    expect(() => copy.trace({ dtypes: { T: "f16" }, facts: { z: {} } })).toThrow();
    // @ts-expect-error the first letter of a variable is a capital
    expect(() => tl.tensor("t", 1)).toThrow();
  });

  it("reads like the algorithm: attention over a variant", () => {
    const attention = attentionForward(plain);
    const ir = attention.trace({ dtypes: { T: "f16" } });
    expect(ir.parameters.map(({ name, dtype }) => `${name}:${dtype}`)).toEqual([
      "q:f16",
      "k:f16",
      "v:f16",
      "out:f16",
      "lse:f32",
      "scale:f32",
    ]);
  });
});

/** A variant: parameters of its own, and hooks that are traced into the kernel. */
interface Variant<P extends ParameterSpecs> {
  readonly params: P;
  scores(p: BodyParameters<P>, at: Place): (n: Scalar<"i32">, columns: Vector<N, "i32">) => Matrix<M, N>;
}
interface Place {
  readonly batch: Scalar<"i32">;
  readonly head: Scalar<"i32">;
  readonly row: Scalar<"i32">;
  readonly rows: Vector<M, "i32">;
  readonly c: { readonly BLOCK_M: M; readonly BLOCK_N: N; readonly HEAD_DIM: D };
}
const plainParams = { q: tl.tensor("T", 4), k: tl.tensor("T", 4) };
const plain: Variant<typeof plainParams> = {
  params: plainParams,
  scores(p, { batch, head, row, rows, c: { BLOCK_M, BLOCK_N, HEAD_DIM } }) {
    const q = p.q.at(batch, head).load([row, 0], [BLOCK_M, HEAD_DIM]);
    return (n, columns) => {
      const k = p.k.at(batch, head).load([n, 0], [BLOCK_N, HEAD_DIM]);
      return tl.where(rows.perRow().ge(columns.perColumn()), tl.dot(q, k.trans()), Number.NEGATIVE_INFINITY);
    };
  },
};

/** The kernel is generic in the parameters that a variant brings. */
function attentionForward<P extends ParameterSpecs>(variant: Variant<P>) {
  const own = { v: tl.tensor("T", 4), out: tl.tensor("T", 4), lse: tl.tensor("f32", 3), scale: tl.scalar("f32") };
  return kernel({
    name: "attention_forward",
    constants: { BLOCK_M: 128, BLOCK_N: 64, HEAD_DIM: 64, VALUE_DIM: 64 },
    params: { ...variant.params, ...own },
    grid: (p, { BLOCK_M }) => [tl.cdiv(p.out.shape(2), BLOCK_M), p.out.shape(1), p.out.shape(0)],
    body(p, c) {
      const { BLOCK_M, BLOCK_N, VALUE_DIM } = c;
      const row = tl.programId(0).mul(BLOCK_M);
      const at = { batch: tl.programId(2), head: tl.programId(1), row, rows: tl.arange(0, BLOCK_M).add(row), c };
      const scores = variant.scores(p, at);
      let state = {
        max: tl.full([BLOCK_M], Number.NEGATIVE_INFINITY, "f32"),
        sum: tl.zeros([BLOCK_M], "f32"),
        acc: tl.zeros([BLOCK_M, VALUE_DIM], "f32"),
      };
      state = tl.loop({ to: p.v.shape(2), step: BLOCK_N }, state, (n, s) => {
        const z = scores(n, tl.arange(0, BLOCK_N).add(n)).mul(p.scale);
        const max = tl.maximum(s.max, tl.max(z, 1));
        const weights = tl.exp2(z.sub(max.perRow()));
        const rescale = tl.exp2(s.max.sub(max));
        const values = p.v.at(at.batch, at.head).load([n, 0], [BLOCK_N, VALUE_DIM]);
        const acc = s.acc.mul(rescale.perRow()).add(tl.dot(weights.to(p.v.dtype), values));
        return { max, sum: s.sum.mul(rescale).add(tl.sum(weights, 1)), acc };
      });
      p.out.at(at.batch, at.head).store([row, 0], state.acc.div(state.sum.perRow()).to(p.out.dtype));
      p.lse.at(at.batch, at.head).store([row], tl.log2(state.sum).add(state.max));
    },
  });
}
