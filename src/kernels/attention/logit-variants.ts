/**
 * @file Functions of the logits that any variant can be given, one after the other in the order in which they are added: soft-capping, ALiBi, an
 * additive bias.
 */
import { type Constants, type ParameterSpecs, tl } from "../../dsl/index.ts";
import { log2e } from "./scores.ts";
import type { LogitTile, LogitTransform, Variant } from "./variant.ts";

/** The variant with one more function of the logits, after its own. `packs`: as in `Variant`. */
export function withLogits<C extends Constants, P extends ParameterSpecs>(
  variant: Variant<any, C>,
  name: string,
  parameters: P,
  transform: NonNullable<Variant<P>["logits"]>,
  packs = true,
): Variant<any, C> {
  return {
    ...variant,
    name: `${variant.name}_${name}`,
    parameters: { ...variant.parameters, ...parameters },
    packs: packs && (variant.logits === undefined || variant.packs === true),
    logits(p, at, c, ofHead) {
      const [first, second] = [variant.logits?.(p, at, c, ofHead), transform(p, at, c as never, ofHead)];
      return first ? inTurn(first, second) : second;
    },
  };
}

/** The second function of what the first one gives. */
function inTurn(first: LogitTransform, second: LogitTransform): LogitTransform {
  return {
    moderate: first.moderate === true && second.moderate === true,
    apply: (scaled, at, unscaled) => second.apply(first.apply(scaled, at, unscaled), at),
    ...((first.slope || second.slope) && {
      slope(scaled, logits, at, unscaled) {
        const between = first.apply(scaled, at, unscaled);
        const [inner, outer] = [first.slope?.(scaled, between, at, unscaled), second.slope?.(between, logits, at)];
        return inner && outer ? inner.mul(outer) : (inner ?? outer)!;
      },
    }),
  };
}

/**
 * Up to this cap, Gemma 2's, the short form of `withSoftcap` gives logits that are off by at most 0.76 of what a result may be, 1e-5 and twice the error of
 * c · tanh(x / c) in f32: where exponential and reciprocal are as wrong as the PTX ISA allows (computed for x of every size). At 64 it would be 1.02.
 */
export const largestShortSoftcap = 50;

const softcapConstants = {
  /** Whether `softcap` may be larger than `largestShortSoftcap`. */
  LARGE_SOFTCAP: true,
};

/**
 * Logits x become c · tanh(x / c), which stay within ±c (Gemma 2, arXiv 2408.00118). Parameter `softcap`: c, positive.
 *
 * With LARGE_SOFTCAP false as c · (1 - e) / (1 + e), e = 2^(-2 |x| log2(e) / c), with the sign of x: one exponential, one reciprocal and five more
 * instructions, where `tanh` takes 18. What that costs: the error of e, up to 2^-22 of it, is one of c · 2^-23 in the logit even where x is
 * close to 0, where `tanh` has an error in proportion to x.
 */
export function withSoftcap<C extends Constants>(variant: Variant<any, C>): Variant<any, C & typeof softcapConstants> {
  const capped = withLogits(variant, "softcap", { softcap: tl.scalar("f32") }, (p, _, c) => {
    const inverse = tl.div(1, p.softcap);
    const rate = inverse.mul(-2 * log2e);
    return {
      moderate: true,
      apply(scaled, _, unscaled) {
        if (c.LARGE_SOFTCAP) return scaled.mul(inverse).tanh().mul(p.softcap);
        // Finite, so that 0 stays 0.
        const [x, factor] = unscaled
          ? [unscaled.products, tl.maximum(unscaled.scale.mul(rate), -(2 ** 127))]
          : [scaled, rate];
        const decay = tl.exp2(x.abs().mul(factor));
        return withSignOf(x, tl.fdiv(decay.fma(p.softcap.neg(), p.softcap), decay.add(1)));
      },
      slope(_, logits) {
        const tanh = logits.mul(inverse);
        return tl.sub(1, tanh.mul(tanh));
      },
    };
  });
  return { ...capped, constants: { ...(capped.constants as C), ...softcapConstants } };
}

/** A tile of numbers that are not negative, with the signs of `x`. */
const withSignOf = (x: LogitTile, size: LogitTile): LogitTile =>
  size
    .bitcast("u32")
    .or(x.bitcast("u32").and(2 ** 31))
    .bitcast("f32");

/** Logits fall with the distance of the key, by a slope for each head (ALiBi, arXiv 2108.12409). Parameter `alibiSlopes` f32 [Hq]. */
export const withAlibi = <C extends Constants>(variant: Variant<any, C>): Variant<any, C> =>
  withLogits(variant, "alibi", { alibiSlopes: tl.tensor("f32", 1) }, (p, at, _, ofHead) => {
    const slope = ofHead(p.alibiSlopes).neg();
    return {
      moderate: true,
      apply: (scaled, { query, key }) => query.add(at.keys.sub(at.queries)).sub(key).abs().to("f32").fma(slope, scaled),
    };
  });

/**
 * Logits with a bias added. Parameter `bias` [B, Hq, M, N] of any float dtype; axes along which it repeats have stride 0. Where a sequence says how many keys
 * it has, those beyond N do not count.
 */
export function withBias<C extends Constants>(variant: Variant<any, C>): Variant<any, C> {
  const biased = withLogits(
    variant,
    "bias",
    { bias: tl.tensor("BIAS", 4) },
    (p, at) => ({ apply: (scaled, { load }) => scaled.add(load(p.bias.at(at.batch, at.head)).to("f32")) }),
    false,
  );
  const { keyCount } = variant;
  return keyCount ? { ...biased, keyCount: (p, ...of) => tl.minimum(keyCount(p, ...of), p.bias.shape(3)) } : biased;
}

/**
 * The slopes of ALiBi (arXiv 2108.12409): for a power of two 2^(-8 i / heads), i from 1; else those of the power of two below, then every other one
 * of the power of two above, as the authors' code has them.
 */
export function alibiSlopes(heads: number): Float32Array {
  const powers = (count: number) => Array.from({ length: count }, (_, i) => 2 ** ((-8 * (i + 1)) / count));
  const below = 2 ** Math.floor(Math.log2(Math.max(1, heads)));
  const between = powers(2 * below).filter((_, i) => i % 2 === 0);
  return Float32Array.from([...powers(below), ...between].slice(0, heads));
}
