/** @file The devices that accuracy is measured on, by the names of the command line. For children: it imports the library's sources. */
import type { Device } from "../../src/index.ts";
import { PtxEmulatorDevice } from "../../test/kernels/ptx-device.ts";
import { noEmulator } from "../../test/ptx/emulator.ts";
import { openDevice } from "../support/open-device.ts";
import type { BackendName } from "./measured.ts";

/** Opens one, or says why it is not on this machine. */
export async function open(backend: BackendName): Promise<Device | { readonly missing: string }> {
  if (backend === "ptx") return noEmulator === undefined ? new PtxEmulatorDevice() : { missing: noEmulator };
  return openDevice(backend);
}
