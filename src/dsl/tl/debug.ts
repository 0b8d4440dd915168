/**
 * @file `tl`: looking into a running kernel.
 */
import { shapeOf } from "../../ir/index.ts";
import { broadcastShape, broadcastTo } from "../operands.ts";
import { type Tile, tileValue } from "../tile.ts";
import { emitOperation, fail } from "../trace-context.ts";
import type { DTypeLike, Shape } from "../types.ts";

/** Prints, for each program, the prefix, the program's ids and the values; tiles element by element, broadcast to one shape. */
export function print(prefix: string, ...values: readonly Tile<DTypeLike, Shape>[]): void {
  if (typeof prefix !== "string") fail("PRINT", 'the first argument of print must be text: tl.print("row", row)');
  const operands = values.map((value, i) => tileValue(value, `value ${i + 1} of print`));
  const shape = operands.reduce<Shape>((common, { type }) => broadcastShape(common, shapeOf(type), "print"), []);
  emitOperation(
    "print",
    operands.map((operand) => broadcastTo(operand, shape, "print")),
    { prefix },
  );
}

/** Reports `message` with the program's ids and the element where the condition is false. */
export function assert(condition: Tile<"bool", Shape>, message: string): void {
  if (typeof condition === "boolean")
    fail("CONDITION", "the condition of tl.assert is known while tracing: use tl.staticAssert");
  emitOperation("assert", [tileValue(condition, "the condition of assert")], { message });
}

/** Stops the tracing with `message` if the condition, known while compiling, is false. For limits on constants. */
export function staticAssert(condition: boolean, message: string): void {
  if (condition === true) return;
  if (condition !== false)
    fail("CONDITION", "the condition of tl.staticAssert must be known while tracing: use tl.assert");
  fail("STATIC_ASSERT", message);
}
