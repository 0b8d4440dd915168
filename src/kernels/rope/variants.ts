/**
 * @file The variants of the rotary embedding as data. With d channels turned, pair i of them turns by position · theta_i, and
 * theta_i = base^(-2i/d) unless a variant says otherwise. `config.ts` reads a variant from a checkpoint's config.json,
 * `frequencies.ts` holds the formulas, `table.ts` makes cosines and sines.
 *
 * Sources: Su et al., arXiv 2104.09864 (default); Chen et al., arXiv 2306.15595 (linear); Peng et al., arXiv 2309.00071 (NTK-aware, by
 * parts, dynamic, YaRN); Ding et al., arXiv 2402.13753 (LongRoPE); the Llama 3.1 release (llama3); Sun et al., arXiv 2212.10554 (xPos);
 * Barbero et al., arXiv 2410.06205 (p-RoPE, "proportional"); Qwen2-VL and Qwen3-VL (sections); key names: Hugging Face transformers.
 */

/** How the turned channels make pairs: `half`: i with i + d/2 (Hugging Face, GPT-NeoX); `interleaved`: 2i with 2i + 1 (the paper, GPT-J). */
export type RopeLayout = "half" | "interleaved";

/** How frequencies differ from base^(-2i/d). `factor` s is the extension, at least 1; L0 = `originalMaxPositions` the trained length. */
export type RopeScaling =
  /** theta_i. */
  | { readonly type: "default" }
  /** Position interpolation: theta_i / s. */
  | { readonly type: "linear"; readonly factor: number }
  /** NTK-aware: base · s^(d/(d-2)), so the slowest pair is interpolated by s and the fastest not at all. */
  | { readonly type: "ntk"; readonly factor: number }
  /** NTK-aware by the length L of the sequence: base · (s·L/Lmax - (s - 1))^(d/(d-2)), Lmax = maxPositions, L at least Lmax. */
  | { readonly type: "dynamic"; readonly factor: number }
  /** Pairs of fewer than `alpha` turns in L0 are interpolated, of more than `beta` not, the ones between in proportion to their turns. */
  | {
      readonly type: "ntk-by-parts";
      readonly factor: number;
      readonly originalMaxPositions: number;
      readonly alpha: number;
      readonly beta: number;
    }
  /** As by parts, in proportion to the pair's index between those of `betaFast` and `betaSlow` turns (whole indices if `truncate`). */
  | {
      readonly type: "yarn";
      readonly factor: number;
      readonly originalMaxPositions: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly truncate: boolean;
      /** On cosines and sines of queries and keys, so its square is on the logits. */
      readonly attentionFactor: number;
    }
  /** theta_i / factor_i, by `longFactor` for sequences longer than L0, else by `shortFactor`: d/2 numbers each. */
  | {
      readonly type: "longrope";
      readonly originalMaxPositions: number;
      readonly shortFactor: readonly number[];
      readonly longFactor: readonly number[];
      readonly attentionFactor: number;
    }
  /** By parts, with alpha = `lowFrequencyFactor` and beta = `highFrequencyFactor`. */
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly originalMaxPositions: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
    }
  /**
   * All of the head is paired; the first floor(partialRotaryFactor · D / 2) pairs turn by base^(-2i/D) / s and the rest not at all.
   * (Elsewhere a partial factor narrows d: the channels after the first d are passed, and exponents use d.)
   */
  | { readonly type: "proportional"; readonly factor: number }
  /** theta_i, and pair i of a query at position n times zeta_i^(n/scaleBase), of a key by its inverse; zeta_i = (2i + 0.4d)/1.4d. */
  | { readonly type: "xpos"; readonly scaleBase: number };

/**
 * Multimodal RoPE: a token has three positions (time, height, width), and each pair turns by one of them. `sizes` sum to d/2.
 * Chunked: the first sizes[0] pairs take time, the next height, the next width. Interleaved: pairs 1, 4, 7, ... below 3·sizes[1] take
 * height, 2, 5, 8, ... below 3·sizes[2] width, all others time. A text's three positions are equal, which makes this plain RoPE.
 */
export interface RopeSections {
  readonly sizes: readonly [number, number, number];
  readonly interleaved: boolean;
}

/** The rotary embedding of a model. */
export interface RopeConfig {
  /** The base. */
  readonly theta: number;
  /** `max_position_embeddings`. */
  readonly maxPositions: number;
  /** The part of a head's channels that turns, above 0 and at most 1. */
  readonly partialRotaryFactor: number;
  readonly layout: RopeLayout;
  readonly scaling: RopeScaling;
  readonly sections?: RopeSections;
}

/** RoPE as published, but for the layout: half-split pairs. */
export const plainRope = (theta = 10000, maxPositions = 2048): RopeConfig => ({
  theta,
  maxPositions,
  partialRotaryFactor: 1,
  layout: "half",
  scaling: { type: "default" },
});

/** The context length that the model learned before any extension. */
export function trainedLength({ scaling, maxPositions }: RopeConfig): number {
  return "originalMaxPositions" in scaling ? scaling.originalMaxPositions : maxPositions;
}

/** The context length that the embedding is meant for; beyond it positions are new to the model. Infinite where it grows with the text. */
export function intendedLength({ scaling, maxPositions }: RopeConfig): number {
  switch (scaling.type) {
    case "default":
    case "proportional":
    case "xpos":
    case "longrope":
      return maxPositions;
    case "linear":
    case "ntk":
      return maxPositions * scaling.factor; // Hugging Face's checkpoints keep the trained length in max_position_embeddings here
    case "ntk-by-parts":
    case "yarn":
    case "llama3":
      return Math.max(maxPositions, scaling.originalMaxPositions * scaling.factor);
    case "dynamic":
      return Number.POSITIVE_INFINITY;
  }
}
