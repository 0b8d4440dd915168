/**
 * @file histogram: counters in workgroup memory, to which each thread adds its elements one by one.
 */
import type { Operation } from "../../ir/index.ts";
import { overRegisters } from "./exchange.ts";
import { compare, literal } from "./expression.ts";
import type { Generator } from "./generator.ts";
import type { TileIndex } from "./tile-index.ts";

export function emitHistogram(generator: Generator, operation: Operation): void {
  const { writer, arena, groups, invocation, elements, variables } = generator;
  const [source] = operation.operands;
  const [result] = operation.results;
  const bins = operation.attributes.bins as number;
  groups.ready([source!]);
  writer.source(operation.location);
  const counters = arena.counters();
  const wait = (): void => writer.line("workgroupBarrier();");
  // Others may still read what was counted before.
  wait();
  const bin = writer.names.unique("bin");
  writer.nest(`for (var ${bin} = ${invocation.thread}; ${bin} < ${bins}; ${bin} += ${generator.threads})`, () =>
    writer.line(`atomicStore(&${counters}[${bin}], 0u);`),
  );
  wait();
  const distribution = generator.distribution(source!);
  const body = (index: TileIndex): void => {
    const value = writer.bind("bin", elements.of(source!, index));
    // A counter that does not exist must not be named, even where it is not reached.
    if (value.constant !== undefined && (value.constant < 0 || value.constant >= bins)) return;
    const inside = [compare(value, ">=", literal(0)), compare(value, "<", literal(bins))];
    writer.when([invocation.firstCopy(distribution), ...inside], () =>
      writer.line(`atomicAdd(&${counters}[${value}], 1u);`),
    );
  };
  groups.flush(groups.add({ distribution, operation: undefined, location: undefined, inputs: [source!], body }));
  wait();
  const storage = variables.declare(result!);
  overRegisters(generator, storage.distribution, (index) => {
    const place = variables.place(storage, index.at);
    writer.line(`${place} = bitcast<i32>(atomicLoad(&${counters}[${elements.coordinate(index, 0)}]));`);
  });
  variables.keep(result!, storage);
}
