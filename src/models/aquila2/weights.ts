/**
 * @file The tensors that a model of a given config must have: names and shapes of the Hugging Face layout (`nn.Linear` is
 * `[out, in]`), the check of a checkpoint against them, and the weights one by one.
 */
import { CheckpointError } from "../../support/errors.ts";
import type { Checkpoint, StoredFloats } from "./checkpoint.ts";
import type { ModelConfig } from "./config.ts";

/** A weight as the checkpoint stores it, row-major. */
export type Weight = StoredFloats & { readonly name: string; readonly shape: readonly number[] };

/** Name of one tensor of one layer, for example `layerTensor(3, "mlp.up_proj")`. */
export const layerTensor = (layer: number, part: string): string => `model.layers.${layer}.${part}.weight`;
export const embeddingTensor = "model.embed_tokens.weight";
export const finalNormTensor = "model.norm.weight";
export const outputTensor = "lm_head.weight";

/** Name → shape of every tensor that the model reads, in the order of the forward pass. */
export function expectedTensors(config: ModelConfig): Map<string, readonly number[]> {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = config;
  const shapes = new Map<string, readonly number[]>([[embeddingTensor, [vocabSize, hiddenSize]]]);
  for (let layer = 0; layer < config.layers; layer++) {
    const add = (part: string, ...shape: number[]) => shapes.set(layerTensor(layer, part), shape);
    add("input_layernorm", hiddenSize);
    add("self_attn.q_proj", heads * headDim, hiddenSize);
    add("self_attn.k_proj", kvHeads * headDim, hiddenSize);
    add("self_attn.v_proj", kvHeads * headDim, hiddenSize);
    add("self_attn.o_proj", hiddenSize, heads * headDim);
    add("post_attention_layernorm", hiddenSize);
    add("mlp.gate_proj", intermediateSize, hiddenSize);
    add("mlp.up_proj", intermediateSize, hiddenSize);
    add("mlp.down_proj", hiddenSize, intermediateSize);
  }
  shapes.set(finalNormTensor, [hiddenSize]);
  if (!config.tieWordEmbeddings) shapes.set(outputTensor, [vocabSize, hiddenSize]);
  return shapes;
}

/**
 * Checks that `checkpoint` holds exactly the tensors of `config`, with their shapes, in a floating-point dtype that can be read.
 * Two kinds of surplus are known and ignored: `rotary_emb.inv_freq`, which follows from the config, and an output projection that
 * the config ties to the embedding. Throws `CheckpointError` naming tensors, files and what was expected.
 */
export function checkWeights(checkpoint: Checkpoint, config: ModelConfig): void {
  const expected = expectedTensors(config);
  const fail = (code: string, problem: string, remedy: string): never => {
    throw new CheckpointError(code, `${checkpoint.location}: ${problem}. ${remedy}`);
  };

  const missing = [...expected.keys()].filter((name) => !checkpoint.has(name));
  if (missing.length > 0) {
    fail(
      "TENSOR_MISSING",
      `the checkpoint lacks ${listNames(missing)}`,
      "Fetch all files of the model, or check its config.json.",
    );
  }
  const isKnownSurplus = (name: string) =>
    name.endsWith("rotary_emb.inv_freq") || (config.tieWordEmbeddings && name === outputTensor);
  const surplus = checkpoint.names().filter((name) => !expected.has(name) && !isKnownSurplus(name));
  if (surplus.length > 0) {
    fail(
      "TENSOR_UNEXPECTED",
      `the model of config.json has no place for ${listNames(surplus)}`,
      "The checkpoint is of another model.",
    );
  }
  for (const [name, shape] of expected) {
    const entry = checkpoint.entry(name);
    const place = `tensor "${name}" of ${checkpoint.fileName(name)}`;
    if (entry.shape.join() !== shape.join()) {
      const problem = `${place} has shape [${entry.shape.join(", ")}]; config.json asks for [${shape.join(", ")}]`;
      fail("TENSOR_SHAPE", problem, "Config and weights are of different models.");
    }
    if (entry.dtype !== "F32" && entry.dtype !== "F16" && entry.dtype !== "BF16") {
      fail(
        "DTYPE_UNSUPPORTED",
        `${place} is stored as ${entry.dtype}; weights are read from F32, F16 and BF16`,
        "Convert the checkpoint.",
      );
    }
  }
}

/** The weights of the model, one at a time in the order of the forward pass, after `checkWeights`. */
export async function* readWeights(checkpoint: Checkpoint, config: ModelConfig): AsyncGenerator<Weight> {
  checkWeights(checkpoint, config);
  for (const [name, shape] of expectedTensors(config)) yield { name, shape, ...(await checkpoint.readFloats(name)) };
}

function listNames(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => `"${name}"`);
  const more = names.length - shown.length;
  return `${names.length} tensor${names.length === 1 ? "" : "s"}: ${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
