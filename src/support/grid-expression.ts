/**
 * @file Grid expressions: the closed little language in which launch metadata gives the number of programs, so that any runtime can
 * evaluate it. Grammar: integers, parameter names (`q.shape.2`), `+ - *`, parentheses, `ceilDiv(a, b)`, `min(a, b)`, `max(a, b)`.
 */
import { LaunchError } from "./errors.ts";

/** Smallest integer that is at least `a / b`. */
export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);

/** The smallest power of two that is at least `n`. */
export const nextPowerOfTwo = (n: number): number => {
  let power = 1;
  while (power < n) power *= 2;
  return power;
};

const functions: Record<string, (a: number, b: number) => number> = { ceilDiv, min: Math.min, max: Math.max };

/** Evaluates `expression` over `values`. Throws `LaunchError` (`GRID_EXPRESSION`) on bad syntax or an unknown name. */
export function evaluateGridExpression(expression: string, values: Readonly<Record<string, number>>): number {
  const tokens = expression.match(/[A-Za-z_][\w.]*|\d+|\S/g) ?? [];
  let position = 0;
  const fail = (what: string): never => {
    throw new LaunchError("GRID_EXPRESSION", `grid expression "${expression}": ${what}`);
  };
  const expect = (token: string): void => {
    if (tokens[position++] !== token) fail(`expected "${token}" at token ${position}`);
  };
  const factor = (): number => {
    const token = tokens[position++];
    if (token === undefined) return fail("ends too early");
    if (/^\d+$/.test(token)) return Number(token);
    if (token === "(") {
      const value = sum();
      expect(")");
      return value;
    }
    if (token in functions) {
      expect("(");
      const a = sum();
      expect(",");
      const b = sum();
      expect(")");
      return functions[token]!(a, b);
    }
    return values[token] ?? fail(`unknown name "${token}" (known: ${Object.keys(values).join(", ")})`);
  };
  const product = (): number => {
    let value = factor();
    while (tokens[position] === "*") {
      position++;
      value *= factor();
    }
    return value;
  };
  const sum = (): number => {
    let value = product();
    while (tokens[position] === "+" || tokens[position] === "-")
      value = tokens[position++] === "+" ? value + product() : value - product();
    return value;
  };
  const value = sum();
  if (position < tokens.length) fail(`unexpected "${tokens[position]}"`);
  return value;
}
