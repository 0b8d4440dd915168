/**
 * @file A WGSL expression while the code is being put together: its text, how tightly it binds, the depth of the innermost scope whose
 * names it uses (0 for constants), and its value where that is an integer known to the compiler. Arithmetic on indices folds here, so
 * that addresses come out as a person would write them. Indices are `i32`.
 */

/** How tightly the outermost operator binds; WGSL's grammar wants parentheses wherever these do not nest. */
export const precedence = { and: 1, relational: 2, other: 3, shift: 4, sum: 5, product: 6, unary: 7, atom: 8 } as const;

export class Expr {
  readonly text: string;
  readonly binding: number;
  /** Depth of the scope that this expression needs; it may be evaluated there or deeper. */
  readonly depth: number;
  readonly constant: number | undefined;

  constructor(text: string, depth: number, binding: number = precedence.atom, constant?: number) {
    this.text = text;
    this.depth = depth;
    this.binding = binding;
    this.constant = constant;
  }

  /** The text, in parentheses where it binds less tightly than `needed`. */
  in(needed: number): string {
    return this.binding >= needed ? this.text : `(${this.text})`;
  }

  plus(other: Expr): Expr {
    if (this.constant === 0) return other;
    if (other.constant === 0) return this;
    if (this.constant !== undefined && other.constant !== undefined) return literal(this.constant + other.constant);
    if (other.constant !== undefined && other.constant < 0)
      return binary("-", this, literal(-other.constant), precedence.sum, precedence.product);
    return binary("+", this, other, precedence.sum, precedence.product);
  }

  minus(other: Expr): Expr {
    if (other.constant !== undefined) return this.plus(literal(-other.constant));
    return binary("-", this, other, precedence.sum, precedence.product);
  }

  times(factor: number | Expr): Expr {
    const other = typeof factor === "number" ? literal(factor) : factor;
    if (this.constant !== undefined && other.constant !== undefined) return literal(this.constant * other.constant);
    if (this.constant === 0 || other.constant === 0) return literal(0);
    if (this.constant === 1) return other;
    if (other.constant === 1) return this;
    return binary("*", this, other, precedence.product, precedence.unary);
  }

  /** For an index that is not negative. */
  shiftRight(count: number): Expr {
    if (count === 0) return this;
    if (this.constant !== undefined) return literal(this.constant >> count);
    return new Expr(`${this.in(precedence.unary)} >> ${count}u`, this.depth, precedence.shift);
  }

  mask(bits: number): Expr {
    if (this.constant !== undefined || bits === 0) return literal((this.constant ?? 0) & bits);
    return new Expr(`${this.in(precedence.unary)} & ${bits}`, this.depth, precedence.other);
  }

  /** The same expression, not to be computed further out than `depth`. */
  within(depth: number): Expr {
    return this.depth >= depth ? this : new Expr(this.text, depth, this.binding, this.constant);
  }

  toString(): string {
    return this.text;
  }
}

function binary(operator: string, a: Expr, b: Expr, binding: number, rightBinding: number): Expr {
  return new Expr(`${a.in(binding)} ${operator} ${b.in(rightBinding)}`, Math.max(a.depth, b.depth), binding);
}

export const literal = (value: number): Expr =>
  new Expr(String(value), 0, value < 0 ? precedence.unary : precedence.atom, value);

/** A function call, or another form that needs no parentheses, of the given depth. */
export const atom = (text: string, depth: number): Expr => new Expr(text, depth);

export const call = (name: string, ...operands: readonly Expr[]): Expr =>
  new Expr(`${name}(${operands.map((operand) => operand.text).join(", ")})`, deepest(operands));

export const compare = (a: Expr, operator: string, b: Expr): Expr =>
  new Expr(`${a.in(precedence.sum)} ${operator} ${b.in(precedence.sum)}`, deepest([a, b]), precedence.relational);

export const prefix = (operator: string, x: Expr): Expr =>
  // Parentheses, since two signs in a row would read as another token.
  new Expr(`${operator}${x.in(precedence.atom)}`, x.depth, precedence.unary);

export const not = (condition: Expr): Expr => prefix("!", condition);

/**
 * The conjunction of conditions; undefined stands for "true". With `&`, not `&&`: the conditions are cheap and have no effects, while
 * `&&` is a branch, and a pipeline with some dozens of them takes SwiftShader 11 s to create instead of 0.2 s.
 */
export function conjunction(conditions: readonly (Expr | undefined)[]): Expr | undefined {
  const present = conditions.filter((condition) => condition !== undefined);
  if (present.length < 2) return present[0];
  const text = present.map((condition) => condition.in(precedence.unary));
  return new Expr(text.join(" & "), deepest(present), precedence.other);
}

export const deepest = (expressions: readonly Expr[]): number =>
  expressions.reduce((depth, expression) => Math.max(depth, expression.depth), 0);

/** `count` bits from bit `from` of one integer, put at bit `to` of another. */
export interface Run {
  from: number;
  to: number;
  count: number;
}

/** The integer put together from runs of bits of `source`, a non-negative integer of `bits` bits. */
export function takeBits(source: Expr, bits: number, runs: readonly Run[]): Expr {
  let result = literal(0);
  for (const { from, to, count } of runs.toReversed()) {
    const shifted = source.shiftRight(from);
    const part = from + count === bits ? shifted : shifted.mask((1 << count) - 1);
    result = result.plus(part.times(2 ** to));
  }
  return result;
}

/** Merges runs of neighbouring bits. */
export function joinRuns(runs: readonly Run[]): Run[] {
  const joined: Run[] = [];
  for (const run of runs) {
    const last = joined.at(-1);
    if (last && last.from + last.count === run.from && last.to + last.count === run.to) last.count += run.count;
    else joined.push({ ...run });
  }
  return joined;
}
