/** @file The WebGPU devices that the tests of generated WGSL run on, and a bare launch of a compiled kernel on one of them. */
import type { CompiledKernel, WgslBindings } from "../../src/codegen/metadata.ts";
import { defaultCapabilities, type WgslCapabilities } from "../../src/codegen/wgsl/index.ts";
import type { StorageArray } from "../../src/interpreter/index.ts";
import { type AdapterKind, type OpenedAdapter, openAdapter } from "../../src/runtime/webgpu/adapter.ts";
import { evaluateGridExpression } from "../../src/support/index.ts";

export interface TensorArgument {
  readonly data: StorageArray;
  readonly offset?: number;
  readonly shape?: readonly number[];
  readonly strides?: readonly number[];
}
export type LaunchArguments = Readonly<Record<string, TensorArgument | number | bigint | boolean>>;

/** A device together with what code for it may use. */
export interface TestDevice {
  readonly name: string;
  readonly device: GPUDevice;
  readonly capabilities: WgslCapabilities;
}

/** How code is generated: everything that the adapter has, WebGPU's minimum, or as for a GPU (whose schedules must be right here too). */
export type Flavour = "all" | "minimal" | "gpu";

const opened = new Map<string, Promise<{ adapter: OpenedAdapter; device: GPUDevice }>>();

export async function testDevice(kind: "lavapipe" | "swiftshader", flavour: Flavour): Promise<TestDevice> {
  let open = opened.get(kind);
  if (!open) {
    open = openDevice(kind);
    opened.set(kind, open);
  }
  const { device } = await open;
  const { subgroupMinSize, subgroupMaxSize } = device.adapterInfo;
  const has = (feature: GPUFeatureName): boolean => flavour !== "minimal" && device.features.has(feature);
  return {
    name: `${kind}, ${flavour}`,
    device,
    capabilities: {
      ...defaultCapabilities,
      kind: flavour === "gpu" ? "hardware" : kind,
      features: { shaderF16: has("shader-f16"), subgroups: has("subgroups") },
      subgroupMinSize,
      subgroupMaxSize,
      limits: {
        ...defaultCapabilities.limits,
        maxStorageBuffersPerShaderStage: device.limits.maxStorageBuffersPerShaderStage,
      },
    },
  };
}

async function openDevice(kind: AdapterKind): Promise<{ adapter: OpenedAdapter; device: GPUDevice }> {
  const adapter = await openAdapter(kind);
  const wanted: GPUFeatureName[] = ["shader-f16", "subgroups"];
  const requiredFeatures = wanted.filter((feature) => adapter.adapter.features.has(feature));
  // WebGPU's default limits, whatever the adapter has; only the number of buffers, of which random kernels have many, may be larger.
  const { maxStorageBuffersPerShaderStage } = adapter.adapter.limits;
  const device = await adapter.adapter.requestDevice({
    requiredFeatures,
    requiredLimits: { maxStorageBuffersPerShaderStage },
  });
  return { adapter, device };
}

const usage = { storage: 0x80, uniform: 0x40, copySource: 0x4, copyDestination: 0x8, mapRead: 0x1 };
const pipelines = new Map<GPUDevice, Map<string, GPUComputePipeline>>();

/** Runs a kernel; what it writes is copied back into the arguments' arrays. Gives the words of the debug buffer, if there is one. */
export async function launch(
  { device }: TestDevice,
  { source, metadata }: CompiledKernel,
  given: LaunchArguments,
  grid?: readonly number[],
): Promise<Uint32Array | undefined> {
  const bindings = metadata.wgsl!;
  const pipeline = await pipelineOf(device, source, metadata.entry);
  const entries: GPUBindGroupEntry[] = [];
  const outputs: { buffer: GPUBuffer; array: StorageArray | Uint32Array }[] = [];
  let debug: Uint32Array | undefined;
  device.pushErrorScope("validation");
  for (const { parameter, binding, access } of bindings.buffers) {
    let array: StorageArray;
    if (parameter === "debug") {
      debug = new Uint32Array(metadata.debug!.words);
      array = debug;
    } else array = (given[parameter] as TensorArgument).data;
    const size = Math.max(16, Math.ceil(array.byteLength / 16) * 16);
    const buffer = device.createBuffer({ size, usage: usage.storage | usage.copySource | usage.copyDestination });
    const bytes = new Uint8Array(size);
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    device.queue.writeBuffer(buffer, 0, bytes);
    entries.push({ binding, resource: { buffer } });
    if (access === "read_write") outputs.push({ buffer, array });
  }
  const values = scalars(given);
  if (bindings.uniform) {
    const buffer = device.createBuffer({ size: bindings.uniform.size, usage: usage.uniform | usage.copyDestination });
    device.queue.writeBuffer(buffer, 0, packUniform(bindings.uniform, values));
    entries.push({ binding: bindings.uniform.binding, resource: { buffer } });
  }
  const [x, y, z] =
    grid ?? metadata.grid!.map((expression) => evaluateGridExpression(expression, values as Record<string, number>));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  if (entries.length > 0)
    pass.setBindGroup(
      0,
      device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: used(source, entries) }),
    );
  pass.dispatchWorkgroups(x!, y ?? 1, z ?? 1);
  pass.end();
  const reads = outputs.map(({ buffer, array }) => {
    const staging = device.createBuffer({ size: buffer.size, usage: usage.mapRead | usage.copyDestination });
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
    return { staging, array };
  });
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(`${error.message}\n${source}`);
  for (const { staging, array } of reads) {
    await staging.mapAsync(1);
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(
      new Uint8Array(staging.getMappedRange(), 0, array.byteLength),
    );
    staging.destroy();
  }
  return debug;
}

/** Bindings that the module declares but never uses are no part of the pipeline's layout. */
function used(source: string, entries: readonly GPUBindGroupEntry[]): GPUBindGroupEntry[] {
  const body = source.slice(source.indexOf("@compute"));
  return entries.filter(({ binding }) => {
    const name = new RegExp(`@binding\\(${binding}\\) var<[^>]*> (\\w+)`).exec(source)![1]!;
    return new RegExp(`\\b${name}\\b`).test(body);
  });
}

async function pipelineOf(device: GPUDevice, source: string, entryPoint: string): Promise<GPUComputePipeline> {
  let known = pipelines.get(device);
  if (!known) {
    known = new Map();
    pipelines.set(device, known);
  }
  let pipeline = known.get(source);
  if (pipeline) return pipeline;
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code: source });
  const { messages } = await module.getCompilationInfo();
  const problems = messages
    .filter(({ type }) => type !== "info")
    .map(({ lineNum, message }) => `line ${lineNum}: ${message}`);
  if (problems.length > 0)
    throw new Error(
      `${problems.join("\n")}\n${source
        .split("\n")
        .map((line, i) => `${i + 1}  ${line}`)
        .join("\n")}`,
    );
  pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint } });
  const error = await device.popErrorScope();
  if (error) throw new Error(`${error.message}\n${source}`);
  known.set(source, pipeline);
  return pipeline;
}

function scalars(given: LaunchArguments): Record<string, number | bigint | boolean> {
  const values: Record<string, number | bigint | boolean> = {};
  for (const [name, argument] of Object.entries(given)) {
    if (typeof argument !== "object") {
      values[name] = argument;
      continue;
    }
    values[`${name}.offset`] = argument.offset ?? 0;
    const shape = argument.shape ?? [];
    const strides =
      argument.strides ?? shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
    for (const [axis, size] of shape.entries()) values[`${name}.shape.${axis}`] = size;
    for (const [axis, stride] of strides.entries()) values[`${name}.stride.${axis}`] = stride;
  }
  return values;
}

function packUniform(
  { size, fields }: NonNullable<WgslBindings["uniform"]>,
  values: ReturnType<typeof scalars>,
): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(size));
  for (const { name, offset, dtype } of fields) {
    const value = values[name];
    if (value === undefined) throw new Error(`nothing to pass for ${name}`);
    if (dtype === "f32") view.setFloat32(offset, Number(value), true);
    else if (dtype === "i64") view.setBigInt64(offset, BigInt(value), true);
    else view.setInt32(offset, Number(value) | 0, true);
  }
  return view.buffer;
}
