/**
 * @file The module's interface: a storage buffer for each pointer or tensor parameter that the kernel touches, how its elements are packed
 * into the buffer's words, and the uniform block with the scalars.
 *
 * A buffer is declared with the element type that its accesses need:
 * - `scalar`: f32, i32, u32 as they are; i64 as two words.
 * - `quads`: read only, known to be aligned: four elements are fetched at once (16-bit ones as two words).
 * - `packed`: several elements a word, read only.
 * - `atomic`: updated by atomics, or written in parts of a word, which must leave the other parts alone.
 * - `half`: f16 that is written, where the device has 16-bit types.
 *
 * A kernel with more tensors than the device has storage buffers reads several of one element type through one binding (`sharedNames`).
 */
import { type DType, elementBytes, type Kernel, type KernelParameter, walk } from "../../ir/index.ts";
import { CompileError } from "../../support/errors.ts";
import type { Access } from "../access.ts";
import type { WgslBindings } from "../metadata.ts";
import type { WgslCapabilities } from "./capabilities.ts";
import type { Names } from "./names.ts";

export type Packing = "scalar" | "quads" | "packed" | "atomic" | "half";

export interface Buffer {
  readonly parameter: KernelParameter;
  readonly access: Access;
  readonly packing: Packing;
  /** The variable's name: the same for buffers that share a binding. */
  readonly name: string;
}

/** What the module declares: one variable, for one parameter or for several that share it. */
interface Declaration {
  readonly parameters: readonly string[];
  readonly name: string;
  readonly type: string;
  readonly access: "read" | "read_write";
}

const quadTypes: Readonly<Partial<Record<DType, string>>> = {
  f32: "vec4f",
  i32: "vec4i",
  u32: "vec4u",
  f16: "vec2u",
  bf16: "vec2u",
};

export class Bindings {
  readonly buffers: readonly Buffer[];
  readonly #byParameter: ReadonlyMap<string, Buffer>;
  readonly #fields: WgslBindings["uniform"] & object;
  readonly #fieldNames = new Map<string, string>();
  readonly #debug: string;
  readonly #parameters: string;
  #usesDebug = false;

  constructor(
    kernel: Kernel,
    access: ReadonlyMap<string, Access>,
    atomics: ReadonlySet<string>,
    capabilities: WgslCapabilities,
    names: Names,
  ) {
    this.#parameters = names.unique("parameters");
    const used = kernel.parameters.flatMap((parameter): Omit<Buffer, "name">[] => {
      const use = access.get(parameter.name);
      if (!use) return [];
      return [
        { parameter, access: use, packing: packingOf(parameter, use, atomics.has(parameter.name), capabilities) },
      ];
    });
    const room = capabilities.limits.maxStorageBuffersPerShaderStage - (writesDebug(kernel) ? 1 : 0);
    const shared = sharedNames(used, room, names);
    this.buffers = used.map((buffer) => {
      const { name } = buffer.parameter;
      return { ...buffer, name: shared.get(name) ?? names.unique(name) };
    });
    this.#byParameter = new Map(this.buffers.map((buffer) => [buffer.parameter.name, buffer]));
    this.#debug = names.unique("debug");
    this.#fields = uniformBlock(kernel);
    const fieldNames = new Set<string>();
    for (const { name } of this.#fields.fields) {
      let field = name.replace(/\W+/g, "_");
      while (fieldNames.has(field)) field += "_";
      fieldNames.add(field);
      this.#fieldNames.set(name, field);
    }
  }

  of(parameter: string): Buffer {
    return this.#byParameter.get(parameter)!;
  }

  /** The expression of a field of the uniform block, `q.shape.0` for example. */
  field(name: string): string {
    return `${this.#parameters}.${this.#fieldNames.get(name)!}`;
  }

  /** The name of the debug buffer, which thereby becomes part of the module. */
  debug(): string {
    this.#usesDebug = true;
    return this.#debug;
  }

  /** A field that is never negative, if there is one: its sign bit is a zero that no driver can foresee. */
  get opaqueField(): string | undefined {
    const offset = this.#fields.fields.find(({ name }) => name.endsWith(".offset"));
    return offset && this.field(offset.name);
  }

  metadata(features: readonly string[]): WgslBindings {
    const list = this.#list();
    const buffers = list.flatMap(({ parameters, access }, binding) =>
      parameters.map((parameter) => ({ parameter, binding, access })),
    );
    const uniform = this.#fields.fields.length > 0 ? { ...this.#fields, binding: list.length } : null;
    return { buffers, uniform, features };
  }

  /** The declarations, one a line. */
  declarations(): readonly string[] {
    const list = this.#list();
    const lines = list.map(
      ({ name, type, access }, binding) =>
        `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<${type}>;`,
    );
    if (this.#fields.fields.length === 0) return lines;
    const struct = `${this.#parameters.replace(/^p/, "P")}`;
    const fields = this.#fields.fields.map(
      ({ name, dtype }) => `  ${this.#fieldNames.get(name)}: ${dtype === "i64" ? "vec2u" : dtype},`,
    );
    return [
      `struct ${struct} {`,
      ...fields,
      "}",
      `@group(0) @binding(${list.length}) var<uniform> ${this.#parameters}: ${struct};`,
      ...lines,
    ];
  }

  /** Checks the number of storage buffers against the device's limit. */
  check(kernel: Kernel, capabilities: WgslCapabilities): void {
    const list = this.#list();
    const limit = capabilities.limits.maxStorageBuffersPerShaderStage;
    if (list.length > limit)
      throw new CompileError(
        "TOO_MANY_BUFFERS",
        `kernel "${kernel.name}" uses ${list.length} storage buffers (${list
          .map(({ parameters }) => parameters.join(" with "))
          .join(
            ", ",
          )}), but the device allows ${limit} in a shader: write fewer tensors, or ask for a device with a larger maxStorageBuffersPerShaderStage`,
      );
  }

  #list(): readonly Declaration[] {
    const list: Declaration[] = groupBy(this.buffers, ({ name }) => name).map((buffers) => ({
      parameters: buffers.map(({ parameter }) => parameter.name),
      name: buffers[0]!.name,
      type: storedType(buffers[0]!),
      access: buffers[0]!.access === "read" ? "read" : "read_write",
    }));
    if (this.#usesDebug)
      list.push({ parameters: ["debug"], name: this.#debug, type: "atomic<u32>", access: "read_write" });
    return list;
  }
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): readonly T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return [...groups.values()];
}

/** Whether the module will have the buffer that `tl.print` and `tl.assert` write. */
function writesDebug(kernel: Kernel): boolean {
  let found = false;
  walk(kernel.body, ({ opcode }) => {
    found ||= opcode === "print" || opcode === "assert";
  });
  return found;
}

/**
 * Names for buffers that share a variable, so that no more than `room` are declared if it can be. Only tensors that are read share: the
 * runtime brings them into one buffer, which costs a copy, so those of low rank, which tend to be small, come first.
 */
function sharedNames(
  buffers: readonly Omit<Buffer, "name">[],
  room: number,
  names: Names,
): ReadonlyMap<string, string> {
  const weight = ({ parameter }: Omit<Buffer, "name">): number =>
    parameter.kind === "pointer" ? Number.POSITIVE_INFINITY : parameter.rank;
  const groups = groupBy(
    buffers.filter(({ access }) => access === "read"),
    storedType,
  ).map((group) => group.toSorted((a, b) => weight(a) - weight(b)));
  const taken = groups.map(() => 1);
  for (let excess = buffers.length - room; excess > 0; excess--) {
    const next = groups
      .map((group, index) => ({ index, candidate: group[taken[index]!] }))
      .filter(({ candidate }) => candidate !== undefined)
      .sort((a, b) => weight(a.candidate!) - weight(b.candidate!))[0];
    if (next === undefined) break;
    taken[next.index]!++;
  }
  const shared = new Map<string, string>();
  for (const [index, group] of groups.entries()) {
    const members = group.slice(0, taken[index]!).map(({ parameter }) => parameter.name);
    if (members.length < 2) continue;
    const name = names.unique(members.join("_"));
    for (const member of members) shared.set(member, name);
  }
  return shared;
}

function packingOf(
  parameter: KernelParameter,
  access: Access,
  atomic: boolean,
  capabilities: WgslCapabilities,
): Packing {
  const { dtype, facts, kind } = parameter;
  const bytes = elementBytes[dtype];
  if (atomic) return "atomic";
  if (access === "read") {
    const aligned = (facts.alignment ?? 0) % (4 * bytes) === 0 && (facts.alignment ?? 0) > 0;
    if (quadTypes[dtype] && aligned && (kind === "pointer" || facts.unitStride === true)) return "quads";
    return bytes < 4 ? "packed" : "scalar";
  }
  if (bytes >= 4) return "scalar";
  return dtype === "f16" && capabilities.features.shaderF16 ? "half" : "atomic";
}

/** The element type of the buffer's array. */
function storedType({ parameter: { dtype }, packing }: Omit<Buffer, "name">): string {
  switch (packing) {
    case "quads":
      return quadTypes[dtype]!;
    case "half":
      return "f16";
    case "atomic":
      return dtype === "i32" ? "atomic<i32>" : "atomic<u32>";
    case "packed":
      return "u32";
    case "scalar":
      return dtype === "i64" ? "vec2u" : dtype;
  }
}

/** Fields are words: f16 and bf16 are passed as f32, bool and i8 as i32; i64 as vec2u is passed as two words. */
function uniformBlock(kernel: Kernel): {
  binding: number;
  size: number;
  fields: { name: string; offset: number; dtype: DType }[];
} {
  const fields: { name: string; offset: number; dtype: DType }[] = [];
  let size = 0;
  const add = (name: string, dtype: DType): void => {
    const bytes = elementBytes[dtype];
    size = Math.ceil(size / bytes) * bytes;
    fields.push({ name, offset: size, dtype });
    size += bytes;
  };
  for (const { name, kind, dtype, rank } of kernel.parameters) {
    if (kind === "scalar") add(name, uniformDtype(dtype));
    else {
      add(`${name}.offset`, "i32");
      for (let axis = 0; axis < rank; axis++) add(`${name}.shape.${axis}`, "i32");
      for (let axis = 0; axis < rank; axis++) add(`${name}.stride.${axis}`, "i32");
    }
  }
  return { binding: 0, size: Math.ceil(size / 16) * 16, fields };
}

/** How a scalar of `dtype` is passed. */
export const uniformDtype = (dtype: DType): DType =>
  dtype === "f16" || dtype === "bf16" ? "f32" : dtype === "bool" || dtype === "i8" ? "i32" : dtype;
