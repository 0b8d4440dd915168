/** @file A training step of the small model against golden values in f64 by an independent implementation. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
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
import { crossEntropy } from "../kernels/training-reference.ts";
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

/** The loss of the golden batch by the model's logits and f64. */
async function meanLoss(model: Aquila2): Promise<number> {
  const losses: number[] = [];
  for (const ids of golden.input_ids)
    losses.push(...crossEntropy(await model.logits(ids), [...ids.slice(1), -1], -1).losses.subarray(0, -1));
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
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

/** A mean of 190 losses of up to 20. */
const lossTolerance = 20 * precision;

/** A weight is rounded when it shrinks and when it moves: twice 2^-24. */
const weightRounding = 2 ** -23;

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

/** How far the norm of the weights may be off: by the norm of what each weight may be off by. */
function normTolerance(gradients: Float32Array, tolerance: number, parameterNorm: number): number {
  // A gradient that is exactly 0 (an embedding's row that does not occur) is no sum, so it has no error.
  const moved = gradients.map((gradient) => (gradient === 0 ? 0 : stepTolerance(gradient, tolerance)));
  return norm(moved) + weightRounding * parameterNorm;
}

describe("a training step", () => {
  const device = new CpuDevice();
  afterAll(() => device.dispose());

  test("in f32: loss and gradients of every weight, the weights after one step of AdamW, and the loss then", async () => {
    using model = await loadAquila2(await filesInF32(), { device });
    const { loss, gradients } = lossAndGradients(model, golden.input_ids);
    expect(Math.abs((await valuesOf(loss))[0]! - golden.loss)).toBeLessThan(lossTolerance);
    const named = byName(gradients);
    expect([...named.keys()].sort()).toEqual(Object.keys(golden.parameters).sort());
    const values = new Map<string, Float32Array>();
    for (const [name, expected] of Object.entries(golden.parameters)) {
      const actual = await valuesOf(named.get(name)!);
      values.set(name, actual);
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
      const tolerance = elementTolerance(expected);
      const gradientOf = new Map(expected.samples);
      for (const [index, value] of expected.after_adamw) {
        const allowed = stepTolerance(gradientOf.get(index)!, tolerance) + weightRounding * Math.abs(value);
        expect(Math.abs(actual[index]! - value), `${name} ${index}`).toBeLessThanOrEqual(allowed);
      }
      const allowed = normTolerance(values.get(name)!, tolerance, expected.param_l2_after);
      expect(Math.abs(norm(actual) - expected.param_l2_after), name).toBeLessThanOrEqual(allowed);
    }
    // Rounded weights move the loss too: norms of about 100 and of their gradient of about 5 make 100 · 5 · 2^-23 at most.
    expect(Math.abs((await meanLoss(model)) - golden.loss_after_step)).toBeLessThan(2 * lossTolerance);
  });

  test("of 16-bit weights: the step is that of their f32 copies, rounded", async () => {
    using model = await loadAquila2(directory, { device });
    using trainer = new Trainer(model, options);
    // The same values as in f32, so the same arithmetic.
    expect(Math.abs((await valuesOf(trainer.step(golden.input_ids)))[0]! - golden.loss)).toBeLessThan(lossTolerance);
    for (const [name, expected] of Object.entries(golden.parameters)) {
      const parameter = byName(model.parameters).get(name)!;
      expect(parameter.dtype).toBe("bf16");
      const actual = await valuesOf(parameter);
      const gradientOf = new Map(expected.samples);
      for (const [index, value] of expected.after_adamw) {
        const master =
          stepTolerance(gradientOf.get(index)!, elementTolerance(expected)) + weightRounding * Math.abs(value);
        const allowed = master + 2 ** -8 * (Math.abs(value) + master);
        expect(Math.abs(actual[index]! - value), `${name} ${index}`).toBeLessThanOrEqual(allowed);
      }
    }
  });

  test("in bf16 throughout, with a scaled loss: the loss falls step by step", async () => {
    using model = await loadAquila2(directory, { device, dtype: "bf16" });
    using trainer = new Trainer(model, { ...options, lossScale: 1024 });
    const batch = golden.input_ids.map((ids) => ids.slice(0, 12));
    const losses: number[] = [];
    for (let step = 0; step < 2; step++) losses.push((await valuesOf(trainer.step(batch)))[0]!);
    expect(losses[1]!).toBeLessThan(losses[0]!);
  });

  test("of a model whose output is its embedding: that gets both gradients", async () => {
    const batch = [golden.input_ids[0]!.slice(0, 6)];
    const gradientsOf = async (tied: boolean) => {
      const files = await filesInF32((config, tensors) => {
        const [table, output] = ["model.embed_tokens.weight", "lm_head.weight"].map(
          (name) => tensors.find((tensor) => tensor.name === name)!,
        );
        output!.data = table!.data;
        config.tie_word_embeddings = tied;
      });
      using model = await loadAquila2(files, { device });
      const { embedding, output } = lossAndGradients(model, batch).gradients;
      expect(embedding === output).toBe(tied);
      return { embedding: await valuesOf(embedding), output: await valuesOf(output) };
    };
    const apart = await gradientsOf(false);
    const both = await gradientsOf(true);
    // One f32 addition.
    for (const [i, value] of both.embedding.entries())
      expect(Math.abs(value - apart.embedding[i]! - apart.output[i]!)).toBeLessThanOrEqual(2 ** -23 * Math.abs(value));
  });

  test("gives the same bits twice, and names what is wrong with a batch", async () => {
    using model = await loadAquila2(directory, { device });
    const run = async () => {
      const { gradients } = lossAndGradients(model, [
        [1, 2, 1, 7],
        [7, 7, 7, 1],
      ]);
      return Promise.all([...byName(gradients).values()].map((gradient) => gradient.readRaw()));
    };
    expect(await run()).toEqual(await run());
    for (const [batch, message] of [
      [[], /0 of 0/],
      [[[5]], /1 of 1/],
      [
        [
          [1, 2],
          [1, 2, 3],
        ],
        /sequence 1 has 3 tokens, but the first 2/,
      ],
      [[[1, 2048]], /token 1 of sequence 0 is 2048; ids are integers from 0 to 2047/],
    ] as const) {
      const error = await errorOf(() => lossAndGradients(model, batch));
      expect(error.code).toBe("TRAINING_BATCH");
      expect(error.message).toMatch(message);
    }
  });
});
