/**
 * @file `kernel`: declares a kernel, and traces it into Tile IR for a choice of constants, dtypes and facts.
 */
import {
  blockParameter,
  type DType,
  dtypes,
  type Kernel,
  type KernelParameter,
  type ParameterFacts,
  pointerType,
  tileType,
  type Value,
  viewType,
} from "../ir/index.ts";
import { type NamesOf, TraceError, unknownName } from "../support/index.ts";
import { type GridOperand, gridStrings } from "./grid.ts";
import {
  type BodyParameters,
  bodyHandle,
  type DTypeVariables,
  declaredParameters,
  dtypeVariablesOf,
  factNames,
  type GridParameters,
  gridHandles,
  type ParameterSpecs,
} from "./parameters.ts";
import { Trace, withTrace } from "./trace-context.ts";
import type { Dim, DTypeLike } from "./types.ts";

/** Values that are known while compiling. */
export type Constants = Readonly<Record<string, number | boolean | string>>;

/** The constants as the body gets them: numbers named for use as extents, booleans and strings as they are. */
export type BodyConstants<C extends Constants> = {
  readonly [K in keyof C]: C[K] extends number ? Dim<K & string> : C[K] extends boolean ? boolean : C[K];
};

/** Constants that a specialisation sets; the others keep the declared value. */
export type ConstantValues<C extends Constants> = {
  readonly [K in keyof C]?: C[K] extends number ? number : C[K] extends boolean ? boolean : C[K];
};

/** The author's advice for a launch, as Triton's `num_warps` and `num_stages`. A target may know better. */
export type Hints = Kernel["hints"];

/** What one specialisation of a kernel fixes. */
export interface Specialization {
  /** Values of compile-time constants; the declared ones otherwise. */
  readonly constants?: Readonly<Record<string, number | boolean | string>>;
  /** A dtype for each dtype variable: `{ T: "f16" }`. */
  readonly dtypes?: Readonly<Record<string, DType>>;
  /** What the code may assume of the arguments, where it differs from the declaration. */
  readonly facts?: Readonly<Record<string, ParameterFacts>>;
  readonly hints?: Hints;
}

/** A `Specialization` of a kernel with these constants and parameters. */
export interface TraceOptions<C extends Constants, P extends ParameterSpecs> {
  readonly constants?: ConstantValues<C>;
  readonly dtypes?: { readonly [V in DTypeVariables<P>]: DType };
  readonly facts?: { readonly [K in keyof P]?: ParameterFacts };
  readonly hints?: Hints;
}

const traceOptionNames = { constants: true, dtypes: true, facts: true, hints: true } as const satisfies NamesOf<
  TraceOptions<any, any>
>;

/** What `kernel` takes. */
export interface KernelSpec<C extends Constants, P extends ParameterSpecs> {
  /** An identifier; the entry point of the generated code. */
  readonly name: string;
  /** Compile-time constants with their default values. Each choice of them is traced and compiled anew. */
  readonly constants?: C;
  /** The parameters, in the order of the arguments: `tl.tensor`, `tl.pointer`, `tl.scalar`. */
  readonly params: P;
  /**
   * The number of programs along x, y and z, of the sizes and i32 scalars of the arguments: `(p, { BLOCK_M }) => [tl.cdiv(p.q.shape(2), BLOCK_M),
   * p.q.shape(1), p.q.shape(0)]`. Without it, each launch gives the grid.
   */
  readonly grid?: (p: GridParameters<P>, constants: BodyConstants<C>) => readonly GridOperand[];
  readonly hints?: Hints | ((constants: BodyConstants<C>) => Hints);
  /**
   * What one program does. Ordinary TypeScript that runs once, while tracing: `if` and `for` over constants specialise and unroll;
   * `tl.if` and `tl.loop` stay in the kernel.
   */
  body(p: BodyParameters<P>, constants: BodyConstants<C>): void;
}

/** A kernel that can be traced, compiled and launched. */
export interface KernelDefinition<C extends Constants = Constants, P extends ParameterSpecs = ParameterSpecs> {
  readonly name: string;
  /** The constants with their default values. */
  readonly constants: C;
  /** The parameters as declared; `dtype` may be one of `dtypeVariables`. */
  readonly parameters: readonly (Omit<KernelParameter, "dtype"> & { readonly dtype: DTypeLike })[];
  /** The declarations by name, to be spread into another kernel's `params`. */
  readonly params: P;
  /** The names that stand for a dtype until the kernel is traced. */
  readonly dtypeVariables: readonly string[];
  /**
   * Runs the body and gives its Tile IR.
   * @throws TraceError `CONSTANT_NAME`, `CONSTANT_TYPE`, `DTYPE_VARIABLE`, `FACTS`, `HINTS` for options that the kernel does not have, and the
   * author's mistakes (see `Tile`), each with file, line and column.
   */
  trace(options?: TraceOptions<C, P>): Kernel;
}

class TracedKernel<C extends Constants, P extends ParameterSpecs> implements KernelDefinition<C, P> {
  readonly name: string;
  readonly constants: C;
  readonly params: P;
  readonly parameters: KernelDefinition["parameters"];
  readonly dtypeVariables: readonly string[];
  readonly #spec: KernelSpec<C, P>;

  constructor(spec: KernelSpec<C, P>) {
    checkSpec(spec);
    this.#spec = spec;
    this.name = spec.name;
    this.constants = spec.constants ?? ({} as C);
    this.params = spec.params;
    this.parameters = declaredParameters(spec.params);
    this.dtypeVariables = dtypeVariablesOf(spec.params);
  }

  trace(options: TraceOptions<C, P> = {}): Kernel {
    const unknown = unknownName(options, traceOptionNames, "option");
    if (unknown !== undefined) this.#fail("OPTION", unknown);
    const constants = this.#bindConstants(options.constants ?? {});
    const parameters = this.#bindParameters(options);
    const values = parameters.map((parameter) => blockParameter(typeOf(parameter), parameter.name));
    const named = constants as unknown as BodyConstants<C>;
    const { grid, hints = {} } = this.#spec;

    const trace = new Trace(this.name);
    for (const value of values) trace.own(value);
    const handles = Object.fromEntries(
      parameters.map((parameter, i) => [parameter.name, bodyHandle(parameter, values[i]!)]),
    );
    withTrace(trace, () => callAuthorsBody(this.#spec, handles as BodyParameters<P>, named));
    return {
      name: this.name,
      parameters,
      body: trace.builder.finish(values),
      constants,
      grid: grid ? gridStrings(grid(gridHandles(parameters) as GridParameters<P>, named), this.name) : null,
      hints: this.#checked(options.hints ?? (typeof hints === "function" ? hints(named) : hints)),
    };
  }

  #fail(code: string, message: string): never {
    throw new TraceError(code, `kernel "${this.name}": ${message}`);
  }

  #checkedFacts(facts: ParameterFacts, parameter: string): ParameterFacts {
    const unknown = unknownName(facts, factNames, "fact");
    if (unknown !== undefined) this.#fail("FACTS", `of "${parameter}": ${unknown}`);
    return facts;
  }

  #checked(hints: Hints): Hints {
    const unknown = unknownName(hints, { numWarps: true, numStages: true, residentWords: true }, "hint");
    if (unknown !== undefined) this.#fail("HINTS", unknown);
    return hints;
  }

  #bindConstants(given: Readonly<Record<string, unknown>>): Record<string, number | boolean | string> {
    const constants: Record<string, number | boolean | string> = { ...this.constants };
    for (const [name, value] of Object.entries(given)) {
      if (value === undefined) continue;
      const declared = constants[name];
      if (declared === undefined || !Object.hasOwn(this.constants, name))
        this.#fail("CONSTANT_NAME", `there is no constant "${name}"; it has ${listOf(Object.keys(this.constants))}`);
      if (typeof value !== typeof declared)
        this.#fail(
          "CONSTANT_TYPE",
          `constant "${name}" must be a ${typeof declared} (default ${declared}), got ${String(value)}`,
        );
      constants[name] = value as number | boolean | string;
    }
    return constants;
  }

  #bindParameters({ dtypes: bound = {} as never, facts = {} }: TraceOptions<C, P>): KernelParameter[] {
    const given: Readonly<Record<string, DType | undefined>> = bound;
    for (const [variable, dtype] of Object.entries(given)) {
      if (!this.dtypeVariables.includes(variable))
        this.#fail("DTYPE_VARIABLE", `there is no dtype variable "${variable}"; it has ${listOf(this.dtypeVariables)}`);
      if (!dtypes.includes(dtype!))
        this.#fail("DTYPE_VARIABLE", `"${variable}" must be one of ${dtypes.join(", ")}, got ${String(dtype)}`);
    }
    const unbound = this.dtypeVariables.filter((variable) => given[variable] === undefined);
    if (unbound.length > 0)
      this.#fail(
        "DTYPE_VARIABLE",
        `no dtype is given for ${listOf(unbound)}: trace({ dtypes: { ${unbound[0]}: "f16" } })`,
      );
    for (const name of Object.keys(facts))
      if (!Object.hasOwn(this.params, name))
        this.#fail("FACTS", `facts name "${name}", but the parameters are ${listOf(Object.keys(this.params))}`);
    return this.parameters.map((parameter) => ({
      ...parameter,
      dtype: given[parameter.dtype] ?? (parameter.dtype as DType),
      facts: { ...parameter.facts, ...this.#checkedFacts(facts[parameter.name] ?? {}, parameter.name) },
    }));
  }
}

const listOf = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ") || "none";

const typeOf = ({ kind, dtype, rank }: KernelParameter): Value["type"] =>
  kind === "tensor" ? viewType(dtype, rank) : kind === "pointer" ? pointerType(dtype) : tileType(dtype);

/** The name of this function marks where the author's part of a stack ends (see locate.ts). */
function callAuthorsBody<C extends Constants, P extends ParameterSpecs>(
  spec: KernelSpec<C, P>,
  parameters: BodyParameters<P>,
  constants: BodyConstants<C>,
): void {
  const result: unknown = spec.body(parameters, constants);
  if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function")
    throw new TraceError(
      "BODY",
      `kernel "${spec.name}": the body is asynchronous, but it is traced in one go: remove async`,
    );
}

function checkSpec<C extends Constants, P extends ParameterSpecs>(spec: KernelSpec<C, P>): void {
  const { name, constants = {}, params, body } = spec;
  const identifier = /^[A-Za-z_]\w*$/;
  if (typeof name !== "string" || !identifier.test(name))
    throw new TraceError(
      "KERNEL_NAME",
      `the name of a kernel must be an identifier, such as "row_softmax", got ${JSON.stringify(name)}`,
    );
  const fail = (message: string): never => {
    throw new TraceError("KERNEL", `kernel "${name}": ${message}`);
  };
  const known = { name: true, constants: true, params: true, grid: true, hints: true, body: true } as const;
  const unknown = unknownName(spec, known satisfies NamesOf<KernelSpec<C, P>>, "entry");
  if (unknown !== undefined) fail(unknown);
  if (typeof body !== "function") fail("body must be a function");
  if (typeof params !== "object" || params === null)
    fail("params must be a record of tl.tensor, tl.pointer and tl.scalar");
  for (const [key, parameter] of Object.entries(params)) {
    if (!identifier.test(key)) fail(`the parameter "${key}" must be an identifier`);
    if (!["tensor", "pointer", "scalar"].includes(parameter?.kind))
      fail(`the parameter "${key}" must be made by tl.tensor, tl.pointer or tl.scalar`);
  }
  for (const [key, value] of Object.entries(constants))
    if (!["number", "boolean", "string"].includes(typeof value))
      fail(`the constant "${key}" must be a number, boolean or string, got ${String(value)}`);
}

/**
 * Declares a kernel.
 *
 * ```ts
 * const addOne = kernel({
 *   name: "add_one",
 *   constants: { BLOCK: 256 },
 *   params: { x: tl.tensor("T", 1), out: tl.tensor("T", 1) },
 *   grid: (p, { BLOCK }) => [tl.cdiv(p.x.shape(0), BLOCK)],
 *   body(p, { BLOCK }) {
 *     const start = tl.programId(0).mul(BLOCK);
 *     p.out.store([start], p.x.load([start], [BLOCK]).add(1));
 *   },
 * });
 * const ir = addOne.trace({ constants: { BLOCK: 1024 }, dtypes: { T: "f16" } });
 * ```
 *
 * @throws TraceError `KERNEL_NAME`, `KERNEL` for a declaration that is none.
 */
export const kernel = <C extends Constants = Record<never, never>, P extends ParameterSpecs = ParameterSpecs>(
  spec: KernelSpec<C, P>,
): KernelDefinition<C, P> => new TracedKernel(spec);

/** Whether a value was made by `kernel`. */
export const isKernelDefinition = (value: unknown): value is KernelDefinition => value instanceof TracedKernel;
