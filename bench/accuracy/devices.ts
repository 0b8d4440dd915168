/** @file The devices that accuracy is measured on, by the names of the command line. For children: it imports the library's sources. */
import { createDevice, type Device } from "../../src/index.ts";
import { PtxEmulatorDevice } from "../../test/kernels/ptx-device.ts";
import { noPtxemu } from "../../test/ptx/ptxemu.ts";
import { openDevice } from "../support/open-device.ts";
import type { BackendName } from "./measured.ts";

/** Opens one, or says why it is not on this machine. `ptx`: in ptxemu where that is built, else in the package's emulator. */
export async function open(backend: BackendName): Promise<Device | { readonly missing: string }> {
  if (backend === "ptx")
    return noPtxemu === undefined ? new PtxEmulatorDevice() : createDevice({ backend: "cuda", emulate: true });
  return openDevice(backend);
}
