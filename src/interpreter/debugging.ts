/**
 * @file print and assert. A printed line reads `name[x,y,z] prefix: values`; long axes show their first and last elements.
 */
import { type DType, shapeOf, typeToString, type ValueType } from "../ir/index.ts";
import type { TileArray } from "./arrays.ts";
import type { Machine } from "./machine.ts";
import { regionIndex } from "./memory.ts";
import type { Plan } from "./operation.ts";

/** Elements shown at each end of a long axis. */
const shownAtEnds = 3;

function elementToString(machine: Machine, kind: "tile" | "pointer", dtype: DType, value: number | bigint): string {
  if (kind === "pointer") {
    const region = machine.regions[regionIndex(Number(value))];
    return region ? `${region.name}+${Number(value) - region.base}` : "nowhere";
  }
  if (dtype === "bool") return String(value !== 0);
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
}

function valueToString(machine: Machine, type: ValueType, array: TileArray): string {
  if (type.kind === "view") {
    const numbers = Array.from(array as Float64Array).slice(1);
    return `${typeToString(type)} sizes [${numbers.slice(0, type.rank)}] strides [${numbers.slice(type.rank)}]`;
  }
  const shape = shapeOf(type);
  const show = (axis: number, start: number): string => {
    if (axis === shape.length) return elementToString(machine, type.kind, type.dtype, array[start]!);
    const extent = shape[axis]!;
    const stride = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
    const item = (i: number): string => show(axis + 1, start + i * stride);
    const range = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => item(from + i));
    const items =
      extent <= 2 * shownAtEnds + 2
        ? range(0, extent)
        : [...range(0, shownAtEnds), "...", ...range(extent - shownAtEnds, extent)];
    return `[${items.join(", ")}]`;
  };
  return show(0, 0);
}

export const print: Plan =
  ({ operation, operands, machine }) =>
  () => {
    const values = operands.map((array, i) => valueToString(machine, operation.operands[i]!.type, array));
    const prefix = operation.attributes.prefix as string;
    machine.onPrint(`${machine.kernel.name}[${machine.program.join(",")}] ${prefix}: ${values.join(", ")}`);
  };

export const assert: Plan = ({ operation, operands, machine }) => {
  const condition = operands[0] as Uint8Array;
  const message = operation.attributes.message as string;
  return () => {
    const element = condition.indexOf(0);
    if (element < 0) return;
    if (!machine.onAssert) machine.fail("ASSERT", operation, element, `assertion failed: ${message}`);
    machine.onAssert?.(`${machine.describe(operation, element)}: assertion failed: ${message}`);
  };
};
