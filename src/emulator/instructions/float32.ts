/**
 * @file f32 arithmetic. Rounded to nearest it is computed in doubles and rounded by the store; other modes, `.ftz` and `.sat` go through
 * scalar functions. A NaN result is the canonical 0x7fffffff.
 */
import {
  direct32,
  flush32,
  fma32,
  type RoundingMode,
  roundHalfEven,
  saturate,
  sumError,
} from "../arithmetic/rounding.ts";
import { LANES, type Registers } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import { ptxTypes } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { type Fill, writing32 } from "../translate/lanes.ts";

const f32 = ptxTypes.get("f32")!;
const CANONICAL_NAN = 0x7fffffff;

/** Stores an f32; the canonical NaN for a NaN. */
export function store32({ f, i }: Registers, at: number, value: number): void {
  if (Number.isNaN(value)) i[at] = CANONICAL_NAN;
  else f[at] = value;
}

type Scalar = (a: number, b: number, c: number) => number;

/** `flush` is for `.ftz`, `clamp` for `.sat`. */
function scalarFill(scalar: Scalar, rows: readonly number[], flush: boolean, clamp: boolean): Fill {
  const [a = 0, b = a, c = a] = rows;
  const input = flush ? flush32 : (value: number): number => value;
  return (registers, target) => {
    const { f } = registers;
    for (let lane = 0; lane < LANES; lane++) {
      let value = Math.fround(scalar(input(f[a + lane]!), input(f[b + lane]!), input(f[c + lane]!)));
      if (clamp) value = saturate(value);
      store32(registers, target + lane, flush ? flush32(value) : value);
    }
  };
}

const addFill =
  (a: number, b: number): Fill =>
  (registers, target) => {
    const { f } = registers;
    for (let lane = 0; lane < LANES; lane++) {
      store32(registers, target + lane, f[a + lane]! + f[b + lane]!);
    }
  };

const subtractFill =
  (a: number, b: number): Fill =>
  (registers, target) => {
    const { f } = registers;
    for (let lane = 0; lane < LANES; lane++) {
      store32(registers, target + lane, f[a + lane]! - f[b + lane]!);
    }
  };

const multiplyFill =
  (a: number, b: number): Fill =>
  (registers, target) => {
    const { f } = registers;
    for (let lane = 0; lane < LANES; lane++) {
      store32(registers, target + lane, f[a + lane]! * f[b + lane]!);
    }
  };

const fusedFill =
  (a: number, b: number, c: number): Fill =>
  (registers, target) => {
    const { f } = registers;
    for (let lane = 0; lane < LANES; lane++) {
      store32(registers, target + lane, fma32(f[a + lane]!, f[b + lane]!, f[c + lane]!));
    }
  };

interface Rounded {
  readonly operands: number;
  readonly nearest?: (...rows: number[]) => Fill;
  readonly scalar: (mode: RoundingMode) => Scalar;
}

/** a + b in a mode; the double sum and its error tell on which side of the nearest f32 the exact sum lies. */
const addScalar =
  (mode: RoundingMode): Scalar =>
  (a, b) => {
    const sum = a + b;
    if (mode === "rn") return sum;
    // x − x, and zeros of different signs.
    if (sum === 0 && mode === "rm" && !(Object.is(a, 0) && Object.is(b, 0))) return -0;
    const nearest = Math.fround(sum);
    return direct32(nearest, Number.isFinite(nearest) ? sum - nearest + sumError(a, b, sum) : sum - nearest, mode);
  };

const arithmetic: Readonly<Record<string, Rounded>> = {
  add: { operands: 2, nearest: (a, b) => addFill(a!, b!), scalar: addScalar },
  sub: {
    operands: 2,
    nearest: (a, b) => subtractFill(a!, b!),
    scalar: (mode) => {
      const add = addScalar(mode);
      return (a, b, c) => add(a, -b, c);
    },
  },
  mul: {
    operands: 2,
    nearest: (a, b) => multiplyFill(a!, b!),
    scalar: (mode) => (a, b) => {
      const product = a * b;
      const nearest = Math.fround(product);
      return direct32(nearest, product - nearest, mode);
    },
  },
  fma: {
    operands: 3,
    nearest: (a, b, c) => fusedFill(a!, b!, c!),
    scalar: (mode) => {
      const add = addScalar(mode);
      // The double product is exact.
      return mode === "rn" ? fma32 : (a, b, c) => add(a * b, c, 0);
    },
  },
  div: {
    operands: 2,
    scalar: (mode) => (a, b) => {
      const nearest = Math.fround(a / b);
      // The exact quotient is beyond `nearest` if a is beyond nearest · b, which is exact.
      return mode === "rn" ? nearest : direct32(nearest, (a - nearest * b) * Math.sign(b), mode);
    },
  },
  rcp: {
    operands: 1,
    scalar: (mode) => (a) => {
      const nearest = Math.fround(1 / a);
      return mode === "rn" ? nearest : direct32(nearest, (1 - nearest * a) * Math.sign(a), mode);
    },
  },
  sqrt: {
    operands: 1,
    scalar: (mode) => (a) => {
      const nearest = Math.fround(Math.sqrt(a));
      return mode === "rn" ? nearest : direct32(nearest, a - nearest * nearest, mode);
    },
  },
};
const fused = { mad: "fma" } as Readonly<Record<string, string>>;

/** add, sub, mul, fma, mad, div, rcp and sqrt, from the modifiers after the opcode. */
export function roundedFloat32(decoder: Decoder): Operation {
  const opcode = fused[decoder.instruction.opcode] ?? decoder.instruction.opcode;
  const { operands, nearest, scalar } = arithmetic[opcode]!;
  // Approximate forms are computed as the exact ones are, and rounded.
  const given = decoder.take("approx", "full", "rn", "rz", "rm", "rp");
  const mode: RoundingMode = given === undefined || given === "approx" || given === "full" ? "rn" : given;
  const flush = decoder.flag("ftz");
  const clamp = decoder.flag("sat");
  decoder.type("f32");
  decoder.done(operands + 1);
  const target = decoder.target(0, f32);
  const rows = Array.from({ length: operands }, (_, i) => decoder.source(i + 1, f32));
  if (nearest && mode === "rn" && !flush && !clamp) return writing32(target, nearest(...rows));
  return writing32(target, scalarFill(scalar(mode), rows, flush, clamp));
}

const functions: Readonly<Record<string, (value: number) => number>> = {
  ex2: (value) => 2 ** value,
  lg2: (value) => Math.log2(value),
  sin: Math.sin,
  cos: Math.cos,
  rsqrt: (value) => 1 / Math.sqrt(value),
  tanh: Math.tanh,
};

/** ex2, lg2, sin, cos, rsqrt and tanh: the exact value rounded; a GPU may differ by some units in the last place. */
export function functionFloat32(decoder: Decoder): Operation {
  decoder.require("approx", "approx");
  const flush = decoder.flag("ftz");
  decoder.type("f32");
  decoder.done(2);
  const target = decoder.target(0, f32);
  const of = functions[decoder.instruction.opcode]!;
  const row = decoder.source(1, f32);
  return writing32(
    target,
    scalarFill((a) => of(a), [row], flush, false),
  );
}

const isNegative = (value: number): boolean => value < 0 || Object.is(value, -0);

/** The lesser or greater of two; a number rather than a NaN unless `propagate`; −0 is less than 0. */
export function lesser(a: number, b: number, propagate: boolean): number {
  if (Number.isNaN(a)) return propagate ? a : b;
  if (Number.isNaN(b)) return propagate ? b : a;
  return a < b || (a === b && isNegative(a)) ? a : b;
}
export const greater = (a: number, b: number, propagate: boolean): number => -lesser(-a, -b, propagate);

/** min and max, of two or three. */
export function extremeFloat32(decoder: Decoder): Operation {
  const flush = decoder.flag("ftz");
  const propagate = decoder.flag("NaN");
  const signs = decoder.flag("xorsign");
  if (signs) decoder.require("abs", "abs");
  decoder.type("f32");
  decoder.done(3, 4);
  const of = decoder.instruction.opcode === "min" ? lesser : greater;
  const target = decoder.target(0, f32);
  const rows = decoder.operands.slice(1).map((operand) => decoder.source(operand, f32));
  const two = signs
    ? (a: number, b: number): number => {
        const magnitude = of(Math.abs(a), Math.abs(b), propagate);
        return isNegative(a) !== isNegative(b) ? -magnitude : magnitude;
      }
    : (a: number, b: number): number => of(a, b, propagate);
  const scalar: Scalar = rows.length === 2 ? two : (a, b, c) => two(two(a, b), c);
  return writing32(target, scalarFill(scalar, rows, flush, false));
}

/** abs and neg: the sign bit only, also of a NaN; `.ftz` flushes. */
export function signFloat32(decoder: Decoder): Operation {
  const flush = decoder.flag("ftz");
  decoder.type("f32");
  decoder.done(2);
  const target = decoder.target(0, f32);
  const row = decoder.source(1, f32);
  const negate = decoder.instruction.opcode === "neg";
  return writing32(target, (registers, to) => {
    const { i, f } = registers;
    for (let lane = 0; lane < LANES; lane++) {
      const bits = negate ? i[row + lane]! ^ 0x80000000 : i[row + lane]! & 0x7fffffff;
      i[to + lane] = bits;
      if (flush) f[to + lane] = flush32(f[to + lane]!);
    }
  });
}

/** The sign of the first, the magnitude of the second. */
export function copySignFloat32(decoder: Decoder): Operation {
  decoder.type("f32");
  decoder.done(3);
  const target = decoder.target(0, f32);
  const [sign, magnitude] = [decoder.source(1, f32), decoder.source(2, f32)];
  return writing32(target, ({ i }, to) => {
    for (let lane = 0; lane < LANES; lane++)
      i[to + lane] = (i[sign + lane]! & 0x80000000) | (i[magnitude + lane]! & 0x7fffffff);
  });
}

/** Rounding to an integral value, by the mode's letters in cvt. */
export const integralRounding: Readonly<Record<string, (value: number) => number>> = {
  rni: roundHalfEven,
  rzi: Math.trunc,
  rmi: Math.floor,
  rpi: Math.ceil,
};
