/** @file Opens the device that a measurement is asked for. For children: `tilewright` is there the build or the sources, as child.ts says. */
import { type AdapterKind, createDevice, type Device, TilewrightError } from "tilewright";

/** WebGPU on one kind of adapter, or the interpreter. One that is not on this machine says why. */
export async function openDevice(name: AdapterKind | "cpu"): Promise<Device | { readonly missing: string }> {
  try {
    return await createDevice(name === "cpu" ? { backend: name } : { backend: "webgpu", adapter: name });
  } catch (error) {
    if (!(error instanceof TilewrightError) || error.code !== "NO_ADAPTER") throw error;
    return { missing: error.message };
  }
}
