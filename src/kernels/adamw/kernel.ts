/**
 * @file One step of AdamW (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2) over a parameter as a row of elements, in f32: moments in
 * f32, the parameter in any float dtype. A 16-bit parameter can have a master copy in f32, which then carries the step, and the
 * parameter is its rounding: updates smaller than a unit of 16 bits are not lost.
 */

import { type BodyParameters, type GridTensor, kernel, type Scalar, type Tile, tl } from "../../dsl/index.ts";

const constants = { BLOCK: 1024 };
const grid = (p: { parameter: GridTensor }, { BLOCK }: { BLOCK: number }) => [tl.cdiv(p.parameter.shape(0), BLOCK)];

const params = {
  parameter: tl.tensor("T", 1),
  gradient: tl.tensor("G", 1),
  firstMoment: tl.tensor("f32", 1),
  secondMoment: tl.tensor("f32", 1),
  beta1: tl.scalar("f32"),
  beta2: tl.scalar("f32"),
  // 1 - beta, which f32 would not give from beta.
  complement1: tl.scalar("f32"),
  complement2: tl.scalar("f32"),
  /** learningRate / (1 - beta1^t) */
  stepSize: tl.scalar("f32"),
  /** 1 / sqrt(1 - beta2^t) */
  rootCorrection: tl.scalar("f32"),
  epsilon: tl.scalar("f32"),
  /** learningRate · weightDecay */
  decay: tl.scalar("f32"),
  gradientScale: tl.scalar("f32"),
} as const;

/** The new value of BLOCK elements from `first` on, from their value `theta`; brings the moments up to date. */
function step<Block extends number>(
  p: BodyParameters<typeof params>,
  first: Scalar<"i32">,
  theta: Tile<"f32", readonly [Block]>,
): Tile<"f32", readonly [Block]> {
  const gradient = p.gradient.load([first], theta.shape).to("f32").mul(p.gradientScale);
  const m = p.firstMoment.load([first], theta.shape).mul(p.beta1).add(gradient.mul(p.complement1));
  const v = p.secondMoment.load([first], theta.shape).mul(p.beta2).add(gradient.mul(gradient).mul(p.complement2));
  p.firstMoment.store([first], m);
  p.secondMoment.store([first], v);
  const update = m.mul(p.stepSize).fdiv(tl.sqrt(v).mul(p.rootCorrection).add(p.epsilon));
  return theta.sub(theta.mul(p.decay)).sub(update);
}

export const adamWKernel = kernel({
  name: "adamw",
  constants,
  params,
  grid,
  body(p, { BLOCK }) {
    const first = tl.programId(0).mul(BLOCK);
    const theta = p.parameter.load([first], [BLOCK]).to("f32");
    p.parameter.store([first], step(p, first, theta).to(p.parameter.dtype));
  },
});

export const adamWMasterKernel = kernel({
  name: "adamw_master",
  constants,
  params: { ...params, master: tl.tensor("f32", 1) },
  grid,
  body(p, { BLOCK }) {
    const first = tl.programId(0).mul(BLOCK);
    const theta = step(p, first, p.master.load([first], [BLOCK]));
    p.master.store([first], theta);
    p.parameter.store([first], theta.to(p.parameter.dtype));
  },
});
