/**
 * @file Reads the rotary embedding of a Hugging Face config.json: the legacy form (`rope_theta`, `partial_rotary_factor` and `rope_scaling`
 * with `type` or `rope_type`) and transformers 5's (`rope_parameters`, also nested per layer type). Every key is either understood or
 * refused: an embedding that is almost the trained one gives text that is almost right.
 */
import { describe, isRecord } from "../../support/json.ts";
import { refuseUnknownNames } from "../../support/names.ts";
import { Keys, type RopeParameters } from "./config-keys.ts";
import { type RopeConfig, type RopeScaling, type RopeSections, trainedLength } from "./variants.ts";

export interface RopeConfigOptions {
  /** Names the file in errors. Default "config.json". */
  readonly place?: string;
  /** Which of the embeddings of a file that has one for each layer type, for example "full_attention". */
  readonly layerType?: string;
}

/**
 * The rotary embedding of a config.json (parsed). A file that names no base means 10000.
 * @throws ConfigError `CONFIG_VALUE`: the key, what it is, and what is accepted.
 */
export function readRopeConfig(json: Readonly<Record<string, unknown>>, options: RopeConfigOptions = {}): RopeConfig {
  refuseUnknownNames("readRopeConfig", options, { place: true, layerType: true });
  const { place = "config.json", layerType } = options;
  const top = new Keys(json, place, "");
  refuseOtherFamilies(top);
  if (top.has("rope_scaling") && top.has("rope_parameters"))
    top.refuse("rope_scaling", "only one of rope_scaling and rope_parameters");
  const name = top.has("rope_scaling") ? "rope_scaling" : "rope_parameters";
  const parameters = selectLayerType(top, name, layerType);
  const originalMaxPositions = top.has("original_max_position_embeddings")
    ? top.count("original_max_position_embeddings")
    : undefined;
  return readParameters(parameters, {
    theta: top.has("rope_theta") ? top.positive("rope_theta") : undefined,
    partialRotaryFactor: top.has("partial_rotary_factor") ? top.part("partial_rotary_factor") : undefined,
    layout: top.has("rope_interleave") ? layoutOf(top) : undefined,
    originalMaxPositions,
    maxPositions: top.count("max_position_embeddings"),
    typeMayMiss: name === "rope_parameters",
  });
}

/**
 * `base` with another variant, given by the keys of `rope_scaling`, for example `{ rope_type: "yarn", factor: 8 }`. What they do not say
 * (base, turned part, layout, sections, and the trained length as `original_max_position_embeddings`) stays as it is.
 * @throws ConfigError `CONFIG_VALUE`.
 */
export function overrideRopeConfig(base: RopeConfig, parameters: RopeParameters, place = "rope"): RopeConfig {
  const { sections } = base;
  const changed = readParameters(new Keys(parameters, place, ""), {
    theta: undefined,
    partialRotaryFactor: undefined,
    layout: undefined,
    originalMaxPositions: undefined,
    maxPositions: base.maxPositions,
    typeMayMiss: false,
    base,
  });
  return sections && !changed.sections ? { ...changed, sections } : changed;
}

/** What stands beside the parameters, at the top of the file. */
interface Surroundings {
  readonly theta: number | undefined;
  readonly partialRotaryFactor: number | undefined;
  readonly layout: RopeConfig["layout"] | undefined;
  readonly originalMaxPositions: number | undefined;
  readonly maxPositions: number;
  /** transformers 5 writes `rope_parameters` without a type for the default. */
  readonly typeMayMiss: boolean;
  /** What an override changes. */
  readonly base?: RopeConfig;
}

/** Keys that every type takes. */
const commonKeys = [
  "type",
  "rope_type",
  "rope_theta",
  "partial_rotary_factor",
  "rope_interleave",
  "mrope_section",
  "mrope_interleaved",
];

interface TypeReader {
  readonly required: readonly string[];
  readonly optional: readonly string[];
  read(keys: Keys, at: Surroundings): RopeScaling;
}

const lengthKey = "original_max_position_embeddings";

const types: Readonly<Record<RopeScaling["type"], TypeReader>> = {
  default: { required: [], optional: [], read: () => ({ type: "default" }) },
  linear: { required: ["factor"], optional: [], read: (keys) => ({ type: "linear", factor: keys.factor() }) },
  ntk: { required: ["factor"], optional: [], read: (keys) => ({ type: "ntk", factor: keys.factor() }) },
  dynamic: {
    required: ["factor"],
    optional: [lengthKey],
    read(keys, { maxPositions }) {
      // transformers takes the key and computes with max_position_embeddings: two lengths would leave open which is meant.
      if (keys.has(lengthKey) && keys.count(lengthKey) !== maxPositions)
        keys.refuse(lengthKey, `max_position_embeddings (${maxPositions}), which dynamic scaling starts from`);
      return { type: "dynamic", factor: keys.factor() };
    },
  },
  "ntk-by-parts": {
    required: ["factor", lengthKey],
    optional: ["alpha", "beta"],
    read(keys, at) {
      const [alpha, beta] = [keys.positive("alpha", 1), keys.positive("beta", 32)];
      if (beta <= alpha) keys.refuse("beta", `a number above alpha (${alpha})`);
      return {
        type: "ntk-by-parts",
        factor: keys.factor(),
        originalMaxPositions: originalLength(keys, at),
        alpha,
        beta,
      };
    },
  },
  yarn: {
    required: ["factor", lengthKey],
    optional: ["attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"],
    read: readYarn,
  },
  longrope: {
    required: ["short_factor", "long_factor", lengthKey],
    optional: ["factor", "attention_factor"],
    read(keys, at) {
      const originalMaxPositions = originalLength(keys, at);
      const extension = keys.has("factor") ? keys.factor() : at.maxPositions / originalMaxPositions;
      const attention = extension <= 1 ? 1 : Math.sqrt(1 + Math.log(extension) / Math.log(originalMaxPositions));
      return {
        type: "longrope",
        originalMaxPositions,
        shortFactor: keys.positives("short_factor"),
        longFactor: keys.positives("long_factor"),
        attentionFactor: keys.positive("attention_factor", attention),
      };
    },
  },
  llama3: {
    required: ["factor", "low_freq_factor", "high_freq_factor", lengthKey],
    optional: [],
    read(keys, at) {
      const [low, high] = [keys.positive("low_freq_factor"), keys.positive("high_freq_factor")];
      if (high <= low) keys.refuse("high_freq_factor", `a number above low_freq_factor (${low})`);
      return {
        type: "llama3",
        factor: keys.factor(),
        originalMaxPositions: originalLength(keys, at),
        lowFrequencyFactor: low,
        highFrequencyFactor: high,
      };
    },
  },
  proportional: {
    required: [],
    optional: ["factor"],
    read: (keys) => ({ type: "proportional", factor: keys.has("factor") ? keys.factor() : 1 }),
  },
  xpos: {
    required: [],
    optional: ["scale_base"],
    read: (keys) => ({ type: "xpos", scaleBase: keys.positive("scale_base", 512) }),
  },
};

/** The names that `rope_type` takes. */
export const ropeTypes: readonly string[] = Object.keys(types);

/** Names in files that mean a type: Phi-3's first releases, Qwen2-VL (which adds `mrope_section`). */
const aliases: Readonly<Record<string, RopeScaling["type"]>> = { su: "longrope", mrope: "default" };

function readParameters(keys: Keys, at: Surroundings): RopeConfig {
  const type = readType(keys, at.typeMayMiss);
  const reader = types[type];
  const accepted = [...reader.required, ...reader.optional];
  for (const key of keys.names())
    if (!accepted.includes(key) && !commonKeys.includes(key))
      keys.refuse(key, `for rope_type "${type}" the keys ${[...accepted, ...commonKeys].join(", ")}`);

  const { base, maxPositions } = at;
  const theta = keys.agreeing("rope_theta", at.theta, () => keys.positive("rope_theta")) ?? base?.theta ?? 10000;
  const partialRotaryFactor =
    keys.agreeing("partial_rotary_factor", at.partialRotaryFactor, () => keys.part("partial_rotary_factor")) ??
    base?.partialRotaryFactor ??
    1;
  const layout = keys.agreeing("rope_interleave", at.layout, () => layoutOf(keys)) ?? base?.layout;
  const sections = readSections(keys);
  const scaling = reader.read(keys, at);
  return {
    theta,
    maxPositions,
    partialRotaryFactor,
    layout: layout ?? (type === "xpos" ? "interleaved" : "half"), // xPos is published in the paper's own layout
    scaling,
    ...(sections && { sections }),
  };
}

function readType(keys: Keys, mayMiss: boolean): RopeScaling["type"] {
  const known = `${ropeTypes.join(", ")} (also su for longrope, mrope for default with mrope_section)`;
  const named = (["rope_type", "type"] as const).filter((key) => keys.has(key));
  if (named.length === 0 && !mayMiss) keys.refuse("rope_type", known);
  const resolved = named.map((key) => {
    const name = keys.value(key);
    const type = typeof name === "string" ? (aliases[name] ?? name) : "";
    if (!Object.hasOwn(types, type)) keys.refuse(key, known);
    if (name === "mrope" && !keys.has("mrope_section")) keys.refuse("mrope_section", 'three sizes, with type "mrope"');
    return type as RopeScaling["type"];
  });
  if (resolved.length === 2 && resolved[0] !== resolved[1])
    keys.refuse("type", `the same as rope_type (${describe(keys.value("rope_type"))}), or only one of the two`);
  return resolved[0] ?? "default";
}

function readYarn(keys: Keys, at: Surroundings): RopeScaling {
  const originalMaxPositions = originalLength(keys, at);
  // DeepSeek's and other files leave the factor to the two lengths.
  const implied = keys.has(lengthKey) || at.originalMaxPositions !== undefined;
  if (!keys.has("factor") && (!implied || at.maxPositions < originalMaxPositions)) keys.factor();
  const factor = keys.has("factor") ? keys.factor() : at.maxPositions / originalMaxPositions;
  const [betaFast, betaSlow] = [keys.positive("beta_fast", 32), keys.positive("beta_slow", 1)];
  if (betaFast <= betaSlow) keys.refuse("beta_fast", `a number above beta_slow (${betaSlow})`);
  return {
    type: "yarn",
    factor,
    originalMaxPositions,
    betaFast,
    betaSlow,
    truncate: keys.boolean("truncate", true),
    attentionFactor: yarnAttentionFactor(keys, factor),
  };
}

function yarnAttentionFactor(keys: Keys, factor: number): number {
  const scale = (m: number) => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  const [some, all] = [keys.has("mscale"), keys.has("mscale_all_dim")];
  // One without the other, or zero, means different things to the authors' code and to transformers.
  if (some !== all)
    keys.refuse(some ? "mscale_all_dim" : "mscale", "mscale and mscale_all_dim together, or attention_factor alone");
  if (some && keys.has("attention_factor"))
    keys.refuse("attention_factor", "attention_factor alone, or mscale and mscale_all_dim");
  if (some) return scale(keys.positive("mscale")) / scale(keys.positive("mscale_all_dim"));
  return keys.positive("attention_factor", scale(1));
}

function originalLength(keys: Keys, { originalMaxPositions, base }: Surroundings): number {
  const length = keys.agreeing(lengthKey, originalMaxPositions, () => keys.count(lengthKey));
  return length ?? (base ? trainedLength(base) : keys.count(lengthKey));
}

function readSections(keys: Keys): RopeSections | undefined {
  if (!keys.has("mrope_section")) {
    if (keys.has("mrope_interleaved")) keys.refuse("mrope_section", "three sizes, with mrope_interleaved");
    return undefined;
  }
  const sizes = keys.value("mrope_section");
  const isSizes =
    Array.isArray(sizes) && sizes.length === 3 && sizes.every((size) => Number.isInteger(size) && size >= 0);
  if (!isSizes)
    keys.refuse("mrope_section", "three sizes (time, height, width) that sum to half of the turned channels");
  const interleaved = keys.boolean("mrope_interleaved", false);
  const [time, height, width] = sizes as [number, number, number];
  const lastTurned = Math.max(1 + 3 * (height - 1), 2 + 3 * (width - 1));
  if (interleaved && lastTurned >= time + height + width)
    keys.refuse("mrope_section", "interleaved height and width of about a third of the sum each, at most");
  return { sizes: [time, height, width], interleaved };
}

const layoutOf = (keys: Keys): RopeConfig["layout"] =>
  keys.boolean("rope_interleave", false) ? "interleaved" : "half";

/** The parameters themselves, or those of one layer type. */
function selectLayerType(top: Keys, name: string, layerType: string | undefined): Keys {
  const parameters = top.has(name) ? top.value(name) : {};
  if (!isRecord(parameters)) return top.refuse(name, "null or an object with rope_type");
  const entries = Object.entries(parameters).filter(([, value]) => isRecord(value));
  if (entries.length === 0) return new Keys(parameters, top.place, `${name}.`);
  const layerTypes = entries.map(([key]) => key);
  if (layerType === undefined)
    return top.refuse(name, `one embedding for all layers; this file has one each for ${layerTypes.join(", ")}`);
  if (!layerTypes.includes(layerType)) return top.refuse(`${name}.${layerType}`, `one of ${layerTypes.join(", ")}`);
  return new Keys(parameters[layerType] as RopeParameters, top.place, `${name}.${layerType}.`);
}

/** Keys by which other model families change their rotary embedding; one that this reader does not know is refused, not passed over. */
function refuseOtherFamilies(top: Keys): void {
  const known = ["rope_theta", "rope_scaling", "rope_parameters", "rope_interleave"];
  const elsewhere = ["use_dynamic_ntk", "use_logn_attn", "alibi", "global_rope_theta", "local_rope_theta"];
  for (const key of top.names())
    if ((/^(rope|rotary|mrope|yarn)_/.test(key) && !known.includes(key)) || elsewhere.includes(key))
      if (top.value(key) !== false) top.refuse(key, `null; the rotary embedding is read from ${known.join(", ")}`);
}
