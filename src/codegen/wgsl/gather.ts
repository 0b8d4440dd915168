/**
 * @file gather: elements of a tile by indices that are only known at run time, by way of workgroup memory, in parts where the tile is larger than
 * that.
 */
import { type Operation, shapeOf } from "../../ir/index.ts";
import { exchangeThrough } from "./exchange.ts";
import { literal } from "./expression.ts";
import type { Generator } from "./generator.ts";

export function emitGather(generator: Generator, operation: Operation): void {
  const [source, indices] = operation.operands;
  generator.groups.ready([indices!]);
  exchangeThrough(generator, operation, (index) =>
    shapeOf(source!.type).reduce((sum, extent, axis) => {
      const along =
        axis === operation.attributes.axis
          ? generator.elements.of(indices!, index)
          : generator.elements.coordinate(index, axis);
      return sum.times(extent).plus(along);
    }, literal(0)),
  );
}
