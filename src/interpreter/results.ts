/**
 * @file The check of float results: a NaN whose operands hold no NaN, an infinity whose operands are all finite. Results are scanned
 * after every operation that can make one; operands are looked at only where something is found.
 */
import { isFloat, type Opcode, type Operation, shapeOf } from "../ir/index.ts";
import type { TileArray } from "./arrays.ts";
import type { Machine } from "./machine.ts";
import type { OperationContext, Step } from "./operation.ts";
import { linesOf } from "./reductions.ts";

/** Operations that can make a NaN of numbers. */
const makesNan: ReadonlySet<Opcode> = new Set<Opcode>([
  "add",
  "sub",
  "mul",
  "div",
  "rem",
  "fma",
  "sqrt",
  "rsqrt",
  "log",
  "log2",
  "sin",
  "cos",
  "dot",
  "reduce",
  "scan",
]);
/** Operations that can make an infinity of finite numbers by overflow or division by zero. */
const makesInfinity: ReadonlySet<Opcode> = new Set<Opcode>([
  "add",
  "sub",
  "mul",
  "div",
  "fma",
  "rsqrt",
  "reciprocal",
  "exp",
  "exp2",
  "cast",
  "dot",
  "reduce",
  "scan",
]);

/** Whether every operand element that the result's element depends on satisfies `holds`. */
function operandsSatisfy(
  operation: Operation,
  operands: readonly TileArray[],
  element: number,
  holds: (value: number) => boolean,
): boolean {
  const line = (x: TileArray, start: number, stride: number, extent: number): boolean => {
    for (let i = 0; i < extent; i++) if (!holds(x[start + i * stride] as number)) return false;
    return true;
  };
  const shape = shapeOf(operation.operands[0]!.type);
  if (operation.opcode === "dot") {
    const [inner, columns] = shapeOf(operation.operands[1]!.type) as [number, number];
    const [row, column] = [Math.floor(element / columns), element % columns];
    const [a, b, accumulator] = operands;
    return line(a!, row * inner, 1, inner) && line(b!, column, columns, inner) && line(accumulator!, element, 1, 1);
  }
  if (operation.opcode === "reduce" || operation.opcode === "scan") {
    const { extent, inner } = linesOf(shape, operation.attributes.axis as number);
    const outer = Math.floor(element / (operation.opcode === "scan" ? extent * inner : inner));
    return line(operands[0]!, outer * extent * inner + (element % inner), inner, extent);
  }
  return operands.every((x) => holds(Number(x[element])));
}

const isNumber = (value: number): boolean => !Number.isNaN(value);

/** The step that checks an operation's result, or undefined where nothing can be found. */
export function resultCheck({ operation, operands, machine, result }: OperationContext): Step | undefined {
  const type = operation.results[0]?.type;
  if (type?.kind !== "tile" || !isFloat(type.dtype)) return undefined;
  const { nan, infinity } = machine.checks;
  const findNan = nan !== false && makesNan.has(operation.opcode);
  const findInfinity = infinity && makesInfinity.has(operation.opcode);
  if (!findNan && !findInfinity) return undefined;
  const out = result() as Float32Array;

  const examine = (i: number): void => {
    const value = out[i]!;
    if (Number.isNaN(value)) {
      if (findNan && operandsSatisfy(operation, operands, i, isNumber)) reportNan(machine, operation, operands, i);
    } else if (findInfinity && operandsSatisfy(operation, operands, i, Number.isFinite))
      machine.fail("INFINITY_FROM_FINITE", operation, i, `gives ${value} for finite operands${shown(operands, i)}`);
  };
  if (findInfinity)
    return () => {
      for (let i = 0; i < out.length; i++) if (!Number.isFinite(out[i]!)) examine(i);
    };
  return () => {
    for (let i = 0; i < out.length; i++) if (Number.isNaN(out[i])) examine(i);
  };
}

/** The operands of an elementwise operation, for a message. */
const shown = (operands: readonly TileArray[], element: number): string =>
  operands.every((x) => x.length > element && x.length === operands[0]!.length)
    ? ` (${operands.map((x) => x[element]).join(", ")})`
    : "";

function reportNan(machine: Machine, operation: Operation, operands: readonly TileArray[], element: number): void {
  if (machine.checks.nan === "produced")
    machine.fail(
      "NAN_FROM_FINITE",
      operation,
      element,
      `gives NaN for operands without NaN${shown(operands, element)}: choose the operand by tl.where, or if a later tl.where discards the NaN, open the device with checks: { nan: "stored" }`,
    );
  machine.firstNan ??= machine.describe(operation, element);
}

/**
 * With checks.nan "stored": reports a NaN among the stored elements (those whose index in memory is not negative or NaN) when one has
 * arisen in this program.
 */
export function checkStoredNan(machine: Machine, operation: Operation, value: TileArray, elements: Float64Array): void {
  if (machine.firstNan === undefined || !(value instanceof Float32Array)) return;
  const stored = value.findIndex((x, i) => Number.isNaN(x) && elements[i]! >= 0);
  if (stored < 0) return;
  const what = `stores NaN; one first arose from operands without NaN in ${machine.firstNan}`;
  machine.fail("NAN_FROM_FINITE", operation, stored, what);
}
