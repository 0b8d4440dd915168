/**
 * @file `tilewright/models/aquila2`: loads an Aquila2 (or Llama-shaped) model from Hugging Face's files and runs it on a device:
 * `loadAquila2` → `model.logits`, `model.generate`. The readers of its files stand alone too. May import `support`, `runtime` and
 * `kernels`; Node's modules are reached by dynamic import, and only when a directory is opened.
 */
import type { Device } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import { type NamesOf, refuseUnknownNames } from "../../support/names.ts";
import { type ModelFiles, modelFilesOfDirectory, readText } from "./byte-source.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { parseConfig } from "./config.ts";
import { Aquila2 } from "./model.ts";
import { type LoadProgress, loadParameters, type ModelDType } from "./parameters.ts";
import { type PositionOptions, resolvePositions } from "./positions.ts";
import { Tokenizer } from "./tokenizer.ts";

export { type ByteSource, byteSourceOf, type ModelFiles, modelFilesOf, modelFilesOfDirectory } from "./byte-source.ts";
export type { KeyValueCache } from "./cache.ts";
export { Checkpoint, openCheckpoint, type StoredFloats } from "./checkpoint.ts";
export { type ModelConfig, parseConfig } from "./config.ts";
export * from "./evaluation/index.ts";
export type { GenerateOptions, Piece } from "./generate.ts";
export { Aquila2 } from "./model.ts";
export type { LayerParameters, LoadProgress, ModelDType, Parameters } from "./parameters.ts";
export { type NamedPositions, parsePositions } from "./position-text.ts";
export type { PositionOptions, Positions } from "./positions.ts";
export { openSafetensors, type SafetensorsDType, type SafetensorsEntry, type SafetensorsFile } from "./safetensors.ts";
export type { SamplingOptions } from "./sampling.ts";
export { type DecodeOptions, type TextStream, Tokenizer } from "./tokenizer.ts";
export { Trainer, type TrainerOptions } from "./trainer.ts";
export { type Gradients, type LossAndGradients, type LossOptions, lossAndGradients } from "./training.ts";

export interface LoadOptions extends PositionOptions {
  readonly device: Device;
  /** The dtype of activations, and of weights unless it is f32, which keeps those as stored. Default: `"f32"`. */
  readonly dtype?: ModelDType;
  /** Called after each tensor. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Called once when a text passes the length that the model was trained for, without a scheme. Default: `console.warn`. */
  readonly onWarning?: (message: string) => void;
}

const loadOptionNames: NamesOf<LoadOptions> = {
  device: true,
  dtype: true,
  onProgress: true,
  onWarning: true,
  rope: true,
  scheme: true,
};

/**
 * Loads a model from a directory (Node) or from `ModelFiles`: config.json, model.safetensors or its shards, tokenizer.json and, if
 * there is one, tokenizer_config.json. Throws `ConfigError`, `CheckpointError`, `DeviceError`.
 */
export async function loadAquila2(directory: string | ModelFiles, options: LoadOptions): Promise<Aquila2> {
  refuseUnknownNames("loadAquila2", options ?? {}, loadOptionNames);
  const { device, dtype = "f32", onProgress, onWarning, rope, scheme } = options ?? {};
  if (typeof device?.launch !== "function")
    throw new ArgumentError(
      "ARGUMENT_MISSING",
      'loadAquila2: "device" must be a device: { device: await createDevice() }',
    );
  const files = typeof directory === "string" ? await modelFilesOfDirectory(directory) : directory;
  const names = await files.list();
  const config = parseConfig(await readText(files, "config.json"), `${files.location}: config.json`);
  const positions = resolvePositions(config, { rope: config.rope }, { rope, scheme });
  const settings = names.includes("tokenizer_config.json") ? await readText(files, "tokenizer_config.json") : undefined;
  const tokenizer = await Tokenizer.parse(await readText(files, "tokenizer.json"), settings);
  const checkpoint = await openCheckpoint(files);
  try {
    const parameters = await loadParameters(checkpoint, config, device, dtype, onProgress);
    return new Aquila2({ config, tokenizer, device, dtype, parameters, positions, onWarning });
  } finally {
    await checkpoint.close();
  }
}
