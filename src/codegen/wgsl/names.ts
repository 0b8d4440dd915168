/**
 * @file Identifiers of the generated code: the author's names where there are any, made unique, and never one that WGSL reserves or
 * predeclares (a local `max` would hide the function).
 */
import type { Value } from "../../ir/index.ts";

const words = (text: string): string[] => text.trim().split(/\s+/);

/** Keywords, reserved words that an author may plausibly use, predeclared types and the functions that generated code calls. */
const taken = new Set([
  ...words(`alias break case const const_assert continue continuing default diagnostic discard else enable false fn for if let
    loop override requires return struct switch true var while`),
  ...words(`NULL Self abstract active alignas as asm async attribute auto await become binding_array cast catch class co_await
    common compile constexpr crate debugger decltype delete demote do dynamic_cast enum explicit export extends extern external
    fallthrough filter final finally friend from fxgroup get goto groupshared highp impl implements import inline instanceof
    interface layout lowp macro match mediump meta mod module move mut mutable namespace new nil noexcept noinline nointerpolation
    non_coherent noncoherent noperspective null nullptr of operator package packoffset partial pass patch pixelfragment precise
    precision premerge priv protected pub public readonly ref regardless register require resource restrict self set shared
    sizeof smooth snorm static std subroutine super target template this thread_local throw trait try type typedef typeid typename
    typeof union unless unorm unsafe unsized use using varying virtual volatile wgsl where with writeonly yield`),
  ...words(`array atomic bool f16 f32 i32 u32 vec2 vec3 vec4 vec2u vec4u vec4f vec4i vec2f vec3u mat4x4 ptr sampler texture function
    private workgroup uniform storage read write read_write`),
  ...words(`abs all any arrayLength atomicAdd atomicAnd atomicCompareExchangeWeak atomicExchange atomicLoad atomicMax atomicMin
    atomicOr atomicStore atomicXor bitcast ceil clamp cos cross dot exp exp2 extractBits floor fma fract insertBits inverseSqrt
    length log log2 max min mix modf normalize pack2x16float pow round select sign sin sqrt step storageBarrier subgroupBroadcast
    subgroupShuffle subgroupAdd tan tanh transpose trunc unpack2x16float workgroupBarrier workgroupUniformLoad`),
]);

export class Names {
  readonly #used = new Map<string, number>();

  /** `wanted` as an identifier that nothing else has. */
  unique(wanted: string): string {
    let name = wanted.replace(/\W+/g, "_").replace(/^(?=\d)|^_+(?=_)/, "v");
    if (name === "" || name === "_") name = "value";
    if (taken.has(name)) name = `${name}_value`;
    const uses = this.#used.get(name);
    this.#used.set(name, (uses ?? 0) + 1);
    if (uses === undefined) return name;
    return this.unique(`${name}_${uses}`);
  }
}

/** What a value is called: by its author, else after the operation that makes it. */
export const nameOf = ({ name, definition }: Value): string =>
  name ?? defaultNames[definition?.opcode ?? ""] ?? definition?.opcode ?? "value";

/** What values without a name of the author's are called, where the opcode says little or is a function of WGSL. */
const defaultNames: Readonly<Record<string, string>> = {
  add: "sum",
  sub: "difference",
  mul: "product",
  div: "quotient",
  rem: "remainder",
  neg: "negated",
  abs: "magnitude",
  exp: "exponential",
  exp2: "power",
  log: "logarithm",
  log2: "logarithm",
  sqrt: "root",
  fma: "fused",
  compare: "condition",
  and: "both",
  or: "either",
  arange: "index",
  load: "loaded",
  view_load: "loaded",
  add_pointer: "address",
  select: "selected",
  reduce: "reduced",
  scan: "scanned",
  max: "largest",
  min: "smallest",
  dot: "products",
  cast: "converted",
  convert_layout: "moved",
  atomic_rmw: "old",
  atomic_cas: "old",
  if: "chosen",
  loop: "carried",
};
