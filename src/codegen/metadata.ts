/**
 * @file A compiled kernel is data, for any runtime: source text and launch metadata that serialises to JSON. The names are the
 * same everywhere: a tensor parameter `q` of rank r expands, in this order, to the pointer `q`, the sizes `q.shape.0..r-1` (i32) and
 * the strides `q.stride.0..r-1` (in elements).
 */
import type { DType, KernelParameter, ParameterFacts } from "../ir/index.ts";

/** One parameter of the entry function, in the order of the target's calling convention. */
export interface LaunchParameter {
  readonly name: string;
  readonly kind: "pointer" | "scalar";
  /** Of what is pointed at, or of the scalar. Sizes are i32; strides are i64 on PTX and i32 on WGSL. */
  readonly dtype: DType;
  /** Of a pointer: what the kernel does to the memory. Scalars are "read". */
  readonly access: "read" | "write" | "readwrite";
}

/** A kernel parameter as the author declared it, with what the compiled code assumes of it; a launch must check `facts`. */
export interface LaunchArgument {
  readonly name: string;
  readonly kind: "tensor" | "pointer" | "scalar";
  readonly dtype: DType;
  readonly rank: number;
  readonly access: "read" | "write" | "readwrite";
  readonly facts: ParameterFacts;
}

/** How a WGSL module is bound. Storage buffers hold raw memory: 16-bit and 8-bit elements are packed in little-endian order. */
export interface WgslBindings {
  /**
   * Every storage buffer, in @group(0). `parameter` is a pointer parameter's name, or "debug" for the output of print and assert. Entries
   * with one `binding` share it (the device binds fewer buffers than the kernel has tensors): those tensors, all read only, lie in one
   * buffer, each at a multiple of 16 bytes, and their `p.offset` says where.
   */
  readonly buffers: readonly {
    readonly parameter: string;
    readonly binding: number;
    readonly access: "read" | "read_write";
  }[];
  /**
   * The uniform block in @group(0): every scalar parameter, and for each pointer parameter `p` an `p.offset` (i32: the element at
   * which the tensor starts in its buffer). Null when there is nothing to pass.
   */
  readonly uniform: {
    readonly binding: number;
    /** Bytes, a multiple of 16. */
    readonly size: number;
    readonly fields: readonly { readonly name: string; readonly offset: number; readonly dtype: DType }[];
  } | null;
  /** WebGPU features that the text uses, for example "shader-f16", "subgroups". */
  readonly features: readonly string[];
}

/** Where `tl.print` and `tl.assert` write: records in a buffer that the runtime reads back and formats. */
export interface DebugOutput {
  /** Capacity of the buffer in 32-bit words; word 0 counts the words asked for, records follow from word 1. */
  readonly words: number;
  /**
   * A record: [site, program x, y, z, linear index of the element in the tile, value's bits...]. `site` indexes this list.
   * For an assert there is no value.
   */
  readonly sites: readonly {
    readonly kind: "print" | "assert";
    readonly message: string;
    readonly location: string;
    /** The printed values' dtypes and shape, one record an element, all values in one record. */
    readonly dtypes: readonly DType[];
    readonly shape: readonly number[];
  }[];
}

/** Everything a launch needs to know. Serialises to JSON as it is. */
export interface LaunchMetadata {
  readonly name: string;
  /** "sm_80", "wgsl", ... */
  readonly target: string;
  /** Name of the entry function in the source. */
  readonly entry: string;
  readonly params: readonly LaunchParameter[];
  readonly arguments: readonly LaunchArgument[];
  /** Threads of a block (CUDA) or invocations of a workgroup (WebGPU) along x, y, z. */
  readonly block: readonly [number, number, number];
  /** Grid expressions over the scalar params (see support/grid-expression.ts); null when the launch gives the grid. */
  readonly grid: readonly [string, string, string] | null;
  /** Bytes of shared (CUDA) or workgroup (WebGPU) memory. */
  readonly sharedMemory: { readonly static: number; readonly dynamic: number };
  readonly constants: Readonly<Record<string, number | string | boolean>>;
  readonly wgsl?: WgslBindings;
  readonly debug?: DebugOutput;
}

export interface CompiledKernel {
  /** PTX or WGSL text. */
  readonly source: string;
  readonly metadata: LaunchMetadata;
}

/** The declared parameters as launch arguments, given what the kernel does to each one's memory. */
export function launchArguments(
  parameters: readonly KernelParameter[],
  access: ReadonlyMap<string, LaunchParameter["access"]>,
): LaunchArgument[] {
  return parameters.map(({ name, kind, dtype, rank, facts }) => ({
    name,
    kind,
    dtype,
    rank,
    facts,
    access: access.get(name) ?? "read",
  }));
}

/** The expanded entry parameters, strides as `strideDtype`. */
export function launchParameters(launched: readonly LaunchArgument[], strideDtype: "i32" | "i64"): LaunchParameter[] {
  return launched.flatMap(({ name, kind, dtype, rank, access }): LaunchParameter[] => {
    if (kind === "scalar") return [{ name, kind, dtype, access: "read" }];
    const axes = Array.from({ length: rank }, (_, axis) => axis);
    return [
      { name, kind: "pointer", dtype, access },
      ...axes.map((axis) => ({
        name: `${name}.shape.${axis}`,
        kind: "scalar" as const,
        dtype: "i32" as const,
        access: "read" as const,
      })),
      ...axes.map((axis) => ({
        name: `${name}.stride.${axis}`,
        kind: "scalar" as const,
        dtype: strideDtype,
        access: "read" as const,
      })),
    ];
  });
}
