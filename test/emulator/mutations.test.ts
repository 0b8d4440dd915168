/**
 * A kernel that the compiler made is clean; without any one of its barriers, or with a wait for one copy fewer, it is not, and the emulator says so:
 * attention's forward kernel, whose loops copy tiles ahead of time, at lengths at which each of its loops turns more than once.
 */
import { expect, it } from "vitest";
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import { PtxFault } from "../../src/emulator/index.ts";
import type { Arguments } from "../../src/interpreter/index.ts";
import { make } from "../kernels/attention-backward-cases.ts";
import { errorShares } from "../kernels/attention-errors.ts";
import { PtxEmulatorDevice } from "../kernels/ptx-device.ts";
import { runEmulated } from "./run.ts";

type Launch = { arguments: Arguments; grid: readonly number[] };

const launches: [CompiledKernel, Launch][] = [];
const device = new PtxEmulatorDevice((compiled, launch) => {
  launches.push([compiled, launch]);
  runEmulated(compiled, launch);
});
const lengths = { queries: 150, keys: 200, queryHeads: 1, keyHeads: 1, headDim: 64 };
const problem = { ...make({ dtype: "f16", causal: true, ...lengths }), splits: 1 };
await errorShares(device, problem, { gradients: false });
const [[kernel, launch]] = launches as [[CompiledKernel, Launch]];
const lines = kernel.source.split("\n");

/** The line without what it synchronises: a barrier is left out, a wait leaves one more group of copies under way. */
const weakened = (line: string): string =>
  line.replace(/bar\.sync 0;/, "").replace(/(?<=wait_group )\d+/, (left) => String(Number(left) + 1));

const places = lines.flatMap((line, at) => (weakened(line) === line ? [] : [[at + 1, line.trim()] as const]));

it("synchronises in several places", () => {
  expect(places.filter(([, line]) => line.startsWith("bar.sync")).length).toBeGreaterThan(3);
  expect(places.filter(([, line]) => line.startsWith("cp.async")).length).toBeGreaterThan(2);
});

it.each(places)("needs line %i: %s", (at, text) => {
  const source = lines.with(at - 1, weakened(lines[at - 1]!)).join("\n");
  let fault: unknown;
  try {
    runEmulated({ ...kernel, source }, launch);
  } catch (error) {
    fault = error;
  }
  expect(fault).toBeInstanceOf(PtxFault);
  const found = text.startsWith("cp.async")
    ? ["PTX_COPY_NOT_AWAITED"]
    : ["PTX_SHARED_RACE", "PTX_WARP_HAZARD", "PTX_UNINITIALISED_SHARED", "PTX_COPY_NOT_AWAITED"];
  expect(found).toContain((fault as PtxFault).code);
});
