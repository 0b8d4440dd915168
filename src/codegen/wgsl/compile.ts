/**
 * @file From a kernel to a WGSL module with its launch metadata.
 */
import { type Kernel, shapeOf, type Value, walk } from "../../ir/index.ts";
import { assignLayouts } from "../../layout/index.ts";
import { accessOf, PointerRoots } from "../access.ts";
import type { CompileDetails } from "../details.ts";
import { type CompiledKernel, launchArguments, launchParameters } from "../metadata.ts";
import { Bindings } from "./bindings.ts";
import type { WgslCapabilities } from "./capabilities.ts";
import { emitBlock } from "./control.ts";
import { Distribution } from "./distribution.ts";
import { Generator } from "./generator.ts";
import { Library, libraryNames } from "./library.ts";
import { Names } from "./names.ts";
import { narrowAddresses } from "./narrow.ts";
import { chooseThreads, wgslPolicy } from "./policy.ts";

/**
 * Compiles a kernel, best after `optimize`, to WGSL for a device with the given capabilities.
 * @throws CompileError `TOO_MANY_BUFFERS`, `WORKGROUP_MEMORY`, `POINTER_ORIGIN`.
 */
export function compileWgsl(
  kernel: Kernel,
  capabilities: WgslCapabilities,
  onDetails?: (details: CompileDetails) => void,
): CompiledKernel {
  const narrow = narrowAddresses(kernel);
  const threads = chooseThreads(narrow, capabilities);
  const laidOut = assignLayouts(narrow, wgslPolicy(narrow, capabilities, threads));
  const names = new Names();
  for (const name of libraryNames) names.unique(name);
  const entry = names.unique(kernel.name);
  const access = accessOf(laidOut.kernel);
  const bindings = new Bindings(laidOut.kernel, access, atomicParameters(laidOut.kernel), capabilities, names);
  bindings.check(kernel, capabilities);
  const library = new Library();
  const threadBits = Math.log2(threads);
  const distributionOf = (value: Value): Distribution => {
    const layout = laidOut.layouts.get(value);
    if (layout) return Distribution.of(layout);
    if (shapeOf(value.type).length > 0) throw new Error("a tile without a layout: a bug in Tilewright");
    return Distribution.scalar(threadBits);
  };
  const generator = new Generator({
    kernel: laidOut.kernel,
    capabilities,
    names,
    library,
    bindings,
    distributionOf,
    threads,
  });
  emitBlock(generator, laidOut.kernel.body);
  bindings.check(kernel, capabilities);

  const launched = launchArguments(kernel.parameters, access);
  const features = featuresUsed(generator);
  const debug = generator.debugSites.output;
  onDetails?.({ laidOut, shared: [], pipelines: [] });
  return {
    source: moduleText(generator, entry),
    metadata: {
      name: kernel.name,
      target: "wgsl",
      entry,
      params: launchParameters(launched, "i32"),
      arguments: launched,
      block: [threads, 1, 1],
      grid: kernel.grid,
      sharedMemory: { static: generator.arena.bytes, dynamic: 0 },
      constants: kernel.constants,
      wgsl: bindings.metadata(features),
      ...(debug ? { debug } : {}),
    },
  };
}

function featuresUsed({ bindings, invocation }: Generator): readonly string[] {
  const features: string[] = [];
  if (bindings.buffers.some(({ packing }) => packing === "half")) features.push("shader-f16");
  if (invocation.inputs.has("subgroup_invocation_id")) features.push("subgroups");
  return features;
}

const directives: Readonly<Record<string, string>> = { "shader-f16": "enable f16;", subgroups: "enable subgroups;" };
const builtinTypes: Readonly<Record<string, string>> = {
  local_invocation_index: "u32",
  workgroup_id: "vec3u",
  num_workgroups: "vec3u",
  subgroup_invocation_id: "u32",
};

function moduleText(generator: Generator, entry: string): string {
  const { arena, bindings, invocation, library, threads, writer } = generator;
  const inputs = [...invocation.inputs].map(
    ([builtin, name]) => `@builtin(${builtin}) ${name}: ${builtinTypes[builtin]}`,
  );
  const body = writer.finish().map((line) => `  ${line}`);
  const sections = [
    featuresUsed(generator).map((feature) => directives[feature]!),
    bindings.declarations(),
    [arena.declaration() ?? ""].filter(Boolean),
    ...library.text().map((text) => [text]),
    [`@compute @workgroup_size(${threads})`, `fn ${entry}(${inputs.join(", ")}) {`, ...body, "}"],
  ];
  return `${sections
    .filter((section) => section.length > 0)
    .map((section) => section.join("\n"))
    .join("\n\n")}\n`;
}

/** Parameters that atomic operations update. */
function atomicParameters(kernel: Kernel): ReadonlySet<string> {
  const roots = new PointerRoots(kernel);
  const parameters = new Set<string>();
  walk(kernel.body, ({ opcode, operands }) => {
    if (opcode === "atomic_rmw" || opcode === "atomic_cas") parameters.add(roots.of(operands[0]!));
  });
  return parameters;
}
