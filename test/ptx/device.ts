/**
 * @file The device of tests that run operators and kernels as PTX: the package's emulator. For `npm run bench -- emulators`, which names a file in
 * TILEWRIGHT_LAUNCHES, it runs every launch in ptxemu too, where that is built, and writes down what each emulator found.
 */
import { appendFileSync } from "node:fs";
import { createDevice, type Device } from "../../src/runtime/index.ts";
import { PtxEmulatorDevice } from "../kernels/ptx-device.ts";
import { runInBoth } from "./both.ts";

const file = process.env.TILEWRIGHT_LAUNCHES;

/** Whether the bench runs the test, so that kernels that are tested on another backend may run as PTX. */
export const recordsLaunches = file !== undefined;

export async function ptxDevice(): Promise<Device> {
  if (file === undefined) return createDevice({ backend: "cuda", emulate: true });
  return new PtxEmulatorDevice((compiled, launch) =>
    appendFileSync(file, `${JSON.stringify(runInBoth(compiled, launch))}\n`),
  );
}
