/**
 * @file `doctor`: what Tilewright finds on this machine and why the rest is missing. The report is plain data; `renderDoctor` writes it
 * as text. It looks through the same functions that `createDevice` uses, so what it says is what will happen.
 */

import type { Assembler, CudaDriver } from "./cuda/index.ts";
import { cudaDriver, prefersCuda, ptxas } from "./cuda/index.ts";
import type { Optional } from "./node/modules.ts";
import { isNode, nodeModules, packageDirectory, packageVersion } from "./node/modules.ts";
import type { Browser } from "./node/programs.ts";
import { findBrowsers } from "./node/programs.ts";
import { userDrivers, vulkanLoader } from "./node/vulkan.ts";
import type { AdapterDescription, AdapterKind } from "./webgpu/adapter.ts";
import { findAdapters, requestedAdapter } from "./webgpu/adapter.ts";

/** One optional npm package: its version, or the reason for which it is not usable. */
export interface PackageReport {
  readonly name: string;
  readonly purpose: string;
  readonly found: Optional<string>;
}

/** Everything that `doctor` found. */
export interface DoctorReport {
  readonly system: {
    readonly runtime: string;
    readonly platform: string;
    readonly processors: number | undefined;
    readonly memoryBytes: number | undefined;
  };
  readonly packages: readonly PackageReport[];
  readonly vulkan: { readonly loader: string; readonly userDrivers: string | undefined };
  readonly adapters: readonly { readonly kind: AdapterKind; readonly found: Optional<AdapterDescription> }[];
  readonly cuda: { readonly driver: Optional<CudaDriver>; readonly ptxas: Optional<Assembler> };
  readonly browsers: readonly Browser[];
  /** What `createDevice({ backend: "auto" })` takes on this machine. */
  readonly auto: {
    readonly backend: "cuda" | "webgpu" | "cpu";
    readonly adapter: AdapterDescription | undefined;
    readonly reason: string;
  };
}

const optionalPackages = [
  { name: "webgpu", purpose: "WebGPU in Node (Dawn)" },
  { name: "koffi", purpose: "loads native libraries: the Vulkan loader, the CUDA driver" },
  { name: "@sparticuz/chromium", purpose: "SwiftShader: a Vulkan driver on the CPU (linux x64)" },
];

/** Examines this machine. Opens each adapter once and closes it; never throws for something missing. */
export async function doctor(): Promise<DoctorReport> {
  const loader = isNode ? await vulkanLoader() : undefined;
  const user = isNode ? userDrivers() : undefined;
  const attempts = await findAdapters();
  const adapters = attempts.map(({ kind, result }) => ({
    kind,
    found: "reason" in result ? result : { value: result.value.description },
  }));
  const driver = await cudaDriver();
  return {
    system: await describeSystem(),
    packages: isNode ? await Promise.all(optionalPackages.map(describePackage)) : [],
    vulkan: {
      loader: loader === undefined ? "the browser's own" : loader.detail,
      userDrivers: user && `${user.variable}=${user.value}`,
    },
    adapters,
    cuda: { driver, ptxas: await ptxas() },
    browsers: isNode ? await findBrowsers() : [],
    auto: prefersCuda(driver)
      ? { backend: "cuda", adapter: undefined, reason: "a CUDA GPU comes first" }
      : chooseAutomatically(adapters),
  };
}

function chooseAutomatically(adapters: DoctorReport["adapters"]): DoctorReport["auto"] {
  const wanted = requestedAdapter();
  for (const { kind, found } of adapters) {
    if ("reason" in found || (wanted !== undefined && kind !== wanted)) continue;
    const because =
      wanted !== undefined
        ? `TILEWRIGHT_ADAPTER=${wanted} asks for it`
        : kind === "hardware"
          ? "a hardware WebGPU adapter comes first"
          : "no hardware WebGPU adapter, so the first software one";
    return { backend: "webgpu", adapter: found.value, reason: because };
  }
  return {
    backend: "cpu",
    adapter: undefined,
    reason: `no WebGPU adapter${wanted ? ` of kind ${wanted}` : ""}, so the interpreter (exact, slow)`,
  };
}

async function describeSystem(): Promise<DoctorReport["system"]> {
  if (!isNode) {
    const { userAgent, hardwareConcurrency } = navigator;
    return { runtime: userAgent, platform: "browser", processors: hardwareConcurrency, memoryBytes: undefined };
  }
  const { os } = await nodeModules();
  return {
    runtime: `Node ${process.versions.node}`,
    platform: `${process.platform} ${process.arch}`,
    processors: os.availableParallelism(),
    memoryBytes: os.totalmem(),
  };
}

async function describePackage({ name, purpose }: { name: string; purpose: string }): Promise<PackageReport> {
  const directory = await packageDirectory(name, import.meta.url);
  const found =
    directory === undefined
      ? { reason: `not installed (npm install ${name})` }
      : { value: await packageVersion(directory) };
  return { name, purpose, found };
}

/** Features and limits that a kernel author cares about, in the order of the report. */
const shownFeatures = ["shader-f16", "subgroups", "timestamp-query"];
const shownLimits = [
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupStorageSize",
  "maxStorageBuffersPerShaderStage",
  "maxStorageBufferBindingSize",
];

/** The report as text, one finding a line. */
export function renderDoctor(report: DoctorReport): string {
  const { system, vulkan, cuda, auto } = report;
  const found = <T>(value: Optional<T>, show: (value: T) => string): string =>
    "reason" in value ? `- ${value.reason}` : `+ ${show(value.value)}`;
  const memory = system.memoryBytes === undefined ? "" : `, ${(system.memoryBytes / 2 ** 30).toFixed(1)} GiB memory`;
  const lines = [
    "System",
    `  + ${system.runtime}, ${system.platform}, ${system.processors ?? "?"} processors${memory}`,
    ...(report.packages.length > 0 ? ["Optional packages"] : []),
    ...report.packages.map(({ name, purpose, found: version }) =>
      "reason" in version
        ? `  - ${name}: ${version.reason}; gives ${purpose}`
        : `  + ${name} ${version.value}: ${purpose}`,
    ),
    "WebGPU",
    `  Vulkan loader: ${vulkan.loader}`,
    ...(vulkan.userDrivers === undefined ? [] : [`  Vulkan drivers chosen by the environment: ${vulkan.userDrivers}`]),
    ...report.adapters.flatMap(({ kind, found: adapter }) =>
      "reason" in adapter
        ? [`  - ${kind}: ${withoutPrefix(adapter.reason, kind)}`]
        : describeAdapterLines(adapter.value),
    ),
    "CUDA",
    `  ${found(cuda.driver, ({ version, deviceCount }) => `driver for CUDA ${version}, ${deviceCount} device(s)`)}`,
    `  ${found(cuda.ptxas, ({ path, version }) => `ptxas ${version} (${path})`)}`,
    "Browsers",
    ...(report.browsers.length > 0
      ? report.browsers.map(({ name, path }) => `  + ${name} (${path})`)
      : ["  - none found on the PATH"]),
    "Choice",
    `  backend "auto" takes ${auto.backend}${auto.adapter ? ` on ${auto.adapter.name}` : ""}: ${auto.reason}`,
  ];
  return lines.join("\n");
}

const withoutPrefix = (reason: string, kind: string): string =>
  reason.toLowerCase().startsWith(`${kind}: `) ? reason.slice(kind.length + 2) : reason;

function describeAdapterLines(adapter: AdapterDescription): string[] {
  const features = shownFeatures.map((name) => `${adapter.features.includes(name) ? "+" : "-"}${name}`).join(" ");
  const subgroups =
    adapter.subgroupSizes === undefined ? "" : `, subgroup size ${[...new Set(adapter.subgroupSizes)].join(" to ")}`;
  const limits = shownLimits.filter((name) => name in adapter.limits).map((name) => `${name} ${adapter.limits[name]}`);
  return [`  + ${adapter.kind}: ${adapter.name}`, `      ${features}${subgroups}`, `      ${limits.join(", ")}`];
}
