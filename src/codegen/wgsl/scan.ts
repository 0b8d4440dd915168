/**
 * @file Scans: each thread scans what it holds of a row, then adds what the threads before it (after it, if reverse) found. Needs a layout in
 * which a thread's elements are neighbours along the axis (see policy.ts).
 */
import type { Operation, TileType } from "../../ir/index.ts";
import { combine } from "./arithmetic.ts";
import { type Expr, joinRuns, literal, takeBits } from "./expression.ts";
import type { Generator } from "./generator.ts";
import { identity } from "./reduce.ts";
import { heldIndex } from "./tile-index.ts";
import { heldType, heldWords } from "./types.ts";

export function emitScan(generator: Generator, operation: Operation): void {
  const { writer, groups, arena, library, threads } = generator;
  const { thread } = generator.invocation;
  const [operand] = operation.operands;
  const [result] = operation.results;
  const { axis, kind, reverse } = operation.attributes as { axis: number; kind: string; reverse: boolean };
  const type = operand!.type as TileType;
  const distribution = generator.distribution(operand!);
  groups.ready([operand!]);
  writer.source(operation.location);
  const storage = generator.variables.declare(result!);
  const extent = distribution.extents[axis]!;
  const owners = distribution.owners[axis]!.filter((owner) => owner >= 0);
  const start = identity(generator, kind, type).text;
  if (owners.length > 0 && distribution.registers > extent) arena.enterLoop();

  const scanRow = (at: readonly Expr[]): void => {
    const index = (i: Expr) => heldIndex(distribution, at.with(axis, reverse ? literal(extent - 1).minus(i) : i));
    const running = writer.variable("running", heldType(type), start);
    groups.loop(extent, "s", (i) => {
      const value = generator.elements.of(operand!, index(i));
      writer.line(`${running} = ${combine(kind, type, running, value, library)};`);
      writer.line(`${generator.variables.place(storage, index(i).at)} = ${running};`);
    });
    if (owners.length === 0) return;
    // The parts of the other threads, in the order of the row.
    arena.begin(threads * heldWords(type));
    arena.write(thread, running, type);
    arena.publish();
    const mask = owners.reduce((bits, owner) => bits | (1 << owner), 0);
    const runs = joinRuns(owners.map((owner, bit) => ({ from: bit, to: owner, count: 1 })));
    const back = joinRuns(owners.map((owner, bit) => ({ from: owner, to: bit, count: 1 })));
    const mine = writer.bind("part", takeBits(thread, distribution.threadBits, back));
    const first = writer.bind("first", thread.mask((threads - 1) & ~mask));
    const before = writer.variable("before", heldType(type), start);
    groups.loop(1 << owners.length, "part", (part) => {
      const partner = first.plus(takeBits(part, owners.length, runs));
      writer.nest(`if (${part} ${reverse ? ">" : "<"} ${mine})`, () =>
        writer.line(`${before} = ${combine(kind, type, before, arena.read(partner, type), library)};`),
      );
    });
    groups.loop(extent, "s", (i) => {
      const place = generator.variables.place(storage, index(i).at);
      writer.line(`${place} = ${combine(kind, type, before, place, library)};`);
    });
  };
  const nested = (at: readonly Expr[]): void => {
    if (at.length === distribution.rank) scanRow(at);
    else if (at.length === axis) nested([...at, literal(0)]);
    else groups.overAxis(distribution, at.length, (i) => nested([...at, i]));
  };
  nested([]);
  generator.variables.keep(result!, storage);
}
