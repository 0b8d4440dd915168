/**
 * @file The angular frequencies of a rotary embedding, in f64: what each variant of `variants.ts` does to base^(-2i/d). (Hugging Face
 * computes them in f32; the difference is its rounding.)
 */
import { ConfigError } from "../../support/errors.ts";
import { refuseUnknownNames } from "../../support/names.ts";
import type { RopeConfig, RopeLayout, RopeScaling, RopeSections } from "./variants.ts";

/** xPos: a query's pair i at position n is multiplied by zeta_i^((n - center)/scaleBase), a key's divided by it. */
export interface RopeDecay {
  /** [rotaryDim/2] */
  readonly zeta: Float64Array;
  readonly scaleBase: number;
  /** Keeps the powers near 1. Queries and keys must share it; it cancels in their products. */
  readonly center: number;
}

/** What `ropeTables` needs of a variant. */
export interface RopeFrequencies {
  /** [rotaryDim/2], radians a position, of each pair; 0: the pair stays as it is. */
  readonly inverseFrequencies: Float64Array;
  /** Multiplies cosines and sines of queries and keys: logits scale by its square. */
  readonly attentionFactor: number;
  /** d: the first d channels of a head turn, the rest pass. */
  readonly rotaryDim: number;
  readonly layout: RopeLayout;
  readonly sections?: RopeSections;
  readonly decay?: RopeDecay;
}

export interface RopeFrequencyOptions {
  /** D, channels of a head. */
  readonly headDim: number;
  /** Tokens of the sequence at its end, for the variants that ask (dynamic, longrope, xpos). Default: the model's `maxPositions`. */
  readonly sequenceLength?: number;
}

/**
 * The frequencies of `config` for one head size and sequence length. Two lengths may give different ones (dynamic, longrope): keys
 * that are already turned stay valid only while they are equal.
 * @throws ConfigError `CONFIG_VALUE` for a head size that does not fit the variant.
 */
export function ropeFrequencies(config: RopeConfig, options: RopeFrequencyOptions): RopeFrequencies {
  refuseUnknownNames("ropeFrequencies", options, { headDim: true, sequenceLength: true });
  const { headDim, sequenceLength = config.maxPositions } = options;
  const { theta, scaling, layout, sections } = config;
  const rotaryDim = rotaryDimOf(config, headDim);
  if (sections && sum(sections.sizes) !== rotaryDim / 2)
    throw new ConfigError(
      "CONFIG_VALUE",
      `mrope_section is [${sections.sizes.join(", ")}]; accepted: three sizes that sum to ${rotaryDim / 2}, half of the ${rotaryDim} turned channels.`,
    );
  const inverseFrequencies = scaled(scaling, { theta, rotaryDim, config, headDim, sequenceLength });
  const attentionFactor = "attentionFactor" in scaling ? scaling.attentionFactor : 1;
  const decay = scaling.type === "xpos" ? xPosDecay(rotaryDim, scaling.scaleBase, sequenceLength) : undefined;
  return { inverseFrequencies, attentionFactor, rotaryDim, layout, sections, decay };
}

interface ScalingContext {
  readonly theta: number;
  readonly rotaryDim: number;
  readonly headDim: number;
  readonly sequenceLength: number;
  readonly config: RopeConfig;
}

function scaled(scaling: RopeScaling, context: ScalingContext): Float64Array {
  const { theta, rotaryDim, headDim, sequenceLength, config } = context;
  const plain = (base = theta) =>
    Float64Array.from({ length: rotaryDim / 2 }, (_, i) => base ** ((-2 * i) / rotaryDim));
  const raisedBase = (extension: number) => {
    if (rotaryDim < 4)
      throw new ConfigError("CONFIG_VALUE", `rope_type is "${scaling.type}", which needs at least 4 turned channels.`);
    return theta * extension ** (rotaryDim / (rotaryDim - 2));
  };
  switch (scaling.type) {
    case "default":
    case "xpos":
      return plain();
    case "linear":
      return plain().map((frequency) => frequency / scaling.factor);
    case "ntk":
      return plain(raisedBase(scaling.factor));
    case "dynamic": {
      const stretch = Math.max(sequenceLength, config.maxPositions) / config.maxPositions;
      return plain(raisedBase(scaling.factor * stretch - (scaling.factor - 1)));
    }
    case "ntk-by-parts":
      return byParts(plain(), scaling, scaling.alpha, scaling.beta);
    case "llama3":
      return byParts(plain(), scaling, scaling.lowFrequencyFactor, scaling.highFrequencyFactor);
    case "yarn":
      return yarn(plain(), scaling, theta);
    case "longrope": {
      const name = sequenceLength > scaling.originalMaxPositions ? "longFactor" : "shortFactor";
      for (const list of ["shortFactor", "longFactor"] as const)
        if (scaling[list].length !== rotaryDim / 2)
          throw new ConfigError(
            "CONFIG_VALUE",
            `${list === "shortFactor" ? "short_factor" : "long_factor"} has ${scaling[list].length} numbers; accepted: ${rotaryDim / 2}, one for each pair of turned channels.`,
          );
      return plain().map((frequency, i) => frequency / scaling[name][i]!);
    }
    case "proportional": {
      const turned = Math.floor((config.partialRotaryFactor * headDim) / 2);
      return plain().map((frequency, i) => (i < turned ? frequency / scaling.factor : 0));
    }
  }
}

/** YaRN paper, section 3.2: g interpolates between theta/s (fewer than alpha turns in L0) and theta (more than beta). */
function byParts(
  plain: Float64Array,
  { factor, originalMaxPositions }: { readonly factor: number; readonly originalMaxPositions: number },
  alpha: number,
  beta: number,
): Float64Array {
  return plain.map((frequency) => {
    const turns = (originalMaxPositions * frequency) / (2 * Math.PI);
    const kept = clamp((turns - alpha) / (beta - alpha));
    return ((1 - kept) * frequency) / factor + kept * frequency;
  });
}

/** As Hugging Face and the authors' code have it: the ramp runs over indices. */
function yarn(plain: Float64Array, scaling: Extract<RopeScaling, { type: "yarn" }>, theta: number): Float64Array {
  const { factor, originalMaxPositions, betaFast, betaSlow, truncate } = scaling;
  const rotaryDim = 2 * plain.length;
  /** The (real) index of the pair that makes `turns` turns in L0. */
  const indexOf = (turns: number) =>
    (rotaryDim * Math.log(originalMaxPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [indexOf(betaFast), indexOf(betaSlow)];
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  let high = Math.min(truncate ? Math.ceil(last) : last, rotaryDim - 1);
  if (high === low) high += 0.001;
  return plain.map((frequency, i) => {
    const interpolated = clamp((i - low) / (high - low));
    return (frequency / factor) * interpolated + frequency * (1 - interpolated);
  });
}

function xPosDecay(rotaryDim: number, scaleBase: number, sequenceLength: number): RopeDecay {
  const zeta = (_: unknown, i: number) => (2 * i + 0.4 * rotaryDim) / (1.4 * rotaryDim);
  return { zeta: Float64Array.from({ length: rotaryDim / 2 }, zeta), scaleBase, center: Math.ceil(sequenceLength / 2) };
}

function rotaryDimOf({ scaling, partialRotaryFactor }: RopeConfig, headDim: number): number {
  const rotaryDim = scaling.type === "proportional" ? headDim : Math.floor(headDim * partialRotaryFactor);
  if (rotaryDim < 2 || rotaryDim % 2 !== 0)
    throw new ConfigError(
      "CONFIG_VALUE",
      `partial_rotary_factor is ${partialRotaryFactor}; accepted: a part of the ${headDim} channels of a head that is even and at least 2, as the rotary embedding turns pairs.`,
    );
  return rotaryDim;
}

const clamp = (x: number): number => Math.min(Math.max(x, 0), 1);
const sum = (numbers: readonly number[]): number => numbers.reduce((total, x) => total + x, 0);
