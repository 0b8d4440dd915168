/**
 * @file The launch grid as the author writes it: expressions over sizes and scalars of the arguments that are evaluated at each launch, by any
 * runtime, so they become text (see support/grid-expression.ts).
 */
import { ceilDiv, TraceError } from "../support/index.ts";

/** A whole number that is known when the kernel is launched. */
export class GridExpression {
  /** The expression in the language of launch metadata: "ceilDiv(q.shape.2, 128)". */
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** a + b */
  add(other: GridOperand): GridExpression {
    return new GridExpression(`(${this.text} + ${gridText(other)})`);
  }

  /** a - b */
  sub(other: GridOperand): GridExpression {
    return new GridExpression(`(${this.text} - ${gridText(other)})`);
  }

  /** a · b */
  mul(other: GridOperand): GridExpression {
    return new GridExpression(`${this.text} * ${gridText(other)}`);
  }

  /** The smaller of the two. */
  minimum(other: GridOperand): GridExpression {
    return new GridExpression(`min(${this.text}, ${gridText(other)})`);
  }

  /** The larger of the two. */
  maximum(other: GridOperand): GridExpression {
    return new GridExpression(`max(${this.text}, ${gridText(other)})`);
  }

  /** The smallest whole number that is at least a / b. */
  cdiv(other: GridOperand): GridExpression {
    return new GridExpression(`ceilDiv(${this.text}, ${gridText(other)})`);
  }

  [Symbol.toPrimitive](): never {
    throw new TraceError(
      "OPERATOR",
      `${this.text} is known only when the kernel is launched: use .add, .sub, .mul, .minimum, .maximum and tl.cdiv, not JavaScript's operators`,
    );
  }
}

export type GridOperand = number | GridExpression;

/** The text of an operand; numbers must be whole and not negative. */
export function gridText(operand: GridOperand): string {
  if (operand instanceof GridExpression) return operand.text;
  if (!Number.isInteger(operand) || operand < 0)
    throw new TraceError(
      "GRID",
      `a grid expression works on whole numbers that are not negative, got ${String(operand)}`,
    );
  return String(operand);
}

/** `ceilDiv` of numbers or grid expressions. */
export const gridCdiv = (a: GridOperand, b: GridOperand): GridOperand =>
  typeof a === "number" && typeof b === "number"
    ? ceilDiv(a, b)
    : new GridExpression(`ceilDiv(${gridText(a)}, ${gridText(b)})`);

/** A tensor parameter while the grid is computed. */
export class GridTensor {
  readonly #name: string;
  readonly #rank: number;

  constructor(name: string, rank: number) {
    this.#name = name;
    this.#rank = rank;
  }

  /** The size along `axis`. */
  shape(axis: number): GridExpression {
    if (!Number.isInteger(axis) || axis < 0 || axis >= this.#rank)
      throw new TraceError("AXIS", `grid: axis ${axis} does not exist in "${this.#name}" of rank ${this.#rank}`);
    return new GridExpression(`${this.#name}.shape.${axis}`);
  }
}

/** The three expressions of a grid of one to three; missing ones are 1. */
export function gridStrings(grid: readonly GridOperand[], kernelName: string): readonly [string, string, string] {
  if (!Array.isArray(grid) || grid.length < 1 || grid.length > 3)
    throw new TraceError("GRID", `the grid of "${kernelName}" must be an array of one to three expressions`);
  const [x, y = 1, z = 1] = grid as readonly GridOperand[];
  return [gridText(x!), gridText(y), gridText(z)];
}
