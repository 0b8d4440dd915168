/**
 * No attention kernel spills with the block sizes that the operators give it. Assembling takes a second each, so here is a sample of the
 * fullest ones; `npm run bench -- ptx --all` does all of them.
 */
import { expect, it } from "vitest";
import { RecordingDevice } from "../../bench/ptx/recorder.ts";
import { compileShipped, describeShipped, type Shipped } from "../../bench/ptx/shipped.ts";
import { assemble, describeWithAssembler, noSpills } from "./ptxas.ts";

const f16 = { terms: "dense", dtype: "f16", headDim: 128, causal: true } as const;
/** Two terms, turned operands and every argument at once; of some, nothing else. */
const everything = { ...f16, call: "backward", terms: "piecewise", raw: "half" } as const;
const everythingPaged = { ...everything, call: "paged", arguments: "packedQueriesFull", queries: 64 } as const;
/** Calls, each with the kernel of which it is about. */
const sample: readonly (readonly [Shipped, RegExp])[] = [
  [{ ...f16, call: "forward", causal: false }, /forward/],
  [{ ...f16, call: "forward", dtype: "bf16" }, /forward/],
  [{ ...f16, call: "forward", dtype: "bf16", headDim: 64 }, /forward/],
  [{ ...f16, call: "forward", terms: "piecewise" }, /forward/],
  [{ ...f16, call: "forward", terms: "piecewise", arguments: "dropout", headDim: 80 }, /forward/],
  [{ ...f16, call: "forward", terms: "piecewise", dtype: "f32" }, /forward/],
  [{ ...f16, call: "backward", terms: "piecewise", raw: "half" }, /backward_delta/],
  [{ ...f16, call: "backward" }, /backward_queries/],
  [{ ...f16, call: "backward" }, /backward_keys/],
  [{ ...f16, call: "backward", headDim: 64 }, /backward_keys/],
  [{ ...f16, call: "backward", terms: "piecewise" }, /backward_queries/],
  [{ ...f16, call: "backward", terms: "piecewise" }, /backward_keys/],
  [{ ...f16, call: "backward", terms: "piecewise", dtype: "f32" }, /backward_keys/],
  // Those that spilled once: turned operands, which need their angles again for the gradients; heads that share a tile.
  [{ ...f16, call: "backward", terms: "piecewise", raw: "half", headDim: 256 }, /backward_queries/],
  [{ ...f16, call: "backward", terms: "piecewise", raw: "half", headDim: 256 }, /backward_keys/],
  [{ ...f16, call: "backward", raw: "partial" }, /backward_keys/],
  [{ ...f16, call: "backward", raw: "half", arguments: "packed", dtype: "f32" }, /backward_keys/],
  [{ ...f16, call: "backward", terms: "piecewise", arguments: "packedWide" }, /backward_keys/],
  [{ ...f16, call: "paged", terms: "piecewise", raw: "half", queries: 1, group: 8, pageSize: 128 }, /forward/],
  [{ ...f16, call: "paged", queries: 64, group: 8, pageSize: 16, arguments: "packedQueriesFull" }, /forward/],
  [{ ...everythingPaged, pageSize: 16 }, /forward/],
  [{ ...everythingPaged, headDim: 256, group: 8, pageSize: 24 }, /forward/],
  [{ ...everything, headDim: 80 }, /backward_keys/],
  [{ ...everything, headDim: 50 }, /backward_queries/],
  [{ ...everything, arguments: "padded", headDim: 256, causal: false }, /backward_keys/],
  [{ ...everything, arguments: "packedWide", headDim: 256 }, /backward_keys/],
  [{ ...everything, arguments: "packedWide", headDim: 256 }, /backward_delta/],
  [{ ...everything, arguments: "packed", dtype: "f32", headDim: 256 }, /backward_keys/],
  [{ ...everything, arguments: "packedWide", dtype: "f32", headDim: 256 }, /backward_keys/],
  [{ ...everything, terms: "dense", arguments: "packed", dtype: "f32", headDim: 80 }, /backward_keys/],
];

describeWithAssembler("the block sizes of attention on sm_80", () => {
  const device = new RecordingDevice();
  for (const [one, name] of sample)
    it(`${describeShipped(one)}, ${name.source}: no spill`, async () => {
      const kernels = compileShipped(device, one).filter(({ metadata }) => name.test(metadata.name));
      expect(kernels).toHaveLength(1);
      expect((await assemble(kernels[0]!.source)).spills).toEqual(noSpills);
    });
});
