/**
 * @file The trace under way: the builder that operations go to, and the region (kernel, loop body, arm of an if) in which each value
 * lives. Everything of this folder that makes an operation does it through `emit`.
 */
import {
  type Attributes,
  type Block,
  Builder,
  type Location,
  type Opcode,
  type Operation,
  typeToString,
  type Value,
} from "../ir/index.ts";
import { IrError, type NamesOf, TraceError, unknownName } from "../support/index.ts";
import { type Callee, callChain, describeChain, locateCall } from "./locate.ts";

/** A stretch of the kernel that values cannot leave. */
interface Region {
  readonly what: string;
  open: boolean;
}

/** One tracing of one kernel. */
export class Trace {
  readonly kernelName: string;
  readonly builder = new Builder();
  readonly #regions: Region[] = [];
  readonly #regionOf = new Map<Value, Region>();
  /** Of the author's call whose operations are being made, where `asOneCall` has found it. */
  location: Location | undefined;

  constructor(kernelName: string) {
    this.kernelName = kernelName;
    this.#regions.push({ what: "the kernel", open: true });
  }

  /** Notes that a value was made in the innermost region. */
  own<V extends Value>(value: V): V {
    this.#regionOf.set(value, this.#regions.at(-1)!);
    return value;
  }

  /** Throws unless the value belongs to this trace and its region is still open. */
  checkUsable(value: Value): void {
    const region = this.#regionOf.get(value);
    if (!region)
      fail(
        "FOREIGN_VALUE",
        `${describeValue(value)} belongs to another kernel's trace, not to "${this.kernelName}": make it inside this kernel's body`,
      );
    if (!region.open)
      fail(
        "ESCAPED_VALUE",
        `${describeValue(value)} was made inside ${region.what} that has ended: return it in that record, as a field of the loop's state or of the if's arms`,
      );
  }

  /** Builds a block as a region of its own. */
  region(what: string, parameters: readonly Value[], fill: () => void): Block {
    const region: Region = { what, open: true };
    return this.builder.block(parameters, () => {
      this.#regions.push(region);
      try {
        for (const parameter of parameters) this.own(parameter);
        fill();
      } finally {
        this.#regions.pop();
        region.open = false;
      }
    });
  }
}

let current: Trace | undefined;

/** The trace under way; an error (`NO_TRACE`) outside a kernel's body. */
export function currentTrace(what = "this"): Trace {
  return current ?? fail("NO_TRACE", `${what} works only inside the body of a kernel while that is being traced`);
}

/** Makes `trace` the current one while `run` runs. */
export function withTrace<R>(trace: Trace, run: () => R): R {
  const outer = current;
  current = trace;
  try {
    return run();
  } finally {
    current = outer;
  }
}

/**
 * Runs `make`, all of whose operations belong to the author's one call that led to `callee`, which asks: they share its location, which is
 * then looked for once. (A capture of the stack costs more than an operation.) `make` runs no code of the author's.
 */
export function asOneCall<R>(callee: Callee, make: () => R): R {
  if (current === undefined || current.location !== undefined) return make();
  const trace = current;
  trace.location = locateCall(callee);
  try {
    return make();
  } finally {
    trace.location = undefined;
  }
}

/** Throws a `TraceError` whose message ends with the author's line and the calls that led there. */
export function fail(code: string, message: string): never {
  throw new TraceError(code, message + describeChain(callChain()));
}

/** Checks that an operation's options are a plain object (no tile: operands that Triton takes by position are options here) of known names. */
export function checkOptions<A extends object>(options: A, names: NamesOf<A>, what: string): void {
  if (Object.getPrototypeOf(options) !== Object.prototype)
    fail("OPTION", `${what}: its options are an object, { ${Object.keys(names).join(", ")} }`);
  const unknown = unknownName(options, names, "option");
  if (unknown !== undefined) fail("OPTION", `${what}: ${unknown}`);
}

/** "max: tile<64xf32>", for messages. */
export function describeValue(value: Value): string {
  const type = typeToString(value.type);
  return value.name ? `"${value.name}" (${type})` : `a value of type ${type}`;
}

export interface EmitOptions {
  readonly blocks?: readonly Block[];
  readonly names?: readonly (string | undefined)[];
}

/** Makes an operation at the current place. An error of the op table becomes the author's, with the line. */
export function emitOperation(
  opcode: Opcode,
  operands: readonly Value[],
  attributes: Attributes = {},
  options: EmitOptions = {},
): Operation {
  const trace = currentTrace(opcode);
  for (const operand of operands) trace.checkUsable(operand);
  const location = trace.location ?? locateCall(emitOperation);
  let operation: Operation;
  try {
    operation = trace.builder.create(opcode, operands, attributes, { ...options, location });
  } catch (error) {
    if (error instanceof IrError) fail(error.code, error.message);
    throw error;
  }
  for (const result of operation.results) trace.own(result);
  return operation;
}

/** As `emitOperation`, for an operation with one result. */
export function emit(
  opcode: Opcode,
  operands: readonly Value[],
  attributes: Attributes = {},
  options: EmitOptions = {},
): Value {
  return emitOperation(opcode, operands, attributes, options).results[0]!;
}

/** Names a value that has no name yet. Only while it is being traced: operations are immutable afterwards. */
export function nameValue(value: Value, name: string): void {
  if (value.name === undefined) (value as { name: string }).name = name;
}
