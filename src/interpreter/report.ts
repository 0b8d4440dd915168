/**
 * @file What the interpreter says when a kernel goes wrong: kernel, program, operation, the author's line and the element, and how
 * much had been executed, so that nobody trusts half-written results.
 */
import { type Location, locationToString, type Operation, shapeOf } from "../ir/index.ts";
import { KernelError } from "../support/index.ts";

/** Where in an execution something was found. */
export interface Finding {
  readonly kernel: string;
  /** Program id along x, y, z. */
  readonly program: readonly [number, number, number];
  readonly opcode: string;
  readonly location: Location | undefined;
  /** Index of the tile's element, one number an axis; undefined where the finding is not about one element. */
  readonly element: readonly number[] | undefined;
}

/**
 * A mistake found while a kernel ran. Codes: `OUT_OF_BOUNDS`, `UNDEFINED_VALUE`, `NAN_FROM_FINITE`, `INFINITY_FROM_FINITE`,
 * `BROKEN_PROMISE`, `DIVISION_BY_ZERO`, `SHIFT_RANGE`, `LOOP_STEP`, `RACE`, `ASSERT`.
 */
export class InterpreterError extends KernelError {
  readonly finding: Finding;
  constructor(code: string, finding: Finding, what: string, executed: string) {
    super(code, `${findingToString(finding)}: ${what} (${executed})`);
    this.finding = finding;
  }
}

export function findingToString({ kernel, program, opcode, location, element }: Finding): string {
  const at = element && element.length > 0 ? `, element [${element.join(", ")}]` : "";
  return `kernel "${kernel}", program (${program.join(", ")}), ${opcode} at ${locationToString(location)}${at}`;
}

/** The index of the row-major element `linear` of a tile. */
export function unravel(linear: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  let rest = linear;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index.unshift(rest % shape[axis]!);
    rest = Math.floor(rest / shape[axis]!);
  }
  return index;
}

/** The shape that an operation works over: its tile result's, else the largest operand's. */
export function shapeOfOperation(operation: Operation): readonly number[] {
  const shapes = [...operation.results, ...operation.operands].map((value) => shapeOf(value.type));
  return operation.results.length > 0 ? shapes[0]! : shapes.reduce((a, b) => (b.length > a.length ? b : a), []);
}
