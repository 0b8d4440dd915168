/** @file A training step of the small model against golden values in f64 by an independent implementation. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Aquila2,
  loadAquila2,
  lossAndGradients,
  modelFilesOf,
  modelFilesOfDirectory,
  openCheckpoint,
  type Parameters,
  Trainer,
} from "../../src/models/aquila2/index.ts";
import { CpuDevice, type Tensor } from "../../src/runtime/index.ts";
import { errorOf, fixtureDirectory, safetensorsFile, type TestTensor } from "./files.ts";

interface GoldenParameter {
  readonly shape: readonly number[];
  readonly grad_l2: number;
  readonly grad_sum: number;
  /** [index, gradient] */
  readonly samples: readonly (readonly [number, number])[];
  /** [index, parameter after the step] */
  readonly after_adamw: readonly (readonly [number, number])[];
  readonly param_l2_after: number;
}

interface Golden {
  readonly input_ids: number[][];
  readonly loss: number;
  readonly loss_after_step: number;
  readonly adamw: { lr: number; betas: [number, number]; eps: number; weight_decay: number };
  readonly parameters: Readonly<Record<string, GoldenParameter>>;
}

const golden: Golden = JSON.parse(await readFile(new URL("golden_training_step.json", fixtureDirectory), "utf8"));
const { lr, betas, eps, weight_decay } = golden.adamw;
const options = { learningRate: lr, betas, epsilon: eps, weightDecay: weight_decay };
const directory = fileURLToPath(fixtureDirectory);

/** The parameters of a model, or their gradients, by the names of the checkpoint. */
function byName({
  embedding,
  layers,
  finalNorm,
  output,
}: Omit<Parameters, typeof Symbol.dispose>): Map<string, Tensor> {
  const named = new Map([
    ["model.embed_tokens.weight", embedding],
    ["model.norm.weight", finalNorm],
    ["lm_head.weight", output],
  ]);
  for (const [i, layer] of layers.entries()) {
    const parts = {
      input_layernorm: layer.attentionNorm,
      "self_attn.q_proj": layer.query,
      "self_attn.k_proj": layer.key,
      "self_attn.v_proj": layer.value,
      "self_attn.o_proj": layer.attentionOutput,
      post_attention_layernorm: layer.feedForwardNorm,
      "mlp.gate_proj": layer.gate,
      "mlp.up_proj": layer.up,
      "mlp.down_proj": layer.down,
    };
    for (const [part, tensor] of Object.entries(parts)) named.set(`model.layers.${i}.${part}.weight`, tensor);
  }
  return named;
}

/** The fixture's files with f32 weights (of the same values), changed by `change`. */
async function filesInF32(
  change: (config: Record<string, unknown>, tensors: TestTensor[]) => void = () => {},
): Promise<ReturnType<typeof modelFilesOf>> {
  const files = await modelFilesOfDirectory(directory);
  const checkpoint = await openCheckpoint(files);
  const tensors: TestTensor[] = [];
  for (const name of checkpoint.names()) {
    const { data } = await checkpoint.readFloats(name);
    // bf16 is the upper half of f32.
    const bits = Uint32Array.from(data as Uint16Array, (half) => half << 16);
    tensors.push({ name, dtype: "F32", shape: [...checkpoint.entry(name).shape], data: new Uint8Array(bits.buffer) });
  }
  await checkpoint.close();
  const config = JSON.parse(await readFile(new URL("config.json", fixtureDirectory), "utf8"));
  change(config, tensors);
  const tokenizer = await readFile(new URL("tokenizer.json", fixtureDirectory));
  return modelFilesOf(
    new Map([
      ["config.json", new Blob([JSON.stringify(config)])],
      ["tokenizer.json", new Blob([tokenizer])],
      ["model.safetensors", new Blob([safetensorsFile(tensors) as Uint8Array<ArrayBuffer>])],
    ]),
  );
}

const norm = (values: ArrayLike<number>): number => Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0));
const valuesOf = async (tensor: Tensor): Promise<Float32Array> => (await tensor.read()) as Float32Array;

/**
 * The relative error of an f32 gradient: a path down and up the 4 layers passes about 20 operations a layer, each a sum of up to 384 products;
 * independent roundings of 2^-24 add up as the square root of their number.
 */
const precision = Math.sqrt(4 * 20 * 384) * 2 ** -24;

/** Of a gradient's elements: relative to the largest that the golden values show, or their root mean square. */
const elementTolerance = ({ samples, grad_l2, shape }: GoldenParameter): number => {
  const size = shape.reduce((product, extent) => product * extent, 1);
  return precision * Math.max(grad_l2 / Math.sqrt(size), ...samples.map(([, gradient]) => Math.abs(gradient)));
};

/** The first step of AdamW moves a parameter by lr · g / (|g| + eps): what a gradient's error of `tolerance` makes of it. */
function stepTolerance(gradient: number, tolerance: number): number {
  const move = (g: number): number => (lr * g) / (Math.abs(g) + eps);
  const moves = [-tolerance, tolerance].map((error) => Math.abs(move(gradient + error) - move(gradient)));
  return Math.max(...moves) + 8 * 2 ** -24 * lr;
}

describe("a training step in f32", () => {
  const device = new CpuDevice();
  let model: Aquila2;
  beforeAll(async () => {
    model = await loadAquila2(await filesInF32(), { device });
  });
  afterAll(() => {
    model.dispose();
    device.dispose();
  });

  test("loss and gradients of every weight, then the weights after one step of AdamW, then the loss", async () => {
    const { loss, gradients } = lossAndGradients(model, golden.input_ids);
    // A mean of 190 losses of up to 20.
    expect(Math.abs((await valuesOf(loss))[0]! - golden.loss)).toBeLessThan(20 * precision);
    const named = byName(gradients);
    expect([...named.keys()].sort()).toEqual(Object.keys(golden.parameters).sort());
    for (const [name, expected] of Object.entries(golden.parameters)) {
      const actual = await valuesOf(named.get(name)!);
      expect(named.get(name)!.shape, name).toEqual(expected.shape);
      const tolerance = elementTolerance(expected);
      for (const [index, value] of expected.samples)
        expect(Math.abs(actual[index]! - value), `${name} ${index}`).toBeLessThanOrEqual(tolerance);
      expect(Math.abs(norm(actual) - expected.grad_l2), name).toBeLessThanOrEqual(precision * expected.grad_l2);
      // By Cauchy and Schwarz the absolute values add up to at most sqrt(n) times the norm.
      const most = Math.sqrt(actual.length) * expected.grad_l2;
      const sum = actual.reduce((total, x) => total + x, 0);
      expect(Math.abs(sum - expected.grad_sum), name).toBeLessThanOrEqual(precision * most);
    }
    gradients[Symbol.dispose]();

    using trainer = new Trainer(model, options);
    expect(await valuesOf(trainer.step(golden.input_ids))).toEqual(await valuesOf(loss));
    expect(trainer.steps).toBe(1);
    for (const [name, expected] of Object.entries(golden.parameters)) {
      const actual = await valuesOf(byName(model.parameters).get(name)!);
      const gradientOf = new Map(expected.samples);
      for (const [index, value] of expected.after_adamw) {
        const tolerance =
          stepTolerance(gradientOf.get(index)!, elementTolerance(expected)) + 2 ** -23 * Math.abs(value);
        expect(Math.abs(actual[index]! - value), `${name} ${index}`).toBeLessThanOrEqual(tolerance);
      }
      // Each weight is within 2^-23 of itself but for those whose gradient is lost in rounding, which move by lr at most.
      const allowed = 2 ** -23 * expected.param_l2_after + lr * Math.sqrt(actual.length) * 2 ** -10;
      expect(Math.abs(norm(actual) - expected.param_l2_after), name).toBeLessThanOrEqual(allowed);
    }
    const after = lossAndGradients(model, golden.input_ids);
    // The loss moves by 1.65 for a step of lr in each weight, so by as much less for an error of 2^-10 of a step.
    expect(Math.abs((await valuesOf(after.loss))[0]! - golden.loss_after_step)).toBeLessThan(1.65 * 2 ** -10);
    after.gradients[Symbol.dispose]();
  });
});
