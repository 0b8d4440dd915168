/**
 * @file WGSL functions that generated code calls where the language has no operator for what Tile IR means. A module contains those that
 * it uses. Rounding to f16 and bf16 is done on the bits: `pack2x16float` leaves the rounding to the implementation.
 */
const definedLogarithm = (name: "log" | "log2"): string =>
  `// -inf for 0, inf for inf, NaN below 0 and for NaN, which not every implementation gives.
fn f32_${name}(x: f32) -> f32 {
  let finite = select(${name}(x), bitcast<f32>(0xff800000u | bitcast<u32>(x)), x == 0.0);
  let defined = select(finite, bitcast<f32>(0x7fc00000u | bitcast<u32>(x)), x < 0.0);
  return select(defined, x, (bitcast<u32>(x) == 0x7f800000u) | is_nan(x));
}`;

const functions = {
  is_nan: `fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}`,

  // --- 16-bit floats ----------------------------------------------------------------------------------------------------------
  f16_bits: `// The f16 nearest to x, ties to even, as bits.
fn f16_bits(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let magnitude = bits & 0x7fffffffu;
  let normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u;
  let shift = min(126u - (magnitude >> 23u), 25u);
  let significand = (magnitude & 0x7fffffu) | 0x800000u;
  let denormal = (significand + ((1u << (shift - 1u)) - 1u) + ((significand >> shift) & 1u)) >> shift;
  var result = select(normal, denormal, magnitude < 0x38800000u);
  result = select(result, 0x7c00u, magnitude >= 0x477ff000u);
  result = select(result, 0x7e00u, magnitude > 0x7f800000u);
  return ((bits >> 16u) & 0x8000u) | result;
}`,
  f16_round: `// The f16 nearest to x, ties to even, as f32.
fn f16_round(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let magnitude = bits & 0x7fffffffu;
  let drop = u32(clamp(126 - i32(magnitude >> 23u), 13, 23));
  let low = (1u << drop) - 1u;
  var result = (magnitude + (low >> 1u) + ((magnitude >> drop) & 1u)) & ~low;
  result = select(result, select(0u, 0x33800000u, magnitude > 0x33000000u), magnitude < 0x33800000u);
  result = select(result, 0x7f800000u, magnitude >= 0x477ff000u);
  result = select(result, 0x7fc00000u, magnitude > 0x7f800000u);
  return bitcast<f32>((bits & 0x80000000u) | result);
}`,
  bf16_bits: `// The bf16 nearest to x, ties to even, as bits.
fn bf16_bits(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let rounded = (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
  return select(rounded, (bits >> 16u) | 0x40u, (bits & 0x7fffffffu) > 0x7f800000u);
}`,
  bf16_round: `// The bf16 nearest to x, ties to even, as f32.
fn bf16_round(x: f32) -> f32 {
  return bitcast<f32>(bf16_bits(x) << 16u);
}`,

  // --- f32 --------------------------------------------------------------------------------------------------------------------
  f32_tanh: `// tanh without the overflow that sinh / cosh has for large x.
fn f32_tanh(x: f32) -> f32 {
  let y = abs(x);
  let small = y * (1.0 - y * y * (0.33333334 - y * y * (0.13333334 - y * y * 0.053968254)));
  let large = 1.0 - 2.0 / (exp(2.0 * min(y, 20.0)) + 1.0);
  let result = select(large, small, y < 0.15);
  return select(select(result, -result, x < 0.0), x, is_nan(x));
}`,
  f32_log: definedLogarithm("log"),
  f32_log2: definedLogarithm("log2"),
  f32_sine: `// sin(x + shift * pi/2) for every finite x: WGSL's own has an error of 2^-11, and none is promised beyond pi. Of x/2pi, which is an integer
// of 24 bits times a power of two over 2pi, only the fraction matters, and for that only 96 bits of 1/2pi (Payne and Hanek, 1983).
fn f32_sine(x: f32, shift: u32) -> f32 {
  // 1/2pi after the point, 32 bits a word, after a word of zeros.
  const inverse_turn = array<u32, 8>(0u, 0x28be60dbu, 0x9391054au, 0x7f09d5f4u, 0x7d4d3770u, 0x36d8a566u, 0x4f10e410u, 0x7f9458eau);
  let bits = bitcast<u32>(x);
  let exponent = (bits >> 23u) & 255u;
  let place = u32(clamp(i32(exponent) - 118, 0, 159));
  let word = place >> 5u;
  let first = inverse_turn[word];
  let second = inverse_turn[word + 1u];
  let third = inverse_turn[word + 2u];
  let fourth = inverse_turn[word + 3u];
  let up = place & 31u;
  let down = 31u - up;
  let window = vec3u((first << up) | ((second >> 1u) >> down), (second << up) | ((third >> 1u) >> down), (third << up) | ((fourth >> 1u) >> down));
  let mantissa = (bits & 0x7fffffu) | 0x800000u;
  let carry = u32_mul_high(mantissa, window.z);
  let low = mantissa * window.y + carry;
  let high = u32_mul_high(mantissa, window.y) + u32(low < carry) + mantissa * window.x;
  let quarters = ((high >> 29u) + 1u) >> 1u;
  // What is left of the turn beyond whole quarters, as a signed fraction of a quarter in 64 bits.
  let rest = vec2u(low << 2u, (high << 2u) | (low >> 30u));
  let above = rest.y >> 31u;
  let size = select(rest, vec2u(~rest.x + 1u, ~rest.y + u32(rest.x == 0u)), above == 1u);
  let angle = (f32(size.y) * 4294967296.0 + f32(size.x)) * 8.515303e-20;
  let negative = (above == 1u) != (x < 0.0);
  let small = abs(x) < 0.7853982;
  let r = select(select(angle, -angle, negative), x, small);
  let turned = select(select(quarters, 0u - quarters, x < 0.0), 0u, small) + shift;
  let square = r * r;
  let sine = r + r * square * (-0.16666667 + square * (0.00833333 + square * (-0.00019840064 + square * 2.724687e-6)));
  let cosine = 1.0 - 0.5 * square + square * square * (0.04166666 + square * (-0.001388829 + square * 2.4545419e-5));
  let value = select(sine, cosine, (turned & 1u) == 1u);
  let result = bitcast<u32>(value) ^ ((turned & 2u) << 30u);
  return bitcast<f32>(select(result, 0x7fc00000u | bits, exponent == 255u));
}`,
  f32_sin: `fn f32_sin(x: f32) -> f32 {
  return f32_sine(x, 0u);
}`,
  f32_cos: `fn f32_cos(x: f32) -> f32 {
  return f32_sine(x, 1u);
}`,
  f32_rem: `// a - b * trunc(a / b), with the sign of a.
fn f32_rem(a: f32, b: f32) -> f32 {
  return a - b * trunc(a / b);
}`,
  i32_from_f32: `// Towards zero, saturating, NaN to 0.
fn i32_from_f32(x: f32) -> i32 {
  let inside = i32(clamp(x, -2147483648.0, 2147483520.0));
  return select(select(inside, 2147483647, x >= 2147483648.0), 0, is_nan(x));
}`,
  u32_from_f32: `// Towards zero, saturating, NaN to 0.
fn u32_from_f32(x: f32) -> u32 {
  let inside = u32(clamp(x, 0.0, 4294967040.0));
  return select(select(inside, 4294967295u, x >= 4294967296.0), 0u, is_nan(x));
}`,
  i8_wrap: `// The low 8 bits, sign-extended.
fn i8_wrap(x: i32) -> i32 {
  return (x << 24u) >> 24u;
}`,
  i8_from_f32: `// Towards zero, saturating, NaN to 0.
fn i8_from_f32(x: f32) -> i32 {
  return clamp(i32_from_f32(x), -128, 127);
}`,

  // --- integers ---------------------------------------------------------------------------------------------------------------
  u32_mul_high: `// The high 32 bits of the 64-bit product.
fn u32_mul_high(a: u32, b: u32) -> u32 {
  let a_low = a & 0xffffu;
  let a_high = a >> 16u;
  let b_low = b & 0xffffu;
  let b_high = b >> 16u;
  let middle = a_high * b_low + ((a_low * b_low) >> 16u);
  return a_high * b_high + (middle >> 16u) + ((a_low * b_high + (middle & 0xffffu)) >> 16u);
}`,

  // --- i64, as the words (low, high) ------------------------------------------------------------------------------------------
  i64_add: `fn i64_add(a: vec2u, b: vec2u) -> vec2u {
  let low = a.x + b.x;
  return vec2u(low, a.y + b.y + u32(low < a.x));
}`,
  i64_sub: `fn i64_sub(a: vec2u, b: vec2u) -> vec2u {
  return vec2u(a.x - b.x, a.y - b.y - u32(a.x < b.x));
}`,
  i64_neg: `fn i64_neg(a: vec2u) -> vec2u {
  return i64_sub(vec2u(0u, 0u), a);
}`,
  i64_abs: `fn i64_abs(a: vec2u) -> vec2u {
  return select(a, i64_neg(a), (a.y >> 31u) == 1u);
}`,
  i64_mul: `fn i64_mul(a: vec2u, b: vec2u) -> vec2u {
  return vec2u(a.x * b.x, u32_mul_high(a.x, b.x) + a.x * b.y + a.y * b.x);
}`,
  i64_shl: `fn i64_shl(a: vec2u, b: vec2u) -> vec2u {
  let count = b.x & 31u;
  let carried = (a.x >> 1u) >> (31u - count);
  return select(vec2u(a.x << count, (a.y << count) | carried), vec2u(0u, a.x << count), (b.x & 32u) != 0u);
}`,
  i64_shr: `fn i64_shr(a: vec2u, b: vec2u) -> vec2u {
  let count = b.x & 31u;
  let high = bitcast<u32>(bitcast<i32>(a.y) >> count);
  let carried = (a.y << 1u) << (31u - count);
  let sign = bitcast<u32>(bitcast<i32>(a.y) >> 31u);
  return select(vec2u((a.x >> count) | carried, high), vec2u(high, sign), (b.x & 32u) != 0u);
}`,
  i64_less: `fn i64_less(a: vec2u, b: vec2u) -> bool {
  return select(bitcast<i32>(a.y) < bitcast<i32>(b.y), a.x < b.x, a.y == b.y);
}`,
  i64_min: `fn i64_min(a: vec2u, b: vec2u) -> vec2u {
  return select(b, a, i64_less(a, b));
}`,
  i64_max: `fn i64_max(a: vec2u, b: vec2u) -> vec2u {
  return select(a, b, i64_less(a, b));
}`,
  u64_divide: `// Quotient (x, y) and remainder (z, w) of the words as unsigned numbers, by long division.
fn u64_divide(a: vec2u, b: vec2u) -> vec4u {
  var quotient = a;
  var remainder = vec2u(0u, 0u);
  for (var i = 0; i < 64; i++) {
    let overflow = remainder.y >> 31u;
    remainder = vec2u((remainder.x << 1u) | (quotient.y >> 31u), (remainder.y << 1u) | (remainder.x >> 31u));
    quotient = vec2u(quotient.x << 1u, (quotient.y << 1u) | (quotient.x >> 31u));
    let fits = overflow == 1u || remainder.y > b.y || (remainder.y == b.y && remainder.x >= b.x);
    remainder = select(remainder, i64_sub(remainder, b), fits);
    quotient.x |= u32(fits);
  }
  return vec4u(quotient, remainder);
}`,
  i64_div: `fn i64_div(a: vec2u, b: vec2u) -> vec2u {
  let quotient = u64_divide(i64_abs(a), i64_abs(b)).xy;
  return select(quotient, i64_neg(quotient), ((a.y ^ b.y) >> 31u) == 1u);
}`,
  i64_rem: `fn i64_rem(a: vec2u, b: vec2u) -> vec2u {
  let remainder = u64_divide(i64_abs(a), i64_abs(b)).zw;
  return select(remainder, i64_neg(remainder), (a.y >> 31u) == 1u);
}`,
  i64_from_i32: `fn i64_from_i32(x: i32) -> vec2u {
  return vec2u(bitcast<u32>(x), bitcast<u32>(x >> 31u));
}`,
  i64_from_f32: `// Towards zero, saturating, NaN to 0.
fn i64_from_f32(x: f32) -> vec2u {
  let bits = bitcast<u32>(x);
  let exponent = i32((bits >> 23u) & 0xffu) - 150;
  let significand = vec2u((bits & 0x7fffffu) | 0x800000u, 0u);
  let left = i64_shl(significand, vec2u(u32(clamp(exponent, 0, 63)), 0u));
  let right = vec2u(select(0u, significand.x >> u32(clamp(-exponent, 0, 31)), exponent > -24), 0u);
  let magnitude = select(right, left, exponent >= 0);
  let negative = (bits >> 31u) == 1u;
  let limit = select(vec2u(0xffffffffu, 0x7fffffffu), vec2u(0u, 0x80000000u), negative);
  let result = select(select(magnitude, i64_neg(magnitude), negative), limit, exponent >= 40);
  return select(result, vec2u(0u, 0u), is_nan(x));
}`,
  f32_from_i64: `// The nearest f32, ties to even.
fn f32_from_i64(x: vec2u) -> f32 {
  let magnitude = i64_abs(x);
  let zeros = countLeadingZeros(magnitude.y);
  let top = i64_shl(magnitude, vec2u(zeros, 0u));
  // 32 significant bits, the last of which also says whether anything follows.
  let wide = f32_from_u32(top.y | u32(top.x != 0u)) * bitcast<f32>((159u - zeros) << 23u);
  let result = select(wide, f32_from_u32(magnitude.x), magnitude.y == 0u);
  return select(result, -result, (x.y >> 31u) == 1u);
}`,
  f32_from_u32: `// The nearest f32, ties to even: u32 to f32 conversion may round either way.
fn f32_from_u32(x: u32) -> f32 {
  let drop = max(8u, countLeadingZeros(x)) - countLeadingZeros(x);
  let kept = x >> drop;
  let rest = (x - (kept << drop)) * 2u;
  let rounded = kept + u32(rest > (1u << drop) || (rest == (1u << drop) && (kept & 1u) == 1u));
  return f32(rounded) * f32(1u << drop);
}`,
  f32_from_i32: `// The nearest f32, ties to even.
fn f32_from_i32(x: i32) -> f32 {
  let result = f32_from_u32(bitcast<u32>(abs(x)));
  return select(result, -result, x < 0);
}`,
} as const;

export type LibraryFunction = keyof typeof functions;

/** The functions that one module uses. */
export class Library {
  readonly #used = new Set<LibraryFunction>();

  /** Makes `name` part of the module and gives it back, to be called. */
  use(name: LibraryFunction): string {
    if (this.#used.has(name)) return name;
    this.#used.add(name);
    for (const other of Object.keys(functions) as LibraryFunction[])
      if (other !== name && functions[name].includes(`${other}(`)) this.use(other);
    return name;
  }

  /** The text of the functions used, each on its own. */
  text(): readonly string[] {
    return (Object.keys(functions) as LibraryFunction[])
      .filter((name) => this.#used.has(name))
      .map((name) => functions[name]);
  }
}

/** The names that a module's own declarations must not take. */
export const libraryNames: readonly string[] = Object.keys(functions);
