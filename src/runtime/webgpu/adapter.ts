/**
 * @file Finds WebGPU adapters: in a page (or Deno) through `navigator.gpu`, in Node through the optional package `webgpu` (Dawn).
 * Hardware comes first, then lavapipe (Mesa's Vulkan on the CPU, faster), then SwiftShader. What could not be had is never silent:
 * each attempt that fails leaves a reason, for the error and for `doctor`.
 */
import { DeviceError } from "../../support/errors.ts";
import type { Optional } from "../node/modules.ts";
import { isNode, messageOf, optionalPackage } from "../node/modules.ts";
import { swiftShader } from "../node/swiftshader.ts";
import { installedDrivers, lavapipeDriver, userDrivers, vulkanLoader, withDrivers } from "../node/vulkan.ts";

/** `hardware` is any GPU; `software` is a rasteriser on the CPU other than the two that are known by name. */
export type AdapterKind = "hardware" | "lavapipe" | "swiftshader" | "software";

const adapterKinds: readonly AdapterKind[] = ["hardware", "lavapipe", "swiftshader", "software"];

/** What an adapter is and can do, as plain data. */
export interface AdapterDescription {
  readonly kind: AdapterKind;
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  /** Sorted names of the optional features, as WebGPU names them. */
  readonly features: readonly string[];
  /** The largest limits that a device of this adapter can be asked for. */
  readonly limits: Readonly<Record<string, number>>;
  /** Smallest and largest subgroup, where the adapter has subgroups and says so. */
  readonly subgroupSizes?: readonly [number, number];
}

/** An opened adapter. `gpu` must stay referenced for as long as the adapter or its device is used. */
export interface OpenedAdapter {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  readonly description: AdapterDescription;
}

/** The outcome of one attempt to open an adapter. */
export interface AdapterAttempt {
  readonly kind: AdapterKind;
  readonly result: Optional<OpenedAdapter>;
}

/**
 * Opens the best adapter, or the one of the kind that is asked for.
 * @param kind Default: the environment variable `TILEWRIGHT_ADAPTER`, else the best.
 * @throws DeviceError `NO_ADAPTER` with the reason of each attempt; `BAD_ADAPTER_NAME`.
 */
export async function openAdapter(kind: AdapterKind | undefined = requestedAdapter()): Promise<OpenedAdapter> {
  if (kind !== undefined && !adapterKinds.includes(kind)) {
    throw new DeviceError("BAD_ADAPTER_NAME", `adapter "${kind}" is unknown: use one of ${adapterKinds.join(", ")}`);
  }
  const reasons: string[] = [];
  for await (const { result } of attempts(kind)) {
    if ("reason" in result) reasons.push(result.reason);
    else return result.value;
  }
  const wanted = kind === undefined ? "WebGPU adapter" : `WebGPU adapter of kind "${kind}"`;
  throw new DeviceError("NO_ADAPTER", [`no ${wanted}:`, ...reasons.map((reason) => `  - ${reason}`)].join("\n"));
}

/** Tries every kind of adapter, in order of preference, and says what came of each. For `doctor`. */
export async function findAdapters(): Promise<readonly AdapterAttempt[]> {
  const results: AdapterAttempt[] = [];
  for await (const attempt of attempts(undefined)) results.push(attempt);
  return results;
}

/** The kind that the environment asks for, if it does. */
export function requestedAdapter(): AdapterKind | undefined {
  if (!isNode) return undefined;
  return (process.env.TILEWRIGHT_ADAPTER || undefined) as AdapterKind | undefined;
}

async function* attempts(wanted: AdapterKind | undefined): AsyncGenerator<AdapterAttempt> {
  const page = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  if (page !== undefined) {
    yield judge(wanted, await request(async () => page, "navigator.gpu"));
    return;
  }
  if (!isNode) {
    yield {
      kind: "hardware",
      result: { reason: "this page has no navigator.gpu: WebGPU needs a secure context and a browser that has it" },
    };
    return;
  }
  await vulkanLoader(); // Before Dawn is imported: it opens the loader by name.
  const dawn = await optionalPackage<{ create(options: string[]): GPU }>("webgpu");
  if ("reason" in dawn) {
    yield { kind: "hardware", result: dawn };
    return;
  }
  const open = (driver: string | undefined, origin: string): Promise<Optional<OpenedAdapter>> =>
    withDrivers(driver, () => request(async () => dawn.value.create([]), origin));

  const user = userDrivers();
  if (user !== undefined) {
    yield judge(wanted, await open(undefined, `the drivers of ${user.variable}=${user.value}`));
    return;
  }
  if (wanted === undefined || wanted === "hardware" || wanted === "software") {
    const vulkan = process.platform === "linux";
    // Where lavapipe and SwiftShader are tried by name, the system's own choice counts only if it is a GPU.
    const accepted = vulkan && wanted === undefined ? "hardware" : wanted;
    // Without a driver the Vulkan loader would complain on stderr: not asked.
    const none = vulkan && (await installedDrivers()).length === 0;
    const result = none
      ? { reason: "hardware: no Vulkan driver is installed on this system" }
      : await open(undefined, "the drivers of this system");
    yield judge(accepted, result);
  }
  if (wanted === undefined || wanted === "lavapipe") {
    const driver = await lavapipeDriver();
    yield {
      kind: "lavapipe",
      result: "reason" in driver ? driver : await open(driver.value, `lavapipe (${driver.value})`),
    };
  }
  if (wanted === undefined || wanted === "swiftshader") {
    const software = await swiftShader();
    yield {
      kind: "swiftshader",
      result:
        "reason" in software ? software : await open(software.value.driver, `SwiftShader (${software.value.driver})`),
    };
  }
}

/** Refuses an adapter that is not of the kind that was asked for. */
function judge(wanted: AdapterKind | undefined, result: Optional<OpenedAdapter>): AdapterAttempt {
  if ("reason" in result) return { kind: wanted ?? "hardware", result };
  const { kind, name } = result.value.description;
  if (wanted === undefined || wanted === kind) return { kind, result };
  return { kind: wanted, result: { reason: `${wanted}: the adapter found is "${name}", which is ${kind}` } };
}

async function request(makeGpu: () => Promise<GPU>, origin: string): Promise<Optional<OpenedAdapter>> {
  try {
    const gpu = await makeGpu();
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (adapter === null) return { reason: `${origin}: no adapter` };
    return { value: { gpu, adapter, description: describeAdapter(adapter) } };
  } catch (error) {
    return { reason: `${origin}: ${messageOf(error)}` };
  }
}

/** What a live adapter says of itself, as plain data. */
export function describeAdapter(adapter: GPUAdapter): AdapterDescription {
  const { info } = adapter;
  const limits: Record<string, number> = {};
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof value === "number") limits[name] = value;
  }
  const sizes = { min: info.subgroupMinSize ?? 0, max: info.subgroupMaxSize ?? 0 };
  return {
    kind: adapterKindOf(info),
    name:
      info.description ||
      info.device ||
      [info.vendor, info.architecture].filter(Boolean).join(" ") ||
      "unnamed adapter",
    vendor: info.vendor,
    architecture: info.architecture,
    features: [...adapter.features].sort(),
    limits,
    ...(sizes.min > 0 && sizes.max >= sizes.min ? { subgroupSizes: [sizes.min, sizes.max] as const } : {}),
  };
}

/** Tells the two known software rasterisers, other software and hardware apart. */
export function adapterKindOf(info: GPUAdapterInfo): AdapterKind {
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`.toLowerCase();
  if (text.includes("swiftshader")) return "swiftshader";
  if (text.includes("llvmpipe")) return "lavapipe";
  return info.isFallbackAdapter ? "software" : "hardware";
}
