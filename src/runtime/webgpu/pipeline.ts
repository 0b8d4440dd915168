/**
 * @file From WGSL text to a compute pipeline: what the module needs is compared with what the device has before anything is made, and
 * text that the browser refuses gives an error with the place and the line.
 */
import type { CompiledKernel, LaunchMetadata, WgslBindings } from "../../codegen/metadata.ts";
import { DeviceError, LaunchError } from "../../support/errors.ts";
import { bufferUsage } from "./constants.ts";
import type { Failures } from "./failures.ts";

/** A pipeline with the memory that belongs to it. */
export interface Pipeline {
  readonly metadata: LaunchMetadata;
  readonly bindings: WgslBindings;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** One uniform block is enough: writes to it and launches that read it are ordered by the queue. */
  readonly uniform: GPUBuffer | undefined;
}

/**
 * Makes the pipeline of `kernel`.
 * @throws LaunchError `NOT_WGSL`; DeviceError `MISSING_FEATURE`, `LIMIT`. Text that does not compile is reported by the next wait.
 */
export function makePipeline(device: GPUDevice, failures: Failures, { source, metadata }: CompiledKernel): Pipeline {
  const { name, entry, wgsl: bindings } = metadata;
  if (bindings === undefined)
    throw new LaunchError("NOT_WGSL", `kernel "${name}" is compiled for ${metadata.target}, not for WGSL`);
  checkDevice(device, metadata, bindings);
  const make = (): Pipeline & { readonly module: GPUShaderModule } => {
    const access = new Map(bindings.buffers.map((buffer) => [buffer.binding, buffer.access]));
    const module = device.createShaderModule({ code: source, label: name });
    const layout = device.createBindGroupLayout({
      label: name,
      entries: [
        ...[...access].map(([binding, access]) => ({
          binding,
          visibility: computeStage,
          buffer: { type: access === "read" ? ("read-only-storage" as const) : ("storage" as const) },
        })),
        ...(bindings.uniform === null
          ? []
          : [{ binding: bindings.uniform.binding, visibility: computeStage, buffer: { type: "uniform" as const } }]),
      ],
    });
    const pipeline = device.createComputePipeline({
      label: name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: entry },
    });
    const uniform =
      bindings.uniform === null
        ? undefined
        : device.createBuffer({
            label: `${name} uniform`,
            size: bindings.uniform.size,
            usage: bufferUsage.uniform | bufferUsage.copyDestination,
          });
    return { metadata, bindings, module, pipeline, layout, uniform };
  };
  return failures.watch(`kernel "${name}"`, make, ({ module }) => moduleProblem(name, source, module));
}

/** `GPUShaderStage.COMPUTE`. */
const computeStage = 0x4;

/** Compares what the module needs with the device: an adapter that is too small must never answer with zeros. */
function checkDevice(device: GPUDevice, { name, block, sharedMemory }: LaunchMetadata, bindings: WgslBindings): void {
  const { limits, features } = device;
  const missing = bindings.features.filter((feature) => !features.has(feature));
  if (missing.length > 0) {
    throw new DeviceError(
      "MISSING_FEATURE",
      `kernel "${name}" was compiled with ${missing.join(", ")}, which this device does not have`,
    );
  }
  const needs: readonly (readonly [keyof GPUSupportedLimits & string, number])[] = [
    ["maxComputeWorkgroupSizeX", block[0]],
    ["maxComputeWorkgroupSizeY", block[1]],
    ["maxComputeWorkgroupSizeZ", block[2]],
    ["maxComputeInvocationsPerWorkgroup", block[0] * block[1] * block[2]],
    ["maxComputeWorkgroupStorageSize", sharedMemory.static + sharedMemory.dynamic],
    ["maxStorageBuffersPerShaderStage", new Set(bindings.buffers.map(({ binding }) => binding)).size],
    ["maxUniformBufferBindingSize", bindings.uniform?.size ?? 0],
  ];
  for (const [limit, need] of needs) {
    const has = limits[limit] as number;
    if (need > has)
      throw new DeviceError("LIMIT", `kernel "${name}" needs ${limit} of ${need}, this device has ${has}`);
  }
}

async function moduleProblem(name: string, source: string, module: GPUShaderModule): Promise<Error | undefined> {
  const { messages } = await module.getCompilationInfo();
  const error = messages.find(({ type }) => type === "error");
  if (error === undefined) return undefined;
  const line = source.split("\n")[error.lineNum - 1]?.trim() ?? "";
  return new DeviceError(
    "WGSL_REFUSED",
    `kernel "${name}": the WGSL is refused at line ${error.lineNum}, column ${error.linePos}: ${error.message}\n  ${line}`,
  );
}
