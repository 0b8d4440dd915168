/**
 * @file The state that all planned operations of one kernel share: the running program, memory, checks, and how findings are
 * reported. Planned operations hold their own tile arrays; this holds everything else.
 */
import type { Kernel, Operation } from "../ir/index.ts";
import { ArgumentError } from "../support/index.ts";
import type { Region } from "./memory.ts";
import { type Finding, findingToString, InterpreterError, shapeOfOperation, unravel } from "./report.ts";

/** What is looked for while a kernel runs. An access outside every buffer is an error whatever the checks. */
export interface Checks {
  /**
   * A NaN from operands without NaN (inf - inf, 0 / 0, 0 * inf, sqrt(-1)): `"produced"`: reported where it arises, even if a `select`
   * would discard it; `"stored"`: reported, with where it arose, when a NaN is then stored; `false`: not at all.
   */
  readonly nan: "produced" | "stored" | false;
  /** An infinity from finite operands, but for log(0) and log2(0). */
  readonly infinity: boolean;
  /** What raw pointers may touch: all of the argument's array, or only what lies between the view's first and last element. */
  readonly bounds: "buffer" | "view";
  /** Programs of one launch that write an element with different values, or read what another writes. */
  readonly races: boolean;
  /** Integer division by zero (otherwise 0) and shifts out of range (otherwise modulo the width). */
  readonly arithmetic: boolean;
  /** What the author promised: `multiple_of`, `inBounds`, parameter facts. */
  readonly promises: boolean;
  /** Reads of elements never written, of arguments marked as not initialised. */
  readonly undefinedValues: boolean;
}

export const defaultChecks: Checks = {
  nan: "produced",
  infinity: false,
  bounds: "buffer",
  races: false,
  arithmetic: true,
  promises: true,
  undefinedValues: true,
};

const flag = [true, false] as const;
const allowed = {
  nan: ["produced", "stored", false],
  infinity: flag,
  bounds: ["buffer", "view"],
  races: flag,
  arithmetic: flag,
  promises: flag,
  undefinedValues: flag,
} as const satisfies Record<keyof Checks, readonly unknown[]>;

/** The default checks with changes. @throws ArgumentError `ARGUMENT_UNKNOWN`, `ARGUMENT_VALUE`. */
export function checksOf(changes: Partial<Checks>): Checks {
  const checks = { ...defaultChecks };
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(allowed, name))
      throw new ArgumentError(
        "ARGUMENT_UNKNOWN",
        `there is no check "${name}"; known are ${Object.keys(allowed).join(", ")}`,
      );
    const values: readonly unknown[] = allowed[name as keyof Checks];
    if (!values.includes(value))
      throw new ArgumentError(
        "ARGUMENT_VALUE",
        `checks: "${name}" must be ${values.map((one) => JSON.stringify(one)).join(" or ")}, got ${String(value)}`,
      );
    Object.assign(checks, { [name]: value });
  }
  return checks;
}

export class Machine {
  readonly kernel: Kernel;
  readonly checks: Checks;
  /** Program id, and number of programs, along x, y, z. */
  readonly program = new Int32Array(3);
  readonly grid = new Int32Array(3);
  /** Programs that ran to their end in this launch. */
  completed = 0;
  regions: readonly Region[] = [];
  /** Where this program's first NaN from operands without NaN arose (checks.nan is "stored"). */
  firstNan: string | undefined;
  onPrint: (line: string) => void = () => {};
  /** Hears of failed asserts; undefined: they throw. */
  onAssert: ((message: string) => void) | undefined;

  constructor(kernel: Kernel, checks: Checks) {
    this.kernel = kernel;
    this.checks = checks;
  }

  /** The running program's number in the launch. */
  get programNumber(): number {
    return this.completed;
  }

  finding(operation: Operation, element?: number, shape = shapeOfOperation(operation)): Finding {
    const [x, y, z] = this.program;
    return {
      kernel: this.kernel.name,
      program: [x!, y!, z!],
      opcode: operation.opcode,
      location: operation.location,
      element: element === undefined ? undefined : unravel(element, shape),
    };
  }

  /** Throws. `element` is a row-major index into `shape`, by default the operation's. */
  fail(
    code: string,
    operation: Operation,
    element: number | undefined,
    what: string,
    shape?: readonly number[],
  ): never {
    const programs = this.grid.reduce((product, extent) => product * extent, 1);
    const executed = `${this.completed} of ${programs} programs had run to the end; memory holds what they and a part of this one wrote`;
    throw new InterpreterError(code, this.finding(operation, element, shape), what, executed);
  }

  describe(operation: Operation, element?: number): string {
    return findingToString(this.finding(operation, element));
  }
}
