/** The variants of the rotary embedding: formulas of the papers, numbers computed by hand, what must hold for all, and tables far out. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  overrideRopeConfig,
  plainRope,
  type RopeConfig,
  type RopeScaling,
  readRopeConfig,
  ropeFrequencies,
  ropeTableData,
} from "../../src/kernels/rope/index.ts";
import { cosSin, exp, fixed, lnOf, multiply } from "../support/fixed-point.ts";

const base = (theta = 10000, maxPositions = 4096): RopeConfig => plainRope(theta, maxPositions);
const withScaling = (scaling: RopeScaling, from = base()): RopeConfig => ({ ...from, scaling });
const frequenciesOf = (config: RopeConfig, headDim = 128, sequenceLength?: number) =>
  ropeFrequencies(config, { headDim, sequenceLength });
const values = (config: RopeConfig, headDim = 128, sequenceLength?: number) => [
  ...frequenciesOf(config, headDim, sequenceLength).inverseFrequencies,
];
/** Equal but for a few roundings of f64. */
const expectEqual = (actual: readonly number[], expected: readonly number[]) => {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of actual.entries())
    expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(32 * 2 ** -53 * Math.abs(expected[i]!));
};
const pairs = (count: number) => Array.from({ length: count }, (_, i) => i);
const theta = (i: number, d: number, b = 10000) => Math.exp((-Math.log(b) * 2 * i) / d);

describe("formulas", () => {
  it("default", () => {
    expectEqual(
      values(base()),
      pairs(64).map((i) => theta(i, 128)),
    );
    expect(values(base(10000), 8)).toEqual([1, 0.1, 0.01, 0.001].map((x) => expect.closeTo(x, 15)));
  });

  it("linear: positions divided by the factor", () => {
    expectEqual(
      values(withScaling({ type: "linear", factor: 4 })),
      pairs(64).map((i) => theta(i, 128) / 4),
    );
  });

  it("NTK-aware: the fastest pair stays, the slowest is interpolated by the whole factor", () => {
    const frequencies = values(withScaling({ type: "ntk", factor: 8 }));
    expect(frequencies[0]).toBe(1);
    expectEqual([frequencies[63]!], [theta(63, 128) / 8]);
    // In between, geometric: each is the one before times the same ratio.
    expectEqual(
      frequencies,
      pairs(64).map((i) => (theta(63, 128) / 8) ** (i / 63)),
    );
  });

  it("dynamic: NTK-aware by the length, nothing up to the trained length", () => {
    const dynamic = (factor: number) => withScaling({ type: "dynamic", factor }, base(10000, 256));
    for (const length of [1, 255, 256]) expectEqual(values(dynamic(4), 32, length), values(base(), 32));
    // Factor 1: the slowest pair is interpolated by L / Lmax; factor s: by s L / Lmax - (s - 1).
    expectEqual([values(dynamic(1), 32, 512)[15]!], [theta(15, 32) / 2]);
    expectEqual([values(dynamic(4), 32, 512)[15]!], [theta(15, 32) / 5]);
    expectEqual(values(dynamic(4), 32), values(base(), 32));
  });

  it("NTK by parts: by the turns that a pair makes in the trained length", () => {
    const by = withScaling({ type: "ntk-by-parts", factor: 16, originalMaxPositions: 4096, alpha: 1, beta: 32 });
    const expected = pairs(64).map((i) => {
      const wavelength = (2 * Math.PI) / theta(i, 128);
      if (4096 / wavelength >= 32) return theta(i, 128);
      if (4096 / wavelength <= 1) return theta(i, 128) / 16;
      const gamma = (4096 / wavelength - 1) / 31;
      return theta(i, 128) * (gamma + (1 - gamma) / 16);
    });
    expectEqual(values(by), expected);
    expect(expected.slice(0, 21)).toEqual(pairs(21).map((i) => theta(i, 128))); // 32 turns at index 20.94
    expect(expected[21]).not.toBe(theta(21, 128));
  });

  it("YaRN for Llama 2 at 64K: the ramp from index 20 to 46, cosines times 1.2773", () => {
    // 128 ln(4096 / (32 · 2 pi)) / (2 ln 10000) = 20.94, and 45.03 for one turn.
    const config = overrideRopeConfig(base(), { rope_type: "yarn", factor: 16 });
    const frequencies = frequenciesOf(config);
    expect(frequencies.attentionFactor).toBeCloseTo(1.2772588722, 9);
    const expected = pairs(64).map((i) => {
      const ramp = Math.min(1, Math.max(0, (i - 20) / 26));
      return (theta(i, 128) * ramp) / 16 + theta(i, 128) * (1 - ramp);
    });
    expectEqual([...frequencies.inverseFrequencies], expected);
  });

  it("YaRN without truncation (gpt-oss) begins the ramp between indices", () => {
    const parameters = { rope_type: "yarn", factor: 32, beta_fast: 32, beta_slow: 1, truncate: false };
    const config = overrideRopeConfig(base(150000), { ...parameters, original_max_position_embeddings: 4096 });
    const [low, high] = [32, 1].map((turns) => (64 * Math.log(4096 / (2 * Math.PI * turns))) / (2 * Math.log(150000)));
    expect(low).toBeCloseTo(8.0928, 4);
    const expected = pairs(32).map((i) => {
      const ramp = Math.min(1, Math.max(0, (i - low!) / (high! - low!)));
      return theta(i, 64, 150000) * (1 - ramp + ramp / 32);
    });
    expectEqual(values(config, 64), expected);
    expect(frequenciesOf(config, 64).attentionFactor).toBeCloseTo(1.34657359, 8);
  });

  it("YaRN's attention factor from mscale (DeepSeek-V2: both 0.707, so 1)", () => {
    const read = (mscale: number, all: number) =>
      frequenciesOf(overrideRopeConfig(base(), { type: "yarn", factor: 40, mscale, mscale_all_dim: all }));
    const deepSeek = 707 / 1000;
    expect(read(deepSeek, deepSeek).attentionFactor).toBe(1);
    // ln 40 = 3.6888794541
    expect(read(1, 0.5).attentionFactor).toBeCloseTo(1.36888794541 / 1.184443972705, 10);
  });

  it("LongRoPE: the long factors beyond the trained length; Phi-3's attention factor is sqrt(1 + 5/12)", () => {
    const [short, long] = [pairs(48).map((i) => 1 + i / 100), pairs(48).map((i) => 1 + i)];
    const parameters = { type: "su", short_factor: short, long_factor: long };
    const json = { max_position_embeddings: 131072, original_max_position_embeddings: 4096, rope_scaling: parameters };
    const config = readRopeConfig(json);
    const expected = (factors: readonly number[]) => factors.map((factor, i) => theta(i, 96) / factor);
    expectEqual(values(config, 96, 4096), expected(short));
    expectEqual(values(config, 96, 4097), expected(long));
    expectEqual(values(config, 96), expected(long)); // by default the sequence is as long as the model allows
    expect(frequenciesOf(config, 96).attentionFactor).toBeCloseTo(Math.sqrt(17 / 12), 12);
    expect(() => frequenciesOf(config, 128)).toThrow(/short_factor has 48 numbers; accepted: 64/);
  });

  it("Llama 3.1: pairs 0 to 28 as they are, from 35 on divided by 8, between blended", () => {
    const config = readRopeConfig({
      max_position_embeddings: 131072,
      rope_theta: 500000,
      rope_scaling: {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
      },
    });
    const frequencies = values(config);
    // theta_i = 2 pi / 2048 at i = 28.2 and 2 pi / 8192 at i = 35.0
    expectEqual(
      frequencies.slice(0, 29),
      pairs(29).map((i) => theta(i, 128, 500000)),
    );
    expectEqual(
      frequencies.slice(35),
      pairs(29).map((i) => theta(i + 35, 128, 500000) / 8),
    );
    // Pair 32: theta = 1/sqrt(500000), 1.843848 turns in 8192, weight 0.281283: (0.718717/8 + 0.281283) theta
    expect(frequencies[32]).toBeCloseTo(0.00052484627, 9);
    for (let i = 29; i < 35; i++) {
      const wavelength = (2 * Math.PI) / theta(i, 128, 500000);
      const smooth = (8192 / wavelength - 1) / (4 - 1);
      const expected = (1 - smooth) * (theta(i, 128, 500000) / 8) + smooth * theta(i, 128, 500000);
      expectEqual([frequencies[i]!], [expected]);
    }
  });

  it("partial: exponents and width by the turned channels", () => {
    const { inverseFrequencies, rotaryDim } = frequenciesOf({ ...base(), partialRotaryFactor: 0.25 }, 80);
    expect(rotaryDim).toBe(20);
    expectEqual(
      [...inverseFrequencies],
      pairs(10).map((i) => theta(i, 20)),
    );
    expect(() => frequenciesOf({ ...base(), partialRotaryFactor: 0.1 }, 50)).toThrow(/partial_rotary_factor is 0.1/);
  });

  it("proportional, as Gemma 4 has it: 64 of 256 pairs turn, exponents by the whole head", () => {
    const parameters = { rope_type: "proportional", rope_theta: 1e6, partial_rotary_factor: 0.25 };
    const config = readRopeConfig({ max_position_embeddings: 262144, rope_parameters: parameters });
    const { inverseFrequencies, rotaryDim } = frequenciesOf(config, 512);
    expect(rotaryDim).toBe(512);
    expectEqual(
      [...inverseFrequencies],
      pairs(256).map((i) => (i < 64 ? theta(i, 512, 1e6) : 0)),
    );
  });
});

describe("for all", () => {
  const longFactors = Array.from({ length: 32 }, () => 1);
  const neutral: RopeScaling[] = [
    { type: "linear", factor: 1 },
    { type: "ntk", factor: 1 },
    { type: "dynamic", factor: 1 },
    { type: "ntk-by-parts", factor: 1, originalMaxPositions: 2048, alpha: 1, beta: 32 },
    { type: "llama3", factor: 1, originalMaxPositions: 2048, lowFrequencyFactor: 1, highFrequencyFactor: 4 },
    { type: "proportional", factor: 1 },
    {
      type: "yarn",
      factor: 1,
      originalMaxPositions: 2048,
      betaFast: 32,
      betaSlow: 1,
      truncate: true,
      attentionFactor: 1,
    },
    {
      type: "longrope",
      originalMaxPositions: 2048,
      shortFactor: longFactors,
      longFactor: longFactors,
      attentionFactor: 1,
    },
    { type: "xpos", scaleBase: 512 },
  ];
  it.each(neutral)("$type with factor 1 is the default", (scaling) => {
    fc.assert(
      fc.property(fc.double({ min: 100, max: 1e6, noNaN: true }), (b) => {
        expectEqual(values(withScaling(scaling, base(b)), 64), values(base(b), 64));
      }),
      { numRuns: 20 },
    );
    const yarn = overrideRopeConfig(base(), { rope_type: "yarn", factor: 1 });
    expect(frequenciesOf(yarn).attentionFactor).toBe(1);
  });

  it("frequencies lie between interpolated by the factor and the default, and never rise", () => {
    const scalings = (factor: number): RopeScaling[] => [
      { type: "linear", factor },
      { type: "ntk", factor },
      { type: "ntk-by-parts", factor, originalMaxPositions: 2048, alpha: 1, beta: 32 },
      {
        type: "yarn",
        factor,
        originalMaxPositions: 2048,
        betaFast: 32,
        betaSlow: 1,
        truncate: false,
        attentionFactor: 1,
      },
      { type: "llama3", factor, originalMaxPositions: 2048, lowFrequencyFactor: 1, highFrequencyFactor: 4 },
    ];
    fc.assert(
      fc.property(
        fc.double({ min: 1, max: 64, noNaN: true }),
        fc.integer({ min: 0, max: 4 }),
        fc.constantFrom(32, 64, 80, 128),
        (factor, which, headDim) => {
          const plain = values(base(), headDim);
          const frequencies = values(withScaling(scalings(factor)[which]!), headDim);
          for (const [i, frequency] of frequencies.entries()) {
            expect(frequency).toBeLessThanOrEqual(plain[i]! * (1 + 1e-14));
            expect(frequency).toBeGreaterThanOrEqual((plain[i]! / factor) * (1 - 1e-14));
            if (i > 0) expect(frequency).toBeLessThan(frequencies[i - 1]!);
          }
        },
      ),
    );
  });
});

describe("tables", () => {
  it.each([
    [10000, 128],
    [500000, 128],
    [1e6, 96],
  ])("base %d, head dim %d: at positions up to 2^20 only the rounding to f32 is lost", (b, headDim) => {
    const positions = [0, 1, 4095, 131071, 999983, 2 ** 20];
    const { cos, sin, pairs: count } = ropeTableData(frequenciesOf(base(b), headDim), { positions });
    const logarithm = lnOf(b);
    for (const [row, position] of positions.entries())
      for (const i of [0, 1, 2, 3, 5, 8, 13, 21, 34, count - 1]) {
        const angle = multiply(fixed(position), exp((-logarithm * BigInt(2 * i)) / BigInt(headDim)));
        const exact = cosSin(angle);
        const at = row * count + i;
        // Half a unit of f32 below 1, and the angle's own rounding: 2^20 times a few units of f64.
        const allowed = 2 ** -25 + 2 ** -30;
        expect(Math.abs(cos[at]! - exact.cos)).toBeLessThanOrEqual(allowed);
        expect(Math.abs(sin[at]! - exact.sin)).toBeLessThanOrEqual(allowed);
      }
  });

  it("positions may be fractions, rows may be scaled, and the attention factor is in both", () => {
    const frequencies = { ...frequenciesOf(base(), 4), attentionFactor: 1.5 };
    const { cos, sin, rows } = ropeTableData(frequencies, { positions: [2.5, -1], rowScale: [2, 1] });
    expect(rows).toBe(2);
    const expected = (of: (x: number) => number) =>
      [3 * of(2.5), 3 * of(0.025), 1.5 * of(-1), 1.5 * of(-0.01)].map(Math.fround);
    expect([...cos]).toEqual(expected(Math.cos));
    expect([...sin]).toEqual(expected(Math.sin));
  });

  it.each([
    ["chunked", [16, 24, 24], false, (i: number) => (i < 16 ? 0 : i < 40 ? 1 : 2)],
    ["interleaved", [24, 20, 20], true, (i: number) => (i % 3 > 0 && i < 60 ? i % 3 : 0)],
    // Height takes 1, 4, ..., 31 (11 pairs), width 2, 5, ..., 29 (10).
    ["interleaved", [11, 11, 10], true, (i: number) => (i % 3 === 1 || (i % 3 === 2 && i < 30) ? i % 3 : 0)],
  ] as const)("M-RoPE %s %j", (_, sizes, interleaved, kindOf) => {
    const half = sizes[0] + sizes[1] + sizes[2];
    const read = { rope_type: "default", mrope_section: [...sizes], mrope_interleaved: interleaved };
    const frequencies = frequenciesOf(overrideRopeConfig(base(1e6), read), 2 * half);
    const [time, height, width] = [
      [3, 3],
      [7, 50],
      [11, 90],
    ] as const;
    const { cos } = ropeTableData(frequencies, { positions: { time, height, width } });
    const expected = pairs(2 * half).map((at) => {
      const [row, i] = [Math.floor(at / half), at % half];
      return Math.fround(Math.cos([time, height, width][kindOf(i)]![row]! * frequencies.inverseFrequencies[i]!));
    });
    expect([...cos]).toEqual(expected);
    // A text's token has three equal positions: plain RoPE.
    const plain = ropeTableData(frequenciesOf(base(1e6), 2 * half), { positions: 9 });
    expect(ropeTableData(frequencies, { positions: 9 })).toEqual(plain);
  });

  it("xPos: queries grow and keys shrink, so that their product decays with distance alone", () => {
    const config = readRopeConfig({ max_position_embeddings: 2048, rope_parameters: { rope_type: "xpos" } });
    const [headDim, length] = [8, 301];
    const frequencies = frequenciesOf(config, headDim, length);
    expect(frequencies.layout).toBe("interleaved");
    const query = ropeTableData(frequencies, { positions: length, side: "query" });
    const key = ropeTableData(frequencies, { positions: length, side: "key" });
    for (const [n, m] of [
      [0, 0],
      [150, 20],
      [300, 299],
      [300, 0],
    ] as const)
      for (const i of pairs(4)) {
        const [q, k] = [n * 4 + i, m * 4 + i];
        const zeta = (2 * i + 0.4 * headDim) / (1.4 * headDim);
        const angle = (n - m) * theta(i, headDim);
        // Unit pairs: the product of the turned query (cos, sin) and key.
        const product = query.cos[q]! * key.cos[k]! + query.sin[q]! * key.sin[k]!;
        expect(Math.abs(product - zeta ** ((n - m) / 512) * Math.cos(angle))).toBeLessThanOrEqual(4 * 2 ** -24);
        // torchscale's power: min_pos = -(length) // 2.
        const radius = Math.hypot(query.cos[q]!, query.sin[q]!);
        expect(radius / zeta ** ((n - 151) / 512)).toBeCloseTo(1, 6);
      }
  });

  it("mistakes are named", () => {
    const frequencies = frequenciesOf(base(), 8);
    for (const positions of [0, 1.5, []])
      expect(() => ropeTableData(frequencies, { positions })).toThrow(/ropeTable: .*positions/);
    expect(() => ropeTableData(frequencies, { positions: 3, rowScale: [1, 2] })).toThrow(
      /rowScale has 2 numbers for 3/,
    );
    const three = { time: [0], height: [0], width: [0] };
    expect(() => ropeTableData(frequencies, { positions: three })).toThrow(/need a variant with sections/);
  });
});
