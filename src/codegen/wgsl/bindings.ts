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
 */
import { type DType, elementBytes, type Kernel, type KernelParameter } from "../../ir/index.ts";
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
  /** The variable's name. */
  readonly name: string;
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
    this.buffers = kernel.parameters.flatMap((parameter): Buffer[] => {
      const use = access.get(parameter.name);
      if (!use) return [];
      const packing = packingOf(parameter, use, atomics.has(parameter.name), capabilities);
      return [{ parameter, access: use, packing, name: names.unique(parameter.name) }];
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
    const buffers = this.#list().map(({ parameter, access }, binding) => ({ parameter, binding, access }));
    const uniform = this.#fields.fields.length > 0 ? { ...this.#fields, binding: buffers.length } : null;
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
    const count = this.#list().length;
    const limit = capabilities.limits.maxStorageBuffersPerShaderStage;
    if (count > limit)
      throw new CompileError(
        "TOO_MANY_BUFFERS",
        `kernel "${kernel.name}" uses ${count} storage buffers (${this.#list()
          .map(({ parameter }) => parameter)
          .join(
            ", ",
          )}), but the device allows ${limit} in a shader: pass fewer tensors, or ask for a device with a larger maxStorageBuffersPerShaderStage`,
      );
  }

  #list(): { parameter: string; name: string; type: string; access: "read" | "read_write" }[] {
    const list = this.buffers.map((buffer) => ({
      parameter: buffer.parameter.name,
      name: buffer.name,
      type: storedType(buffer),
      access: buffer.access === "read" ? ("read" as const) : ("read_write" as const),
    }));
    if (this.#usesDebug)
      list.push({ parameter: "debug", name: this.#debug, type: "atomic<u32>", access: "read_write" });
    return list;
  }
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
function storedType({ parameter: { dtype }, packing }: Buffer): string {
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
