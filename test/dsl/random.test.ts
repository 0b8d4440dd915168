/** `tl.rand` and friends against Philox written down independently, itself checked by the known answers of Random123. */
import { describe, expect, it } from "vitest";
import { kernel, type Scalar, type Tile, tl } from "../../src/dsl/index.ts";
import { type PreparedKernel, prepare } from "../../src/interpreter/index.ts";
import { fastTritonRand, philox4x32, philox4x64, tritonRand, tritonUniform, type Words } from "../support/philox.ts";
import { errorOf } from "./trace.ts";

/** kat_vectors of Random123. */
const ones32 = 0xffffffffn;
const ones64 = 0xffffffffffffffffn;
const zero = [0n, 0n, 0n, 0n] as const;
type KnownAnswer = readonly [rounds: number, counter: Words, key: readonly [bigint, bigint], answer: Words];
const knownAnswers32: readonly KnownAnswer[] = [
  [7, zero, [0n, 0n], [0x5f6fb709n, 0x0d893f64n, 0x4f121f81n, 0x4f730a48n]],
  [7, [ones32, ones32, ones32, ones32], [ones32, ones32], [0x5207ddc2n, 0x45165e59n, 0x4d8ee751n, 0x8c52f662n]],
  [
    7,
    [0x243f6a88n, 0x85a308d3n, 0x13198a2en, 0x03707344n],
    [0xa4093822n, 0x299f31d0n],
    [0x4dfccaban, 0x190a87f0n, 0xc47362ban, 0xb6b5242an],
  ],
  [10, zero, [0n, 0n], [0x6627e8d5n, 0xe169c58dn, 0xbc57ac4cn, 0x9b00dbd8n]],
  [10, [ones32, ones32, ones32, ones32], [ones32, ones32], [0x408f276dn, 0x41c83b0en, 0xa20bc7c6n, 0x6d5451fdn]],
  [
    10,
    [0x243f6a88n, 0x85a308d3n, 0x13198a2en, 0x03707344n],
    [0xa4093822n, 0x299f31d0n],
    [0xd16cfe09n, 0x94fdccebn, 0x5001e420n, 0x24126ea1n],
  ],
];
const knownAnswers64: readonly KnownAnswer[] = [
  [7, zero, [0n, 0n], [0x5dc8ee6268ec62cdn, 0x139bc570b6c125a0n, 0x84d6deb4fb65f49en, 0xaff7583376d378c2n]],
  [10, zero, [0n, 0n], [0x16554d9eca36314cn, 0xdb20fe9d672d0fdcn, 0xd7e772cee186176bn, 0x7e68b68aec7ba23bn]],
  [
    10,
    [ones64, ones64, ones64, ones64],
    [ones64, ones64],
    [0x87b092c3013fe90bn, 0x438c3c67be8d0224n, 0x9cc7d7c69cd777b6n, 0xa09caebf594f0ba0n],
  ],
  [
    10,
    [0x243f6a8885a308d3n, 0x13198a2e03707344n, 0xa4093822299f31d0n, 0x082efa98ec4e6c89n],
    [0x452821e638d01377n, 0xbe5466cf34e90c6cn],
    [0xa528f45403e61d95n, 0x38c72dbd566e9788n, 0xa5a1610e72fd18b5n, 0x57bd43b5e52b7fe6n],
  ],
];

type SeedForm = "i64" | "words" | "number";

const N = 8;
const prepared = new Map<string, PreparedKernel>();

/** The four words, `randint` and `rand` for offsets start, start + 1, ... */
function prepareRandom(rounds: number, offsets: "i32" | "i64", form: SeedForm, seed: bigint): PreparedKernel {
  const name = [rounds, offsets, form, form === "number" ? seed : ""].join();
  const known = prepared.get(name);
  if (known) return known;
  const wide = offsets === "i64";
  const definition = kernel({
    name: "random",
    params: {
      words: tl.pointer("W"),
      ints: tl.pointer("I"),
      floats: tl.pointer("f32"),
      seed: tl.scalar("i64"),
      start: tl.scalar("i64"),
    },
    grid: () => [1],
    body(p) {
      const low = p.seed.and(0xffffffff).to("u32") as Scalar<"u32">;
      const high = p.seed.shr(32).and(0xffffffff).to("u32") as Scalar<"u32">;
      const key = form === "i64" ? p.seed : form === "words" ? ([low, high] as const) : seed;
      const index = tl.arange(0, N);
      const offset: Tile<any, readonly [8]> = wide ? index.to("i64").add(p.start) : index.add(p.start.to("i32"));
      const words = tl.randint4x(key, offset, rounds);
      for (const [i, word] of words.entries()) tl.store(p.words.add(index.mul(4).add(i)), word as never);
      tl.store(p.ints.add(index), tl.randint(key, offset, rounds) as never);
      tl.store(p.floats.add(index), tl.rand(key, offset, rounds));
    },
  });
  const made = prepare(definition.trace({ dtypes: wide ? { W: "i64", I: "i64" } : { W: "u32", I: "i32" } }));
  prepared.set(name, made);
  return made;
}

/** Runs it on the interpreter. Words are unsigned. */
function run(seed: bigint, start: bigint, rounds: number, form: SeedForm, offsets: "i32" | "i64") {
  const wide = offsets === "i64";
  const data = wide
    ? { words: new BigInt64Array(4 * N), ints: new BigInt64Array(N) }
    : { words: new Uint32Array(4 * N), ints: new Int32Array(N) };
  const floats = new Float32Array(N);
  prepareRandom(rounds, offsets, form, seed).run({
    arguments: { words: { data: data.words }, ints: { data: data.ints }, floats: { data: floats }, seed, start },
  });
  return {
    words: [...data.words].map((word) => BigInt.asUintN(wide ? 64 : 32, BigInt(word))),
    ints: [...data.ints].map(BigInt),
    floats,
  };
}

describe("Philox", () => {
  it.each([
    ["4x32", philox4x32, knownAnswers32],
    ["4x64", philox4x64, knownAnswers64],
  ] as const)("%s: the reference of this test gives the known answers", (_, philox, answers) => {
    for (const [rounds, counter, key, answer] of answers) expect(philox(rounds, counter, key)).toEqual(answer);
  });

  it("gives the known answers for counter and key 0", () => {
    for (const [offsets, answers] of [
      ["i32", knownAnswers32],
      ["i64", knownAnswers64],
    ] as const)
      for (const [rounds, counter, [key], answer] of answers)
        if (counter === zero && key === 0n)
          expect(run(0n, 0n, rounds, "number", offsets).words.slice(0, 4)).toEqual(answer);
  });

  const seeds = [0n, 1n, 123456789n, 0x0123456789abcdefn, -1n, -(2n ** 63n)];
  const starts = {
    i32: [0n, 123456n, 2n ** 31n - 8n, -4n],
    i64: [0n, 123456789123456789n, 2n ** 32n - 4n, 2n ** 63n - 8n, -4n],
  };
  it.each(
    (["i32", "i64"] as const).flatMap((offsets) =>
      (["i64", "words", "number"] as const).map((form) => [offsets, form] as const),
    ),
  )("agrees with the reference for every seed and offset: offset as %s, seed as %s", (offsets, form) => {
    const bits = offsets === "i32" ? 32 : 64;
    for (const seed of form === "i64" ? seeds : seeds.slice(3, 5))
      for (const start of starts[offsets])
        for (const rounds of [6, 10]) {
          const { words, ints, floats } = run(seed, start, rounds, form, offsets);
          for (let i = 0; i < 8; i++) {
            const offset = start + BigInt(i);
            const counter: Words = [BigInt.asUintN(bits, offset), 0n, 0n, 0n];
            const expected =
              bits === 32
                ? philox4x32(rounds, counter, [BigInt.asUintN(32, seed), BigInt.asUintN(32, seed >> 32n)])
                : philox4x64(rounds, counter, [BigInt.asUintN(64, seed), 0n]);
            expect(words.slice(4 * i, 4 * i + 4)).toEqual(expected);
            expect(ints[i]).toBe(BigInt.asIntN(bits, expected[0]));
            expect(floats[i]).toBe(tritonRand(seed, offset, rounds, bits));
          }
        }
  });

  it("is what references for large samples compute in plain numbers", () => {
    for (let i = 0; i < 300; i++) {
      const [seed, offset] = [BigInt(i) * 0x9abc_def0_1234_5677n, (i * 0x1234_5671) >>> 0];
      const key = [Number(seed & ones32), Number((seed >> 32n) & ones32)] as const;
      expect(fastTritonRand(key, offset, 6)).toBe(tritonRand(seed, BigInt(offset), 6, 32));
    }
  });

  it("stays in [0, 1), also for the words that come closest to the ends", () => {
    // rand maps the word to |int32| below 2^31, times a little less than 2^-31; |int64| may round up to 2^63.
    const scale = Math.fround(4.6566127342e-10);
    expect(Math.fround(Math.fround(2 ** 31 - 1) * scale)).toBeLessThan(1);
    expect(Math.fround(0 * scale)).toBe(0);
    expect(Math.fround(2 ** 63 * Math.fround(1.0842020432385337e-19))).toBeLessThan(1);
  });

  it("refuses seeds and offsets that are none", () => {
    expect(errorOf((p) => void tl.rand(p.scale as never, tl.arange(0, 4))).message).toMatch(
      /the seed must be i32, u32 or i64, got f32/,
    );
    expect(errorOf((p) => void tl.rand(p.n, tl.zeros([4], "f32") as never)).message).toMatch(
      /the offset must be i32, u32 or i64, got f32/,
    );
    expect(errorOf((p) => void tl.rand([p.n, p.n] as never, tl.arange(0, 4))).message).toMatch(
      /two words of a seed must be u32, got i32/,
    );
    expect(errorOf((p) => void tl.rand(p.n, tl.arange(0, 4), 0)).message).toMatch(
      /rounds of Philox must be a positive integer/,
    );
  });
});

describe("tl.randn", () => {
  const N = 4096;
  const normal = (offsets: "i32" | "i64") =>
    prepare(
      kernel({
        name: "normal",
        params: { out: tl.pointer("f32") },
        grid: () => [1],
        body(p) {
          const index = tl.arange(0, N);
          const offset: Tile<any, readonly [4096]> = offsets === "i64" ? index.to("i64") : index;
          tl.store(p.out.add(index), tl.randn(7, offset));
        },
      }).trace(),
    );
  it.each(["i32", "i64"] as const)("is Box and Muller's of the first two words, %s", (offsets) => {
    const out = new Float32Array(N);
    normal(offsets).run({ arguments: { out: { data: out } } });
    const bits = offsets === "i32" ? 32 : 64;
    for (let i = 0; i < N; i++) {
      const [first, second] = (bits === 32 ? philox4x32 : philox4x64)(10, [BigInt(i), 0n, 0n, 0n], [7n, 0n]);
      const radius = Math.sqrt(-2 * Math.log(Math.max(Math.fround(1e-7), tritonUniform(first, bits))));
      const expected = radius * Math.cos(2 * Math.PI * tritonUniform(second, bits));
      // The angle, up to 2 pi, is rounded twice (its factor too); the logarithm near 1, the root and the product once each.
      expect(Math.abs(out[i]! - expected)).toBeLessThanOrEqual(radius * (2 * 2 * Math.PI + 4) * 2 ** -24);
    }
    const mean = out.reduce((sum, x) => sum + x, 0) / N;
    const variance = out.reduce((sum, x) => sum + (x - mean) ** 2, 0) / N;
    // Four standard deviations of either estimate.
    expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(N));
    expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.sqrt(2 / N));
  });
});
