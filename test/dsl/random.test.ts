/** `tl.rand` and friends against Philox 4x32 written down independently, itself checked by the known answers of Random123. */
import { describe, expect, it } from "vitest";
import { kernel, type Scalar, tl } from "../../src/dsl/index.ts";
import { interpret } from "../../src/interpreter/index.ts";
import { errorOf } from "./trace.ts";

type Words = [number, number, number, number];

/** Salmon et al., SC 2011: section 3.3, in 64-bit integers. */
function philox(rounds: number, counter: Words, key: [number, number]): Words {
  let [x0, x1, x2, x3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  const mask = 0xffffffffn;
  for (let round = 0; round < rounds; round++) {
    const [p0, p1] = [0xd2511f53n * x0, 0xcd9e8d57n * x2];
    [x0, x1, x2, x3] = [(p1 >> 32n) ^ x1 ^ k0, p1 & mask, (p0 >> 32n) ^ x3 ^ k1, p0 & mask];
    [k0, k1] = [(k0 + 0x9e3779b9n) & mask, (k1 + 0xbb67ae85n) & mask];
  }
  return [x0, x1, x2, x3].map(Number) as Words;
}

/** kat_vectors of Random123. */
const ones = 0xffffffff;
const knownAnswers: [rounds: number, counter: Words, key: [number, number], answer: Words][] = [
  [7, [0, 0, 0, 0], [0, 0], [0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48]],
  [7, [ones, ones, ones, ones], [ones, ones], [0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662]],
  [
    7,
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a],
  ],
  [10, [0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
  [10, [ones, ones, ones, ones], [ones, ones], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
  [
    10,
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
];

/** Runs the four words, `randint` and `rand` for offsets start, start + 1, ... on the interpreter. */
function run(
  seed: bigint,
  start: bigint,
  rounds: number,
  form: "i64" | "words" | "number",
  offsets: "i32" | "i64" = "i32",
) {
  const N = 8;
  const definition = kernel({
    name: "random",
    params: {
      words: tl.pointer("u32"),
      ints: tl.pointer("i32"),
      floats: tl.pointer("f32"),
      seed: tl.scalar("i64"),
      start: tl.scalar("i64"),
    },
    grid: () => [1],
    body(p) {
      const low = p.seed.and(ones).to("u32") as Scalar<"u32">;
      const high = p.seed.shr(32).and(ones).to("u32") as Scalar<"u32">;
      const key = form === "i64" ? p.seed : form === "words" ? ([low, high] as const) : seed;
      const index = tl.arange(0, N);
      const offset = offsets === "i64" ? index.to("i64").add(p.start) : index.add(p.start.to("i32"));
      for (const [i, word] of tl.randint4x(key, offset, rounds).entries())
        tl.store(p.words.add(index.mul(4).add(i)), word);
      tl.store(p.ints.add(index), tl.randint(key, offset, rounds));
      tl.store(p.floats.add(index), tl.rand(key, offset, rounds));
    },
  });
  const [words, ints, floats] = [new Uint32Array(4 * N), new Int32Array(N), new Float32Array(N)];
  interpret(definition.trace(), {
    arguments: { words: { data: words }, ints: { data: ints }, floats: { data: floats }, seed, start },
  });
  return { words, ints, floats };
}

describe("Philox 4x32", () => {
  it.each(knownAnswers)(
    "the reference of this test gives the known answer: %i rounds, %j",
    (rounds, counter, key, answer) => {
      expect(philox(rounds, counter, key)).toEqual(answer);
    },
  );

  it("gives the known answer for counter and key 0", () => {
    for (const [rounds, answer] of [
      [7, knownAnswers[0]![3]],
      [10, knownAnswers[3]![3]],
    ] as const)
      expect([...run(0n, 0n, rounds, "number").words.slice(0, 4)]).toEqual(answer);
  });

  const seeds = [0n, 1n, 123456789n, 0x0123456789abcdefn, -1n, -(2n ** 63n)];
  const starts = [0n, 123456n, 2n ** 31n - 8n, -4n];
  it.each(["i64", "words", "number"] as const)(
    "agrees with the reference for every seed and offset: seed as %s",
    (form) => {
      for (const seed of seeds)
        for (const start of starts)
          for (const rounds of [6, 10]) {
            const { words, ints, floats } = run(seed, start, rounds, form);
            const key: [number, number] = [Number(BigInt.asUintN(32, seed)), Number(BigInt.asUintN(32, seed >> 32n))];
            for (let i = 0; i < 8; i++) {
              const expected = philox(rounds, [Number(BigInt.asUintN(32, start + BigInt(i))), 0, 0, 0], key);
              expect([...words.slice(4 * i, 4 * i + 4)]).toEqual(expected);
              expect(ints[i]).toBe(expected[0] | 0);
              const signed = expected[0] | 0;
              expect(floats[i]).toBe(
                Math.fround(Math.fround(signed < 0 ? -signed - 1 : signed) * Math.fround(4.6566127342e-10)),
              );
            }
          }
    },
  );

  it("takes 64-bit offsets as a 64-bit counter", () => {
    const start = 0x1_0000_0000n * 7n - 4n;
    const { words } = run(42n, start, 10, "i64", "i64");
    for (let i = 0; i < 8; i++) {
      const offset = start + BigInt(i);
      expect([...words.slice(4 * i, 4 * i + 4)]).toEqual(
        philox(10, [Number(BigInt.asUintN(32, offset)), Number(offset >> 32n), 0, 0], [42, 0]),
      );
    }
  });

  it("stays in [0, 1), also for the words that come closest to the ends", () => {
    // rand maps the word to |int32| below 2^31, times a little less than 2^-31.
    const scale = Math.fround(4.6566127342e-10);
    expect(Math.fround(Math.fround(2 ** 31 - 1) * scale)).toBeLessThan(1);
    expect(Math.fround(0 * scale)).toBe(0);
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
