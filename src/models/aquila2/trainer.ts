/** @file `Trainer`: steps of AdamW on the weights of a model, in place. */
import { type AdamWOptions, adamWStep, copy } from "../../kernels/index.ts";
import type { Tensor } from "../../runtime/index.ts";
import { type NamesOf, refuseUnknownNames } from "../../support/names.ts";
import type { Aquila2 } from "./model.ts";
import { type LossOptions, lossAndGradients, tensorsOf } from "./training.ts";

/** One weight with what AdamW keeps for it, all on the device. */
interface WeightState {
  readonly parameter: Tensor;
  /** f32; only of a 16-bit parameter. */
  readonly master?: Tensor;
  readonly firstMoment: Tensor;
  readonly secondMoment: Tensor;
}

export interface TrainerOptions extends AdamWOptions, LossOptions {}

const optionNames: NamesOf<TrainerOptions> = {
  learningRate: true,
  betas: true,
  epsilon: true,
  weightDecay: true,
  lossScale: true,
};

/**
 * Trains a model in place with AdamW: `trainer.step(batch)`. Weights that are stored in 16 bits get f32 master copies, so that small
 * updates are not lost. Takes 8 bytes a weight for the moments, and 4 for a master copy.
 */
export class Trainer implements Disposable {
  readonly model: Aquila2;
  readonly #options: TrainerOptions;
  readonly #weights: readonly WeightState[];
  #steps = 0;

  constructor(model: Aquila2, options: TrainerOptions) {
    refuseUnknownNames("Trainer", options, optionNames);
    this.model = model;
    this.#options = options;
    this.#weights = tensorsOf(model.parameters).map((parameter) => {
      const zeros = () => model.device.zeros(parameter.shape, "f32");
      const moments = { firstMoment: zeros(), secondMoment: zeros() };
      return parameter.dtype === "f32"
        ? { parameter, ...moments }
        : { parameter, master: inF32(parameter), ...moments };
    });
  }

  /** Steps taken. */
  get steps(): number {
    return this.#steps;
  }

  /**
   * One step on `sequences`, token ids of one length; gives the loss before it, f32 [1], at once. Throws what `lossAndGradients` and
   * `adamWStep` do.
   */
  step(sequences: readonly (readonly number[])[]): Tensor {
    const { lossScale = 1, ...options } = this.#options;
    const { loss, gradients: all } = lossAndGradients(this.model, sequences, { lossScale });
    using gradients = all;
    const step = this.#steps + 1;
    for (const [i, gradient] of tensorsOf(gradients).entries())
      adamWStep({ ...options, ...this.#weights[i]!, gradient, step, gradientScale: 1 / lossScale });
    this.#steps = step;
    return loss;
  }

  /** Frees the moments and master copies. The model stays. */
  [Symbol.dispose](): void {
    for (const { master, firstMoment, secondMoment } of this.#weights)
      for (const tensor of [master, firstMoment, secondMoment]) tensor?.dispose();
  }

  dispose(): void {
    this[Symbol.dispose]();
  }
}

/** A copy in f32. */
function inF32(tensor: Tensor): Tensor {
  const result = tensor.device.empty(tensor.shape, "f32");
  const columns = tensor.shape.at(-1)!;
  const shape = [1, 1, tensor.size / columns, columns];
  using from = tensor.reshape(shape);
  using to = result.reshape(shape);
  copy({ from, to });
  return result;
}
