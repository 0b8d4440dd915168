/** @file The operator `attention` on one backend, in a process of its own. */
import type { Device } from "tilewright";
import { attention } from "tilewright/kernels";
import { serve } from "../support/measurement.ts";
import { openDevice } from "../support/open-device.ts";
import type { Measured, OursInput, OursResult } from "./measured.ts";
import { accuracyOf, inputsOf, type Problem } from "./problem.ts";
import { time, timeOnce } from "./stopwatch.ts";

serve(async ({ backend, problems, seconds }: OursInput, progress): Promise<OursResult> => {
  const device = await openDevice(backend);
  if ("missing" in device) return device;
  const measured: Measured[] = [];
  const compiled = new Set<string>();
  for (const problem of problems) {
    const { length, heads, headDim, causal } = problem;
    progress(`${backend}: N = ${length}, ${causal ? "causal" : "not causal"}`);
    // A length only compiles anything if it is shorter than the block sizes: of each kernel, the first length is the cold one.
    const kernel = `${causal} ${headDim} ${heads}`;
    const cold = !compiled.has(kernel);
    compiled.add(kernel);
    measured.push(await measure(device, problem, { seconds, cold }));
  }
  return { device: device.name, measured };
});

async function measure(
  device: Device,
  problem: Problem,
  { seconds, cold }: { seconds: number; cold: boolean },
): Promise<Measured> {
  const { length, heads, headDim, causal } = problem;
  const inputs = inputsOf(problem);
  const shape = [1, heads, length, headDim];
  const tensor = (values: Float32Array) => device.tensor(values, { shape, dtype: "f32" });
  using q = tensor(inputs.q);
  using k = tensor(inputs.k);
  using v = tensor(inputs.v);
  using out = device.empty(shape, "f32");
  await device.synchronize();
  const call = async (): Promise<void> => {
    attention({ q, k, v, causal, out });
    await device.synchronize();
  };

  const first = await timeOnce(call);
  // The check comes before the timing: a wrong kernel's time is of no interest, but it is reported all the same.
  const accuracy = accuracyOf(problem, inputs, await out.read());
  const firsts = cold ? { first: first.wall, firstProcessor: first.processor } : {};
  return { ...problem, ...firsts, ...(await time(call, { seconds })), ...accuracy };
}
