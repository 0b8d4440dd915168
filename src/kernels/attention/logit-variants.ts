/**
 * @file Functions of the logits that any variant can be given, one after the other in the order in which they are added: soft-capping, ALiBi, an
 * additive bias.
 */
import { type Constants, type ParameterSpecs, tl } from "../../dsl/index.ts";
import type { LogitTransform, Variant } from "./variant.ts";

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
    apply: (scaled, at) => second.apply(first.apply(scaled, at), at),
    ...((first.slope || second.slope) && {
      slope(scaled, logits, at) {
        const between = first.apply(scaled, at);
        const [inner, outer] = [first.slope?.(scaled, between, at), second.slope?.(between, logits, at)];
        return inner && outer ? inner.mul(outer) : (inner ?? outer)!;
      },
    }),
  };
}

/** Logits x become c · tanh(x / c), which stay within ±c (Gemma 2, arXiv 2408.00118). Parameter `softcap`: c, positive. */
export const withSoftcap = <C extends Constants>(variant: Variant<any, C>): Variant<any, C> =>
  withLogits(variant, "softcap", { softcap: tl.scalar("f32") }, (p) => {
    const inverse = tl.div(1, p.softcap);
    return {
      apply: (scaled) => scaled.mul(inverse).tanh().mul(p.softcap),
      slope(_, logits) {
        const tanh = logits.mul(inverse);
        return tl.sub(1, tanh.mul(tanh));
      },
    };
  });

/** Logits fall with the distance of the key, by a slope for each head (ALiBi, arXiv 2108.12409). Parameter `alibiSlopes` f32 [Hq]. */
export const withAlibi = <C extends Constants>(variant: Variant<any, C>): Variant<any, C> =>
  withLogits(variant, "alibi", { alibiSlopes: tl.tensor("f32", 1) }, (p, at, _, ofHead) => {
    const slope = ofHead(p.alibiSlopes).neg();
    return {
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
