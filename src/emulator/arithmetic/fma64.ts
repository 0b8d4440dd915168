/**
 * @file a · b + c of doubles with one rounding, by integers of any length.
 */
const view = new DataView(new ArrayBuffer(8));

/** The value as `significand · 2^exponent`. */
function split(value: number): { significand: bigint; exponent: number } {
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const magnitude = biased === 0 ? fraction : fraction | 0x10000000000000n;
  return { significand: value < 0 ? -magnitude : magnitude, exponent: Math.max(biased, 1) - 1075 };
}

export function fma64(a: number, b: number, c: number): number {
  if (!Number.isFinite(a) || !Number.isFinite(b) || a === 0 || b === 0) return a * b + c;
  // Whatever the product, which may be beyond the doubles.
  if (!Number.isFinite(c)) return c;
  const [x, y, z] = [split(a), split(b), split(c)];
  const product = x.significand * y.significand;
  const exponent = x.exponent + y.exponent;
  const least = Math.min(exponent, z.exponent);
  const sum = (product << BigInt(exponent - least)) + (z.significand << BigInt(z.exponent - least));
  if (sum === 0n) return 0;
  return toDouble(sum, least);
}

/** The double nearest to `significand · 2^exponent`, halves to even. */
function toDouble(significand: bigint, exponent: number): number {
  const magnitude = significand < 0n ? -significand : significand;
  const length = magnitude.toString(2).length;
  // Bits to drop, so that 53 are left, or fewer where the result is subnormal.
  const drop = Math.max(length - 53, -1074 - exponent);
  let kept = magnitude;
  if (drop > 0) {
    const shift = BigInt(drop);
    kept = magnitude >> shift;
    const rest = magnitude - (kept << shift);
    const half = 1n << (shift - 1n);
    if (rest > half || (rest === half && (kept & 1n) === 1n)) kept++;
  }
  const scale = exponent + Math.max(drop, 0);
  // Two steps, since 2^scale alone may be out of range; the product is exact.
  const first = Math.trunc(scale / 2);
  const value = Number(kept) * 2 ** first * 2 ** (scale - first);
  return significand < 0n ? -value : value;
}
