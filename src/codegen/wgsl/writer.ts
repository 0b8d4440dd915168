/**
 * @file Puts the text of a function together. Open blocks form a stack of scopes; a `let` goes to the outermost scope where
 * everything that it uses exists, in front of the blocks that are still open inside. So an address that does not change in a loop is
 * computed before the loop without anyone asking for it.
 */
import type { Location } from "../../ir/index.ts";
import { atom, conjunction, type Expr, precedence } from "./expression.ts";
import type { Names } from "./names.ts";

interface Scope {
  readonly lines: string[];
  /** Values already computed in this scope, by a key of the caller's. */
  readonly computed: Map<string, Expr>;
  /** The source line that the last comment named. */
  source: string | undefined;
}

const newScope = (source?: string): Scope => ({ lines: [], computed: new Map(), source });

export class Writer {
  readonly names: Names;
  readonly #scopes: Scope[] = [newScope()];
  #conditional = 0;

  constructor(names: Names) {
    this.names = names;
  }

  /** Depth of the innermost open scope. */
  get depth(): number {
    return this.#scopes.length - 1;
  }

  /** Depth of the innermost block that is entered under a condition: what costs something is not moved out of it. */
  get conditionalDepth(): number {
    return this.#conditional;
  }

  line(text: string, depth = this.depth): void {
    this.#scopes[depth]!.lines.push(text);
  }

  /** `let name = expression`, as far out as it can stand; an expression that is a plain name or literal stays as it is. */
  bind(name: string, expression: Expr): Expr {
    if (isPlain(expression)) return expression;
    const unique = this.names.unique(name);
    this.line(`let ${unique} = ${expression.text};`, expression.depth);
    return atom(unique, expression.depth);
  }

  /** As `bind`, for what needs a name even if it is a literal. */
  bindAnew(name: string, expression: Expr): Expr {
    if (!isPlain(expression)) return this.bind(name, expression);
    if (!/^-?[\d.]/.test(expression.text)) return expression;
    const unique = this.names.unique(name);
    this.line(`let ${unique} = ${expression.text};`, expression.depth);
    return atom(unique, expression.depth);
  }

  /** As `bind`, but in the innermost scope: for what later lines change. */
  bindHere(name: string, expression: Expr): Expr {
    const unique = this.names.unique(name);
    this.line(`let ${unique} = ${expression};`);
    return atom(unique, this.depth);
  }

  /** As `bind`, for arithmetic on immutable names: what has a name already is not computed again. */
  bindIndex(name: string, expression: Expr): Expr {
    if (isPlain(expression)) return expression;
    const key = `index ${expression}`;
    const bound = this.recall(key) ?? this.bind(name, expression);
    this.remember(key, bound);
    return bound;
  }

  /** `var name: type = initial` in the innermost scope. Every variable has an initialiser: without one, Tint does not reset it in loops. */
  variable(name: string, type: string, initial: string): Expr {
    const unique = this.names.unique(name);
    this.line(`var ${unique}: ${type} = ${initial};`);
    return atom(unique, this.depth);
  }

  /** Writes `header { ... }` around what `fill` writes, and ` else { ... }` around what `otherwise` writes. */
  nest(header: string, fill: () => void, otherwise?: () => void): void {
    const inside = (write: () => void): readonly string[] => {
      const scope = newScope(this.#scopes.at(-1)!.source);
      this.#scopes.push(scope);
      write();
      this.#scopes.pop();
      return scope.lines.map((line) => `  ${line}`);
    };
    // What either block puts outside itself must come before both.
    const first = inside(fill);
    const second = otherwise && inside(otherwise);
    const { lines } = this.#scopes.at(-1)!;
    lines.push(`${header} {`.trimStart(), ...first, ...(second ? ["} else {", ...second] : []), "}");
  }

  /** Writes what `fill` writes under the conjunction of the conditions; undefined ones hold. */
  when(conditions: readonly (Expr | undefined)[], fill: () => void): void {
    const condition = conjunction(conditions);
    if (!condition) {
      fill();
      return;
    }
    const outer = this.#conditional;
    this.nest(`if (${condition})`, () => {
      this.#conditional = this.depth;
      fill();
    });
    this.#conditional = outer;
  }

  /** Says from which source line the following code comes, once. */
  source(location: Location | undefined): void {
    if (!location) return;
    const scope = this.#scopes.at(-1)!;
    const text = `${location.file.replace(/^.*[\\/]/, "")}:${location.line}`;
    if (scope.source === text) return;
    scope.source = text;
    scope.lines.push(`// ${text}`);
  }

  /** What was computed under `key` in an open scope. */
  recall(key: string): Expr | undefined {
    for (let depth = this.depth; depth >= 0; depth--) {
      const found = this.#scopes[depth]!.computed.get(key);
      if (found) return found;
    }
    return undefined;
  }

  remember(key: string, expression: Expr): void {
    this.#scopes[expression.depth]!.computed.set(key, expression);
  }

  /** The lines of the outermost scope, without values that turned out not to be needed. */
  finish(): readonly string[] {
    if (this.depth !== 0) throw new Error("a block was left open: a bug in Tilewright");
    return withoutUnused(this.#scopes[0]!.lines);
  }
}

const effects = /atomic|workgroupUniformLoad|subgroup/;
const identifier = /[A-Za-z_]\w*/g;

/** Drops each `let` that is never mentioned again, last first, so that what only it needed goes too. */
function withoutUnused(lines: readonly string[]): readonly string[] {
  const mentions = new Map<string, number>();
  const count = (line: string, by: number): void => {
    for (const [name] of line.matchAll(identifier)) mentions.set(name, (mentions.get(name) ?? 0) + by);
  };
  for (const line of lines) count(line, 1);
  const kept: string[] = [];
  for (const line of lines.toReversed()) {
    const name = /^\s*let (\w+) = /.exec(line)?.[1];
    if (name !== undefined && mentions.get(name) === 1 && !effects.test(line)) count(line, -1);
    else kept.push(line);
  }
  return kept.reverse();
}

/** A name, a literal or a component of either: repeating it costs nothing. */
export const isPlain = (expression: Expr): boolean =>
  expression.binding >= precedence.unary && /^-?[\w.]+$/.test(expression.text);
