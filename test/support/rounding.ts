/**
 * @file Rounding of f64 numbers to the float dtypes, and reproducible random numbers, for references that share no code with the library.
 */
export type FloatDType = "f16" | "bf16" | "f32";

/** The nearest value of `dtype` (ties to even), as a number. f16: overflow beyond 65519.99 gives infinity. */
export function roundTo(dtype: FloatDType, x: number): number {
  if (dtype === "f32") return Math.fround(x);
  if (x === 0 || !Number.isFinite(x)) return x;
  const [precision, minExponent, max] = dtype === "f16" ? [10, -14, 65504] : [7, -126, 3.3895313892515355e38];
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(x))), minExponent);
  const unit = 2 ** (exponent - precision);
  const scaled = x / unit;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const rounded = (rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor) * unit;
  return Math.abs(rounded) > max ? Math.sign(x) * Number.POSITIVE_INFINITY : rounded;
}

/** A generator of normal numbers (Box-Muller over mulberry32) that gives the same sequence for the same seed. */
export function normalNumbers(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** `count` normal numbers of standard deviation `scale`, each already a value of `dtype`. */
export function randomValues(dtype: FloatDType, count: number, seed: number, scale = 1): Float32Array {
  const next = normalNumbers(seed);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = roundTo(dtype, scale * next());
  return values;
}
