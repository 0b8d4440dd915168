/**
 * @file Reductions: each thread reduces what it holds, in the loop in which the elements arise; then, if the axis is shared out between
 * threads, they exchange their parts through workgroup memory and each combines them in the same order.
 */
import type { Operation, ReduceKind, TileType } from "../../ir/index.ts";
import { combine } from "./arithmetic.ts";
import type { Distribution } from "./distribution.ts";
import { overRegisters } from "./exchange.ts";
import { type Expr, joinRuns, literal, takeBits } from "./expression.ts";
import type { Generator } from "./generator.ts";
import type { Root } from "./groups.ts";
import { nameOf } from "./names.ts";
import { heldType, heldWords } from "./types.ts";
import type { Storage } from "./variables.ts";

const integerLimits: Readonly<Record<string, readonly [low: bigint, high: bigint]>> = {
  bool: [0n, 1n],
  i8: [-128n, 127n],
  i32: [-(2n ** 31n), 2n ** 31n - 1n],
  u32: [0n, 2n ** 32n - 1n],
  i64: [-(2n ** 63n), 2n ** 63n - 1n],
};

/** The value that changes nothing when combined. */
export function identity(generator: Generator, kind: string, { dtype }: TileType): Expr {
  const [low, high] = integerLimits[dtype] ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  const all = dtype === "u32" ? high : -1n;
  const value = { sum: 0n, product: 1n, max: low, argmax: low, min: high, argmin: high, and: all, or: 0n, xor: 0n }[
    kind
  ]!;
  const typed = dtype === "bool" ? value !== 0n : dtype === "i64" ? BigInt(value) : Number(value);
  return generator.constants.of(typed, dtype);
}

/** A `reduce` as a root; its result is kept when the group is done. */
export function reduceRoot(generator: Generator, operation: Operation): Root {
  const { attributes, operands, results } = operation;
  const [operand] = operands;
  const [result] = results;
  const kind = attributes.kind as ReduceKind;
  const axis = attributes.axis as number;
  const type = operand!.type as TileType;
  const distribution = generator.distribution(operand!);
  const { writer } = generator;
  const extreme = kind === "argmax" || kind === "argmin";
  const without = (at: readonly Expr[]): readonly Expr[] => at.filter((_, i) => i !== axis);
  let values: Storage;
  let indices: Storage | undefined;
  let running: Expr;
  let runningIndex: Expr | undefined;

  return {
    distribution,
    operation,
    location: operation.location,
    inputs: [operand!],
    innermost: axis,
    before() {
      const held = generator.distribution(result!);
      values = generator.variables.declareAs(extreme ? "extreme" : nameOf(result!), heldType(type), held);
      if (extreme) indices = generator.variables.declareAs(nameOf(result!), "i32", held);
    },
    enter() {
      running = writer.variable("running", heldType(type), identity(generator, kind, type).text);
      if (extreme) runningIndex = writer.variable("running_index", "i32", "2147483647");
    },
    body(index) {
      const element = generator.elements.of(operand!, index);
      if (runningIndex)
        takeBetter(generator, kind, type, running, runningIndex, element, generator.elements.coordinate(index, axis));
      else writer.line(`${running} = ${combine(kind, type, running, element, generator.library)};`);
    },
    leave(outer) {
      writer.line(`${generator.variables.place(values, without(outer.at))} = ${running};`);
      if (indices) writer.line(`${generator.variables.place(indices, without(outer.at))} = ${runningIndex};`);
    },
    after() {
      if (!distribution.isLocal(axis)) combineThreads(generator, { kind, type, distribution, axis, values, indices });
      generator.variables.keep(result!, indices ?? values);
    },
  };
}

/** `if element is better { running = element }`, the smaller index in case of a tie. */
function takeBetter(
  generator: Generator,
  kind: ReduceKind,
  type: TileType,
  running: Expr,
  runningIndex: Expr,
  value: Expr,
  index: Expr,
): void {
  const { writer, library } = generator;
  const better = (a: Expr, b: Expr): string => {
    const [x, y] = kind === "argmax" ? [b, a] : [a, b];
    return type.dtype === "i64" ? `${library.use("i64_less")}(${x}, ${y})` : `${x.in(4)} < ${y.in(4)}`;
  };
  const equal = type.dtype === "i64" ? `all(${value.in(4)} == ${running})` : `${value.in(4)} == ${running}`;
  writer.nest(`if (${better(value, running)} || (${equal} && ${index} < ${runningIndex}))`, () => {
    writer.line(`${running} = ${value};`);
    writer.line(`${runningIndex} = ${index};`);
  });
}

interface Partials {
  readonly kind: ReduceKind;
  readonly type: TileType;
  readonly distribution: Distribution;
  readonly axis: number;
  readonly values: Storage;
  readonly indices: Storage | undefined;
}

/** Every thread leaves its parts in workgroup memory and combines those of the threads that hold the rest of its rows. */
function combineThreads(generator: Generator, { kind, type, distribution, axis, values, indices }: Partials): void {
  const { writer, arena, threads } = generator;
  const { thread } = generator.invocation;
  const owners = distribution.owners[axis]!.filter((owner) => owner >= 0);
  const others = (1 << owners.length) - 1;
  const mask = owners.reduce((bits, owner) => bits | (1 << owner), 0);
  const words = heldWords(type) * threads;
  const indexType: TileType = { kind: "tile", dtype: "i32", shape: [] };

  if (values.distribution.registers > 1) arena.enterLoop();
  overRegisters(generator, values.distribution, (at) => {
    const value = generator.variables.place(values, at.at);
    const index = indices && generator.variables.place(indices, at.at);
    arena.begin(words + (indices ? threads : 0));
    arena.write(thread, value, type);
    if (index) arena.write(thread.plus(literal(words)), index, indexType);
    arena.publish();
    const base = writer.bind("first", thread.mask((threads - 1) & ~mask));
    const running = writer.variable("running", heldType(type), identity(generator, kind, type).text);
    const runningIndex = indices && writer.variable("running_index", "i32", "2147483647");
    generator.groups.loop(others + 1, "part", (part) => {
      const runs = owners.map((owner, bit) => ({ from: bit, to: owner, count: 1 }));
      const partner = writer.bind("partner", base.plus(takeBits(part, owners.length, joinRuns(runs))));
      const theirs = arena.read(partner, type);
      if (runningIndex) {
        const read = writer.bind("theirs", theirs);
        const theirIndex = writer.bind("their_index", arena.read(partner.plus(literal(words)), indexType));
        takeBetter(generator, kind, type, running, runningIndex, read, theirIndex);
      } else writer.line(`${running} = ${combine(kind, type, running, theirs, generator.library)};`);
    });
    writer.line(`${value} = ${running};`);
    if (index) writer.line(`${index} = ${runningIndex};`);
  });
}
