/** Loops, branches, and what leaves them. */
import { describe, expect, it } from "vitest";
import { kernel, type Scalar, tl } from "../../src/dsl/index.ts";
import { errorOf, expectError, runOn, text, textOf } from "./trace.ts";

describe("tl.while", () => {
  it("is a loop that asks before the first turn and after each", () => {
    expect(
      textOf((p) => {
        tl.while(
          { n: p.n },
          ({ n }) => n.gt(1),
          ({ n }) => ({ n: n.shr(1) }),
          { most: 10 },
        );
      }),
    ).toBe(text`
      %0 = constant 10 : i32
      %1 = constant 0 : i32
      %2 = constant 1 : i32
      %3 = compare %n, %2 {predicate = "gt"} : bool
      %4 = select %3, %0, %1 : i32
      %5 = constant 0 : i32
      %6 = constant 1 : i32
      %n#1 = loop %turn = %5 to %4 step %6 with (%n#2 = %n) {
        %7 = constant 1 : i32
        %8 = shr %n#2, %7 : i32
        %9 = constant 1 : i32
        %10 = compare %8, %9 {predicate = "gt"} : bool
        yield %8, %10
      }
    `);
  });
});

describe("tl.loop", () => {
  it("carries named values and keeps the author's name of the index", () => {
    expect(
      textOf((p) => {
        const last = tl.loop(
          { from: p.n, to: 64, step: 16 },
          { max: tl.full([8], Number.NEGATIVE_INFINITY, "f32"), ptr: p.ptr },
          (column, s) => ({ max: s.max.maximum(tl.load(s.ptr)), ptr: s.ptr.add(column) }),
        );
        last.max.neg();
      }),
    ).toBe(
      text`
      %0 = constant 64 : i32
      %1 = constant 16 : i32
      %max = constant -inf : tile<8xf32>
      %max#1, %ptr#1 = loop %column = %n to %0 step %1 with (%max#2 = %max, %ptr#2 = %ptr) {
        %2 = load %ptr#2 : f32
        %3 = splat %2 : tile<8xf32>
        %4 = max %max#2, %3 : tile<8xf32>
        %5 = add_pointer %ptr#2, %column : ptr<f32>
        yield %4, %5
      }
      %6 = neg %max#1 : tile<8xf32>
    `
        .replace("%max = constant -inf : tile<8xf32>\n", "")
        .replace("%0 = constant 64", "%max = constant -inf : tile<8xf32>\n%0 = constant 64"),
    );
  });

  it("starts at 0 and steps by 1 by default; a loop without state only stores", () => {
    const result = runOn(new Float32Array(4), [1, 4], (p) => {
      tl.loop({ to: p.n }, {}, (i) => p.x.store([0, i], i.to("f32").add(1)));
    });
    expect([...result]).toEqual([1, 2, 3, 0]);
  });

  it("gives the initial state when there is no round", () => {
    const result = runOn(new Float32Array(1), [1, 1], (p) => {
      const { x } = tl.loop({ from: 5, to: p.n }, { x: p.scale }, (_, s) => ({ x: s.x.add(1) }));
      p.x.store([0, 0], x);
    });
    expect([...result]).toEqual([0.5]);
  });

  it("nests, and inner loops read outer state", () => {
    const result = runOn(new Float32Array(1), [1, 1], (p) => {
      const { total } = tl.loop({ to: 4 }, { total: tl.full([], 0, "i32") }, (i, outer) =>
        tl.loop({ to: i }, outer, (j, s) => ({ total: s.total.add(i.mul(j)) })),
      );
      p.x.store([0, 0], total.to("f32"));
    });
    // Sum of i * j for j < i < 4: 2*1 + 3*1 + 3*2.
    expect([...result]).toEqual([11]);
  });

  it("takes the order of the fields from the initial state", () => {
    const result = runOn(new Float32Array(2), [1, 2], (p) => {
      const { a, b } = tl.loop({ to: 3 }, { a: p.scale, b: p.n }, (_, s) => ({ b: s.b.add(1), a: s.a.mul(2) }));
      p.x.store([0, 0], a);
      p.x.store([0, 1], b.to("f32"));
    });
    expect([...result]).toEqual([4, 6]);
  });
});

describe("tl.if", () => {
  it("stays a branch, also with literal arms", () => {
    expect(
      textOf((p) => {
        const { sign } = tl.if(
          p.n.lt(0),
          () => ({ sign: tl.full([], -1, "i32") }),
          () => ({ sign: tl.full([], 1, "i32") }),
        );
        sign.mul(p.n);
      }),
    ).toBe(text`
      %0 = constant 0 : i32
      %1 = compare %n, %0 {predicate = "lt"} : bool
      %sign = if %1 {
        %sign#1 = constant -1 : i32
        yield %sign#1
      } else {
        %2 = constant 1 : i32
        yield %2
      }
      %3 = mul %sign, %n : i32
    `);
  });

  it("may have one arm that gives nothing", () => {
    const run = (limit: number) =>
      runOn(new Float32Array(1), [1, 1], (p) => void tl.if(p.n.lt(limit), () => p.x.store([0, 0], p.scale)));
    expect([...run(3)]).toEqual([0]);
    expect([...run(4)]).toEqual([0.5]);
  });
});

describe("mistakes", () => {
  const state = () => ({ max: tl.zeros([4], "f32"), acc: tl.zeros([4, 8], "f32") });

  it("in the state are named by field and type", () => {
    const cases: [code: string, message: RegExp, next: (s: ReturnType<typeof state>) => unknown][] = [
      ["STATE_FIELD", /returns lacks "acc" \(tile<4x8xf32>\)/, ({ max }) => ({ max })],
      ["STATE_FIELD", /returns has "sum", which .* lacks: add it there too/, (s) => ({ ...s, sum: s.max })],
      ["STATE_TYPE", /"max" is tile<4x1xf32>, but .* tile<4xf32>/, (s) => ({ ...s, max: s.max.perRow() })],
      ["STATE_TYPE", /"max" is tile<4xf16>/, (s) => ({ ...s, max: s.max.to("f16") })],
      [
        "STATE",
        /"max" must be a tile, scalar or pointer, got a JavaScript number: make it a value with tl.full/,
        (s) => ({ ...s, max: 1 }),
      ],
      ["STATE", /must be a record of tiles, .* got a JavaScript undefined/, () => undefined],
      ["STATE", /must be a record of tiles/, async (s) => s],
    ];
    for (const [code, message, next] of cases)
      expectError(code, message, () => {
        throw errorOf(() => void tl.loop({ to: 4 }, state(), (_, s) => next(s) as typeof s));
      });
  });

  it("nested records and views are no state", () => {
    expectError("STATE", /"inner" .*flat/, () => {
      throw errorOf(() => void tl.loop({ to: 4 }, { inner: state() } as never, (_, s) => s as never));
    });
    expectError("STATE", /"view" must be/, () => {
      throw errorOf((p) => void tl.loop({ to: 4 }, { view: p.x } as never, (_, s) => s as never));
    });
  });

  it("in arms are named too", () => {
    const arms = (then: () => unknown, otherwise?: () => unknown) =>
      errorOf((p) => void tl.if(p.n.gt(0), then as () => void, otherwise as () => void));
    const x = () => ({ x: tl.zeros([4], "f32") });
    expect(arms(x)).toMatchObject({
      code: "STATE_FIELD",
      message: expect.stringContaining('returns "x", so a second'),
    });
    expect(arms(x, () => ({ x: tl.zeros([4], "f16") })).code).toBe("STATE_TYPE");
    expect(arms(() => {}, x)).toMatchObject({
      code: "STATE_FIELD",
      message: expect.stringContaining('has "x", which'),
    });
  });

  it("a condition must be a bool scalar", () => {
    expect(errorOf(() => void tl.if(true as never, () => {})).message).toMatch(/use a plain if/);
    expect(errorOf((p) => void tl.if(p.n as never, () => {})).message).toMatch(/bool scalar, got i32/);
    expect(errorOf((p) => void tl.if(tl.arange(0, 4).lt(p.n) as never, () => {})).message).toMatch(/use tl.where/);
  });

  it("a value cannot leave its region", () => {
    let leaked: Scalar<"i32"> | undefined;
    const loop = errorOf((p) => {
      tl.loop({ to: 4 }, {}, (i) => {
        leaked = i.add(1).named("next");
      });
      p.n.add(leaked!);
    });
    expect(loop.code).toBe("ESCAPED_VALUE");
    expect(loop.message).toMatch(/"next" \(i32\) was made inside a loop's body that has ended: return it/);

    const arm = errorOf((p) => {
      tl.if(
        p.n.gt(0),
        () => {
          leaked = p.n.add(1);
        },
        () => p.x.store([0, 0], leaked!.to("f32")),
      );
    });
    expect(arm.code).toBe("ESCAPED_VALUE");
  });

  it("a value cannot enter another kernel, nor work outside of one", () => {
    let leaked: Scalar<"i32"> | undefined;
    errorOf((p) => {
      leaked = p.n;
      tl.staticAssert(false, "stop");
    });
    const foreign = errorOf((p) => void p.n.add(leaked!));
    expect(foreign.code).toBe("FOREIGN_VALUE");
    expect(foreign.message).toMatch(/"n" \(i32\) belongs to another kernel's trace, not to "test"/);
    expectError("NO_TRACE", /only inside the body of a kernel/, () => leaked!.add(1));
    expectError("NO_TRACE", /only inside the body of a kernel/, () => tl.zeros([4], "f32"));
  });

  it("a failed trace leaves nothing behind", () => {
    errorOf(() => void tl.loop({ to: 4 }, {}, () => tl.staticAssert(false, "stop")));
    expectError("NO_TRACE", /./, () => tl.programId(0));
    const inner = kernel({ name: "inner", params: {}, body: () => void tl.programId(1) });
    // Tracing a kernel inside another's body is allowed: each has its own trace.
    const outer = textOf((p) => {
      inner.trace();
      p.n.add(1);
    });
    expect(outer).toContain("add %n");
  });
});
