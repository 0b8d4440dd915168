/**
 * @file What tiles, pointers and views have in common: a handle on one IR value, which JavaScript's operators must not touch. TypeScript has no
 * operator overloading, so `a + b` on handles would silently make text; here it throws and names the method.
 */
import { shapeOf, type Value } from "../ir/index.ts";
import { describeValue, fail, nameValue } from "./trace-context.ts";

/** The methods that stand for operators, as the error names them. */
const operatorHelp: Record<string, string> = {
  number: "`a < b`, `a * b`, `-a` are a.lt(b), a.mul(b), a.neg()",
  default: "`a + b` is a.add(b), `a == b` is a.eq(b)",
  string:
    "a value is known only when the kernel runs: use tl.print, or p.q.dtype and shape, which are known while tracing",
};

/** A handle on a value of the kernel being traced. */
export abstract class Handle {
  /** The IR value. For tools; kernels do not need it. */
  readonly value: Value;

  constructor(value: Value) {
    this.value = value;
  }

  /** Gives the value a name that generated code and messages keep, unless it has one. Returns the same handle. */
  named(name: string): this {
    nameValue(this.value, name);
    return this;
  }

  /** What `console.log` shows while tracing: the type, not the graph behind it. (A name that Node and Deno look for.) */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `${this.constructor.name} ${describeValue(this.value)}`;
  }

  /** Throws `OPERATOR`: JavaScript's operators and templates do not work on values of a kernel. */
  [Symbol.toPrimitive](hint: string): never {
    return fail(
      "OPERATOR",
      `${describeValue(this.value)} cannot be used with a JavaScript operator or in text: ${operatorHelp[hint] ?? operatorHelp.default}`,
    );
  }
}

/** The extents of a handle's value. */
export const handleShape = (handle: Handle): readonly number[] => shapeOf(handle.value.type);

/** What an argument is, for messages about arguments of the wrong kind. */
export const describeArgument = (argument: unknown): string =>
  argument instanceof Handle
    ? describeValue(argument.value)
    : argument === null
      ? "null"
      : `a JavaScript ${typeof argument}`;
