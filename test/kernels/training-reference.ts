/**
 * @file The operators of a training step in plain TypeScript and f64, written from their formulas: what the kernels are judged by.
 * Their gradients are judged by finite differences (training-reference.test.ts). Each gives with its results the magnitude of the terms that
 * were added up, which is what rounding errors are relative to.
 */

/** Results, and for each the sum of the absolute values of its terms. */
export interface Judged {
  readonly values: Float64Array;
  readonly magnitudes: Float64Array;
}

type Numbers = ArrayLike<number>;

/** Results with the magnitude of their terms, collected one by one. */
export class Terms implements Judged {
  readonly values: Float64Array;
  readonly magnitudes: Float64Array;

  constructor(count: number) {
    this.values = new Float64Array(count);
    this.magnitudes = new Float64Array(count);
  }

  add(index: number, term: number, magnitude = Math.abs(term)): void {
    this.values[index]! += term;
    this.magnitudes[index]! += magnitude;
  }

  set(index: number, value: number, magnitude = Math.abs(value)): void {
    this.values[index] = value;
    this.magnitudes[index] = magnitude;
  }
}

/** [M, K]·[K, N] by functions that give the elements. */
export function product(
  [m, n, k]: readonly [number, number, number],
  a: (row: number, inner: number) => number,
  b: (inner: number, column: number) => number,
): Judged {
  const sums = new Terms(m * n);
  for (let row = 0; row < m; row++)
    for (let column = 0; column < n; column++)
      for (let inner = 0; inner < k; inner++) sums.add(row * n + column, a(row, inner) * b(inner, column));
  return sums;
}

const inverseRms = (x: Numbers, row: number, hidden: number, epsilon: number): number => {
  let squares = 0;
  for (let i = 0; i < hidden; i++) squares += x[row * hidden + i]! ** 2;
  return 1 / Math.sqrt(squares / hidden + epsilon);
};

export function rmsNorm(x: Numbers, weight: Numbers, epsilon: number): Float64Array {
  const hidden = weight.length;
  return Float64Array.from({ length: x.length }, (_, i) => {
    return x[i]! * inverseRms(x, Math.floor(i / hidden), hidden, epsilon) * weight[i % hidden]!;
  });
}

export function rmsNormGradients(
  x: Numbers,
  weight: Numbers,
  dout: Numbers,
  epsilon: number,
): { dx: Judged; dweight: Judged } {
  const hidden = weight.length;
  const [dx, dweight] = [new Terms(x.length), new Terms(hidden)];
  for (let row = 0; row < x.length / hidden; row++) {
    const r = inverseRms(x, row, hidden, epsilon);
    const mean = new Terms(1);
    for (let i = 0; i < hidden; i++) {
      const at = row * hidden + i;
      mean.add(0, (dout[at]! * weight[i]! * x[at]!) / hidden);
      dweight.add(i, dout[at]! * x[at]! * r);
    }
    for (let i = 0; i < hidden; i++) {
      const at = row * hidden + i;
      dx.add(at, r * dout[at]! * weight[i]!);
      dx.add(at, -(r ** 3) * x[at]! * mean.values[0]!, r ** 3 * Math.abs(x[at]!) * mean.magnitudes[0]!);
    }
  }
  return { dx, dweight };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export const swiglu = (gate: Numbers, up: Numbers): Float64Array =>
  Float64Array.from({ length: gate.length }, (_, i) => gate[i]! * sigmoid(gate[i]!) * up[i]!);

export function swigluGradients(gate: Numbers, up: Numbers, dout: Numbers): { dgate: Judged; dup: Judged } {
  const [dgate, dup] = [new Terms(gate.length), new Terms(gate.length)];
  for (let i = 0; i < gate.length; i++) {
    const [g, s] = [gate[i]!, sigmoid(gate[i]!)];
    dup.add(i, dout[i]! * g * s);
    dgate.add(i, dout[i]! * up[i]! * s);
    dgate.add(i, dout[i]! * up[i]! * s * g * sigmoid(-g));
  }
  return { dgate, dup };
}

/** The sum of the rows of `dout` [T, hidden] for each row of the table. */
export function embeddingGradient(dout: Numbers, ids: Numbers, rows: number): Judged {
  const hidden = dout.length / ids.length;
  const sums = new Terms(rows * hidden);
  for (let i = 0; i < dout.length; i++) sums.add(ids[Math.floor(i / hidden)]! * hidden + (i % hidden), dout[i]!);
  return sums;
}

/** The loss of each row, and softmax(logits) - onehot(label): both 0 in rows whose label is `ignoreIndex`. */
export function crossEntropy(
  logits: Numbers,
  labels: Numbers,
  ignoreIndex: number,
): { losses: Float64Array; gradient: Float64Array } {
  const classes = logits.length / labels.length;
  const losses = new Float64Array(labels.length);
  const gradient = new Float64Array(logits.length);
  for (let row = 0; row < labels.length; row++) {
    if (labels[row] === ignoreIndex) continue;
    const at = (column: number): number => logits[row * classes + column]!;
    let max = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < classes; i++) max = Math.max(max, at(i));
    let sum = 0;
    for (let i = 0; i < classes; i++) sum += Math.exp(at(i) - max);
    losses[row] = max - at(labels[row]!) + Math.log(sum);
    for (let i = 0; i < classes; i++)
      gradient[row * classes + i] = Math.exp(at(i) - max) / sum - (i === labels[row] ? 1 : 0);
  }
  return { losses, gradient };
}

export interface AdamWNumbers {
  readonly learningRate: number;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
}

/** One step for one element: the new parameter and moments. */
export function adamW(
  { learningRate, betas: [beta1, beta2], epsilon, weightDecay }: AdamWNumbers,
  step: number,
  [parameter, m, v]: readonly [number, number, number],
  gradient: number,
): [parameter: number, m: number, v: number] {
  const first = beta1 * m + (1 - beta1) * gradient;
  const second = beta2 * v + (1 - beta2) * gradient ** 2;
  const update = first / (1 - beta1 ** step) / (Math.sqrt(second / (1 - beta2 ** step)) + epsilon);
  return [parameter - learningRate * weightDecay * parameter - learningRate * update, first, second];
}
