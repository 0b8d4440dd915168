/**
 * @file Real numbers as BigInt with 256 binary places: logarithm, exponential, sine and cosine by their series. A reference for angles that
 * f64 cannot vouch for by itself. Errors are below 2^-200 for the sizes used here.
 */
const places = 256n;
const one = 1n << places;

export const fixed = (x: number): bigint => {
  // Exact: an f64 is an integer times a power of two.
  let exponent = 0;
  let scaled = x;
  while (!Number.isInteger(scaled)) {
    scaled *= 2;
    exponent++;
  }
  return (BigInt(scaled) << places) >> BigInt(exponent);
};
export const multiply = (a: bigint, b: bigint): bigint => (a * b) >> places;
export const divide = (a: bigint, b: bigint): bigint => (a << places) / b;
export const toNumber = (x: bigint): number => Number(x >> (places - 120n)) / 2 ** 120;

/** Sum of terms until they vanish. */
function series(first: bigint, next: (term: bigint, n: bigint) => bigint): bigint {
  let sum = 0n;
  let term = first;
  for (let n = 1n; term !== 0n && term !== -1n; n++) {
    sum += term;
    term = next(term, n);
  }
  return sum;
}

/** atanh(1/n) and atan(1/n) for an integer n. */
const inverseTangent = (n: bigint, sign: bigint): bigint => {
  let [sum, power] = [0n, one / n];
  for (let k = 1n, s = 1n; power !== 0n; k += 2n, s *= sign) {
    sum += (s * power) / k;
    power /= n * n;
  }
  return sum;
};
const ln2 = 2n * inverseTangent(3n, 1n);
export const pi = 4n * (4n * inverseTangent(5n, -1n) - inverseTangent(239n, -1n));

/** ln of an integer: 2^k·m with m in [1, 2), ln(m) = 2 atanh((m - 1)/(m + 1)). */
export function lnOf(x: number): bigint {
  const k = Math.floor(Math.log2(x));
  const m = fixed(x) >> BigInt(k);
  const ratio = divide(m - one, m + one);
  const square = multiply(ratio, ratio);
  let [sum, power] = [0n, ratio];
  for (let n = 1n; power !== 0n; n += 2n) {
    sum += power / n;
    power = multiply(power, square);
  }
  return 2n * sum + BigInt(k) * ln2;
}

export const exp = (x: bigint): bigint => series(one, (term, n) => multiply(term, x) / n);

/** Of any angle, by its remainder in one turn. */
export function cosSin(angle: bigint): { cos: number; sin: number } {
  const rest = angle % (2n * pi);
  const square = multiply(rest, rest);
  const cos = series(one, (term, n) => -multiply(term, square) / ((2n * n - 1n) * (2n * n)));
  const sin = series(rest, (term, n) => -multiply(term, square) / (2n * n * (2n * n + 1n)));
  return { cos: toNumber(cos), sin: toNumber(sin) };
}
