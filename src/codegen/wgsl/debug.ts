/**
 * @file `tl.print` and `tl.assert`: records appended to a debug buffer, which the runtime reads back (see `DebugOutput` of the metadata).
 */
import { type DType, isFloat, locationToString, type Operation, shapeOf, type TileType } from "../../ir/index.ts";
import type { DebugOutput } from "../metadata.ts";
import { toWord } from "./arena.ts";
import { type Expr, literal, not } from "./expression.ts";
import type { Generator } from "./generator.ts";
import type { Root } from "./groups.ts";
import type { TileIndex } from "./tile-index.ts";

/** Capacity of the debug buffer: a megabyte. */
const debugWords = 1 << 18;

export class DebugSites {
  readonly #sites: DebugOutput["sites"][number][] = [];

  add(operation: Operation): number {
    const print = operation.opcode === "print";
    const guide = operation.operands.find(({ type }) => shapeOf(type).length > 0) ?? operation.operands[0];
    this.#sites.push({
      kind: print ? "print" : "assert",
      message: operation.attributes[print ? "prefix" : "message"] as string,
      location: locationToString(operation.location),
      dtypes: print ? operation.operands.map(({ type }) => type.dtype) : [],
      shape: guide ? shapeOf(guide.type) : [],
    });
    return this.#sites.length - 1;
  }

  get output(): DebugOutput | undefined {
    return this.#sites.length > 0 ? { words: debugWords, sites: this.#sites } : undefined;
  }
}

/** Writes one record an element (of an assert: an element that is false). */
export function debugRoot(generator: Generator, operation: Operation): Root {
  const { operands, opcode } = operation;
  const guide = operands.find(({ type }) => shapeOf(type).length > 0) ?? operands[0];
  const distribution = generator.distribution(guide!);
  const site = generator.debugSites.add(operation);
  return {
    distribution,
    operation,
    location: operation.location,
    inputs: operands,
    body(index) {
      const { writer } = generator;
      const values = operands.map((operand) =>
        shapeOf(operand.type).length === 0 ? generator.elements.scalar(operand) : generator.elements.of(operand, index),
      );
      const words =
        opcode === "assert"
          ? []
          : values.flatMap((value, i) => wordsOf(generator, value, operands[i]!.type as TileType));
      const record = (): void => writeRecord(generator, site, linearElement(generator, index), words);
      const failed = opcode === "assert" ? not(values[0]!) : undefined;
      writer.when([generator.invocation.firstCopy(distribution), failed], record);
    },
  };
}

function writeRecord(generator: Generator, site: number, element: Expr, values: readonly string[]): void {
  const { writer } = generator;
  const debug = generator.bindings.debug();
  const programs = [0, 1, 2].map((axis) => `bitcast<u32>(${generator.invocation.program(axis)})`);
  const words = [`${site}u`, ...programs, `u32(${element})`, ...values];
  const start = writer.names.unique("record");
  writer.line(`let ${start} = 1u + atomicAdd(&${debug}[0], ${words.length}u);`);
  writer.nest(`if (${start} + ${words.length}u <= arrayLength(&${debug}))`, () => {
    for (const [i, word] of words.entries()) writer.line(`atomicStore(&${debug}[${start} + ${i}u], ${word});`);
  });
}

/** The row-major number of the element that an index stands for. */
export function linearElement(generator: Generator, index: TileIndex): Expr {
  const shape = index.distribution!.shape;
  let result = literal(0);
  for (const [axis, extent] of shape.entries())
    result = result.times(extent).plus(generator.elements.coordinate(index, axis));
  return result;
}

/** The bits of a value as the words of a record. */
function wordsOf(generator: Generator, value: Expr, type: TileType): readonly string[] {
  const dtype: DType = type.dtype;
  if (dtype === "i64") {
    const words = generator.writer.bind("words", value);
    return [`${words}.x`, `${words}.y`];
  }
  if (isFloat(dtype) && dtype !== "f32")
    return [`${generator.library.use(`${dtype as "f16" | "bf16"}_bits`)}(${value})`];
  return [toWord(value, type)];
}
