/**
 * No attention kernel spills with the block sizes that the operators give it. Assembling takes a second each, so here is a sample of the
 * fullest ones; `npm run bench -- ptx --all` does all of them.
 */
import { expect, it } from "vitest";
import { compileShipped, describeShipped, type Shipped } from "../../bench/ptx/shipped.ts";
import { assemble, describeWithAssembler } from "./ptxas.ts";

const sample: readonly Shipped[] = [
  { kind: "forward", variant: "dense", dtype: "f16", headDim: 128, causal: false },
  { kind: "forward", variant: "dense", dtype: "bf16", headDim: 128, causal: true },
  { kind: "forward", variant: "dense", dtype: "bf16", headDim: 64, causal: true },
  { kind: "forward", variant: "piecewise", dtype: "f16", headDim: 128, causal: true },
  { kind: "forward", variant: "piecewise_dropout", dtype: "f16", headDim: 80, causal: true },
  { kind: "forward", variant: "piecewise", dtype: "f32", headDim: 128, causal: true },
  { kind: "backwardQueries", variant: "dense", dtype: "f16", headDim: 128, causal: true },
  { kind: "backwardQueries", variant: "piecewise", dtype: "f16", headDim: 128, causal: true },
  { kind: "backwardKeys", variant: "dense", dtype: "f16", headDim: 64, causal: true },
  { kind: "backwardKeys", variant: "dense", dtype: "f16", headDim: 128, causal: true },
  { kind: "backwardKeys", variant: "piecewise", dtype: "f16", headDim: 128, causal: true },
  { kind: "backwardKeys", variant: "piecewise", dtype: "f32", headDim: 128, causal: true },
];

describeWithAssembler("the block sizes of attention on sm_80", () => {
  for (const one of sample)
    it(`${describeShipped(one)}: no spill`, () => {
      expect(assemble(compileShipped(one).source)).toMatch(/ 0 bytes spill stores, 0 bytes spill loads/);
    });
});
