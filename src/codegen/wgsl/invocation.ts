/** @file What one invocation of the entry function knows of itself: WGSL's built-in values, each read once and only if the code uses it. */
import type { Distribution } from "./distribution.ts";
import { atom, compare, type Expr, literal, precedence } from "./expression.ts";
import type { Writer } from "./writer.ts";

export class Invocation {
  /** The parameters of the entry function, by the built-in value that each holds. */
  readonly inputs = new Map<string, string>();
  readonly #writer: Writer;

  constructor(writer: Writer) {
    this.#writer = writer;
  }

  /** The index of this thread in its workgroup. */
  get thread(): Expr {
    return this.#builtin("thread", "local_invocation_index", (input) => `i32(${input})`);
  }

  program(axis: number): Expr {
    return this.#builtin(`program_${"xyz"[axis]}`, "workgroup_id", (input) => `i32(${input}.${"xyz"[axis]})`);
  }

  programs(axis: number): Expr {
    return this.#builtin(`programs_${"xyz"[axis]}`, "num_workgroups", (input) => `i32(${input}.${"xyz"[axis]})`);
  }

  #builtin(name: string, builtin: string, convert: (input: string) => string): Expr {
    const key = `builtin ${name}`;
    const known = this.#writer.recall(key);
    if (known) return known;
    const expression = this.#writer.bind(name, atom(convert(this.input(builtin)), 0));
    this.#writer.remember(key, expression);
    return expression;
  }

  /** This thread's number in groups of `lanes` lanes that are neighbours in a subgroup. */
  subgroupLane(lanes: number): Expr {
    return this.#builtin(`lane_of_${lanes}`, "subgroup_invocation_id", (input) => `i32(${input} & ${lanes - 1}u)`);
  }

  /** The parameter of the entry function for a built-in value. */
  input(builtin: string): string {
    let name = this.inputs.get(builtin);
    if (!name) {
      name = this.#writer.names.unique(builtin);
      this.inputs.set(builtin, name);
    }
    return name;
  }

  /** The condition under which this thread, of those that hold copies of the same elements, is the one to act; undefined if it is alone. */
  firstCopy({ copies, threadBits }: Distribution): Expr | undefined {
    if (copies === 0) return undefined;
    const differing = copies === (1 << threadBits) - 1 ? this.thread : this.thread.mask(copies);
    return compare(atom(`${differing.in(precedence.unary)}`, 0), "==", literal(0));
  }
}
