/**
 * @file Common subexpression elimination: an operation that was computed before, in this block or an enclosing one, is not computed
 * again. Pure operations always; loads while nothing may have written in between.
 */
import {
  attributeToString,
  type Block,
  type Kernel,
  type Operation,
  ops,
  rewriteKernel,
  type Value,
} from "../ir/index.ts";
import { blockWrites, writes } from "./effects.ts";

export function eliminateCommonSubexpressions(kernel: Kernel): Kernel {
  const known = findRepeated(kernel);
  if (known.size === 0) return kernel;
  return rewriteKernel(kernel, (operation, _, { get }) => known.get(operation)?.results.map(get));
}

/** For each operation that repeats an earlier one: the earlier one. */
function findRepeated(kernel: Kernel): ReadonlyMap<Operation, Operation> {
  const repeated = new Map<Operation, Operation>();
  const numbers = new Map<Value, number>();
  /** Equal numbers: equal values. */
  const numberOf = (value: Value): number => {
    let number = numbers.get(value);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(value, number);
    }
    return number;
  };
  /** Which state of memory a load sees; every write makes a new one. */
  let states = 0;

  const key = (operation: Operation, memory: number): string => {
    const { effect, commutative } = ops[operation.opcode];
    const operands = operation.operands.map(numberOf);
    if (commutative) operands.sort((a, b) => a - b);
    let text = `${operation.opcode} ${operands.join()}${effect === "read" ? ` @${memory}` : ""}`;
    for (const name in ops[operation.opcode].attributes) text += ` ${attributeToString(operation.attributes[name]!)}`;
    return text;
  };

  const visit = (block: Block, memory: number, visible: Scope): void => {
    let state = memory;
    for (const operation of block.operations) {
      const { effect } = ops[operation.opcode];
      if (effect === "none" || effect === "read") {
        const text = key(operation, state);
        const earlier = find(visible, text);
        if (earlier) {
          repeated.set(operation, earlier);
          for (const [i, value] of operation.results.entries()) numbers.set(value, numberOf(earlier.results[i]!));
        } else visible.own.set(text, operation);
        continue;
      }
      const changes = writes(operation);
      for (const inner of operation.blocks) {
        // A loop's block also sees what its earlier rounds wrote.
        const before = operation.opcode === "loop" && blockWrites(inner) ? ++states : state;
        visit(inner, before, { own: new Map(), outer: visible });
      }
      if (changes) state = ++states;
    }
  };
  visit(kernel.body, 0, { own: new Map(), outer: undefined });
  return repeated;
}

/** What a block and those that enclose it have computed so far. */
interface Scope {
  readonly own: Map<string, Operation>;
  readonly outer: Scope | undefined;
}

function find(scope: Scope, key: string): Operation | undefined {
  for (let at: Scope | undefined = scope; at; at = at.outer) {
    const operation = at.own.get(key);
    if (operation) return operation;
  }
  return undefined;
}
