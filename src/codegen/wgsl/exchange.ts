/**
 * @file Moving values between threads: `convert_layout`, and what gathers, by way of workgroup memory, in parts where the tile is larger than that.
 */
import { elementCount, type Operation, shapeOf } from "../../ir/index.ts";
import { linearElement } from "./debug.ts";
import type { Distribution } from "./distribution.ts";
import { compare, type Expr, literal } from "./expression.ts";
import type { Generator } from "./generator.ts";
import { heldIndex, type TileIndex } from "./tile-index.ts";
import { heldWords } from "./types.ts";

/** Runs `body` at each register of a distribution, in loops. */
export function overRegisters(
  generator: Generator,
  distribution: Distribution,
  body: (index: TileIndex) => void,
): void {
  const at: Expr[] = [];
  const nested = (axis: number): void => {
    if (axis === distribution.rank) body(heldIndex(distribution, [...at]));
    else
      generator.groups.overAxis(distribution, axis, (i) => {
        at[axis] = i;
        nested(axis + 1);
      });
  };
  nested(0);
}

/** Carries out a `convert_layout` that moves values. */
export const exchange = (generator: Generator, operation: Operation): void =>
  exchangeThrough(generator, operation, (index) => linearElement(generator, index));

/** Puts the first operand into workgroup memory; the result's element at an index is the one whose row-major number `numberOf` gives. */
export function exchangeThrough(
  generator: Generator,
  operation: Operation,
  numberOf: (index: TileIndex) => Expr,
): void {
  const { writer, arena, groups } = generator;
  const [source] = operation.operands;
  const [result] = operation.results;
  groups.ready([source!]);
  writer.source(operation.location);
  const elements = elementCount(shapeOf(source!.type));
  const words = heldWords(source!.type);
  const from = generator.distribution(source!);
  const storage = generator.variables.declare(result!);
  // A power of two, as the tile is: parts are then of one size.
  const part = Math.min(elements, 2 ** Math.floor(Math.log2(arena.capacity / words)));
  const parts = elements / part;
  for (let number = 0; number < parts; number++) {
    arena.begin(part * words);
    const within = (place: Expr, body: (slot: Expr) => void, condition?: Expr): void => {
      const element = writer.bind("element", place);
      const inPart = parts > 1 ? compare(element.shiftRight(Math.log2(part)), "==", literal(number)) : undefined;
      writer.when([condition, inPart], () => body(parts > 1 ? element.mask(part - 1) : element));
    };
    const body = (index: TileIndex): void => {
      const value = generator.elements.of(source!, index);
      within(
        linearElement(generator, index),
        (slot) => arena.write(slot, value, source!.type),
        generator.invocation.firstCopy(from),
      );
    };
    groups.flush(
      groups.add({ distribution: from, operation: undefined, location: undefined, inputs: [source!], body }),
    );
    arena.publish();
    overRegisters(generator, storage.distribution, (index) => {
      within(numberOf(index), (slot) =>
        writer.line(`${generator.variables.place(storage, index.at)} = ${arena.read(slot, result!.type)};`),
      );
    });
  }
  generator.variables.keep(result!, storage);
}
