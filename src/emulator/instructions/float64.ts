/**
 * @file f64 arithmetic, rounded to nearest: what a double does. The fused multiply-add is computed with integers of any length.
 */
import { fma64 } from "../arithmetic/fma64.ts";
import { LANES } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import { ptxTypes } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { writing64 } from "../translate/lanes.ts";
import { greater, lesser } from "./float32.ts";

const f64 = ptxTypes.get("f64")!;

type Scalar = (a: number, b: number, c: number) => number;

const arithmetic: Readonly<Record<string, readonly [operands: number, scalar: Scalar]>> = {
  add: [2, (a, b) => a + b],
  sub: [2, (a, b) => a - b],
  mul: [2, (a, b) => a * b],
  fma: [3, fma64],
  mad: [3, fma64],
  div: [2, (a, b) => a / b],
  rcp: [1, (a) => 1 / a],
  sqrt: [1, Math.sqrt],
  rsqrt: [1, (a) => 1 / Math.sqrt(a)],
  min: [2, (a, b) => lesser(a, b, false)],
  max: [2, (a, b) => greater(a, b, false)],
  abs: [1, Math.abs],
  neg: [1, (a) => -a],
};

/** Any of the above, from the modifiers after the opcode. */
export function float64Arithmetic(decoder: Decoder): Operation {
  const [operands, scalar] = arithmetic[decoder.instruction.opcode]!;
  decoder.take("rn", "approx");
  decoder.flag("ftz");
  decoder.type("f64");
  decoder.done(operands + 1);
  const target = decoder.target(0, f64);
  const [a = 0, b = a, c = a] = Array.from({ length: operands }, (_, i) => decoder.source(i + 1, f64) / 2);
  return writing64(target, ({ d }, to) => {
    const at = to / 2;
    for (let lane = 0; lane < LANES; lane++) d[at + lane] = scalar(d[a + lane]!, d[b + lane]!, d[c + lane]!);
  });
}
