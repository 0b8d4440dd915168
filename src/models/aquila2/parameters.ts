/**
 * @file The weights on a device: one tensor at a time is read from the checkpoint, converted where needed and sent, so that loading
 * takes little more host memory than the largest tensor.
 */
import type { Device, Tensor } from "../../runtime/index.ts";
import { bf16ToFloat32, f16ToFloat32 } from "../../support/float16.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { ModelConfig } from "./config.ts";
import {
  embeddingTensor,
  expectedTensors,
  finalNormTensor,
  layerTensor,
  outputTensor,
  readWeights,
  type Weight,
} from "./weights.ts";

/** The dtype of activations. Norms, softmax and logits are computed in f32 in all of them. */
export type ModelDType = "f32" | "f16" | "bf16";

/** Weights of one layer; matrices are [out, in]. */
export interface LayerParameters {
  readonly attentionNorm: Tensor;
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  readonly attentionOutput: Tensor;
  readonly feedForwardNorm: Tensor;
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly down: Tensor;
}

/** Weights of a model. `output` is `embedding` itself where the config ties them. */
export interface Parameters extends Disposable {
  readonly embedding: Tensor;
  readonly layers: readonly LayerParameters[];
  readonly finalNorm: Tensor;
  readonly output: Tensor;
}

export interface LoadProgress {
  /** Name of the tensor that has been loaded. */
  readonly tensor: string;
  /** Tensors loaded, and how many there are. */
  readonly done: number;
  readonly total: number;
}

/** Reads all weights of `config` from `checkpoint` onto `device`, after checking them. Throws `CheckpointError`, `DeviceError`. */
export async function loadParameters(
  checkpoint: Checkpoint,
  config: ModelConfig,
  device: Device,
  dtype: ModelDType,
  onProgress?: (progress: LoadProgress) => void,
): Promise<Parameters> {
  const tensors = new Map<string, Tensor>();
  const dispose = () => {
    for (const tensor of tensors.values()) tensor.dispose();
  };
  try {
    const total = expectedTensors(config).size;
    for await (const weight of readWeights(checkpoint, config)) {
      tensors.set(weight.name, upload(device, weight, dtype));
      onProgress?.({ tensor: weight.name, done: tensors.size, total });
    }
  } catch (error) {
    dispose();
    throw error;
  }
  const get = (name: string): Tensor => tensors.get(name)!;
  return {
    embedding: get(embeddingTensor),
    layers: Array.from({ length: config.layers }, (_, layer) => {
      const part = (name: string) => get(layerTensor(layer, name));
      return {
        attentionNorm: part("input_layernorm"),
        query: part("self_attn.q_proj"),
        key: part("self_attn.k_proj"),
        value: part("self_attn.v_proj"),
        attentionOutput: part("self_attn.o_proj"),
        feedForwardNorm: part("post_attention_layernorm"),
        gate: part("mlp.gate_proj"),
        up: part("mlp.up_proj"),
        down: part("mlp.down_proj"),
      };
    }),
    finalNorm: get(finalNormTensor),
    output: get(config.tieWordEmbeddings ? embeddingTensor : outputTensor),
    [Symbol.dispose]: dispose,
  };
}

/**
 * A model in f32 keeps its weights as stored: the kernels widen them, exactly, and 16-bit weights take half the memory. In a 16-bit
 * dtype all weights are of that dtype, as the matrix units want it.
 */
function upload(device: Device, { shape, ...stored }: Weight, dtype: ModelDType): Tensor {
  if (dtype === "f32" || stored.dtype === dtype) return device.tensor(stored.data, { shape, dtype: stored.dtype });
  const values = stored.dtype === "f32" ? stored.data : widen[stored.dtype](stored.data);
  return device.tensor(values, { shape, dtype });
}

const widen = { bf16: bf16ToFloat32, f16: f16ToFloat32 } as const;
