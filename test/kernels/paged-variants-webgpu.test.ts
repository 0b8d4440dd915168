/** Variants and packed queries over paged caches on WebGPU in software. Each case compiles a pipeline for seconds, so it is a sample of the cases. */
import { afterAll, it } from "vitest";
import { createDevice } from "../../src/runtime/index.ts";
import { expectWithinRule } from "./judge.ts";
import { makePagedCase, titleOf } from "./paged-cases.ts";
import { pagedErrorShares } from "./paged-errors.ts";
import { describePagedVariants } from "./paged-variants-conformance.ts";

const options = { backend: "webgpu", adapter: "swiftshader" } as const;
const device = await createDevice(options);
afterAll(() => device.dispose());

describePagedVariants("webgpu, SwiftShader", () => device, { every: 12, randomRuns: 1 });

// Four operands, values, lengths, tables, starts, slopes, sinks, prefixes, results: 12 tensors, where every device has 8 storage buffers.
const everything = makePagedCase({
  queries: [1, 12, 3],
  threshold: 9,
  queryHeads: 6,
  keyHeads: 1,
  contexts: [50, 20],
  variant: { prefix: [3, 7], alibi: true, sinks: true },
});
it(`with the limits of every device: ${titleOf(everything)}`, async () => {
  using small = await createDevice({ ...options, limits: "default" });
  expectWithinRule(await pagedErrorShares(small, everything), everything, 2);
});
