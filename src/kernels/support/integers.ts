/**
 * @file Lengths, indices and tables as operators take them: in a tensor, whose values only the device knows, or as numbers of the host, which are checked and
 * uploaded for the call.
 */
import type { Tensor } from "../../runtime/index.ts";
import type { ArgumentChecker } from "./arguments.ts";

/** Integers of 32 bits: an i32 tensor, or numbers of the host, which are checked. */
export type Integers = Tensor | Int32Array | readonly number[];

/** Rows of integers of 32 bits: an i32 tensor, or rows of the host, which may be of different lengths. */
export type IntegerRows = Tensor | readonly (Int32Array | readonly number[])[];

/** Integers on the device. */
export interface GivenIntegers<Values> {
  readonly tensor: Tensor;
  /** Where they came from the host. */
  readonly values: Values | undefined;
}

const isList = (given: unknown): given is Int32Array | readonly number[] =>
  Array.isArray(given) || given instanceof Int32Array;

function checkIntegers(check: ArgumentChecker, name: string, values: Int32Array | readonly number[]): void {
  if (values instanceof Int32Array) return;
  for (const [i, value] of values.entries()) {
    check.integer(`${name}[${i}]`, value, -(2 ** 31));
    if (value >= 2 ** 31) check.fail("ARGUMENT_VALUE", `"${name}[${i}]" is ${value}, which 32 bits do not hold`);
  }
}

/** Integers along an axis; `rule` is asked about those of the host. @throws ArgumentError as `ArgumentChecker.tensor`, and `ARGUMENT_VALUE`. */
export function integersOf(
  check: ArgumentChecker,
  name: string,
  given: Integers,
  axis: string,
  rule: (value: number, index: number, values: Int32Array) => void = () => {},
): GivenIntegers<Int32Array> {
  if (!isList(given)) return { tensor: check.tensor(name, given as Tensor, [axis], ["i32"]), values: undefined };
  checkIntegers(check, name, given);
  check.extent(name, axis, given.length);
  const values = Int32Array.from(given);
  values.forEach(rule);
  return { tensor: check.upload(values, [values.length]), values };
}

/** Rows of integers; `columns` is the length of the longest. @throws ArgumentError as `integersOf`. */
export function integerRowsOf(
  check: ArgumentChecker,
  name: string,
  given: IntegerRows,
  rows: string,
  columns: string,
): GivenIntegers<readonly (Int32Array | readonly number[])[]> {
  if (!Array.isArray(given))
    return { tensor: check.tensor(name, given as Tensor, [rows, columns], ["i32"]), values: undefined };
  for (const [i, row] of given.entries()) {
    if (!isList(row)) check.fail("ARGUMENT_VALUE", `"${name}[${i}]" must be an array of integers, got ${String(row)}`);
    checkIntegers(check, `${name}[${i}]`, row);
  }
  const longest = Math.max(1, ...given.map(({ length }) => length));
  check.extent(name, rows, given.length);
  check.extent(name, columns, longest);
  const all = new Int32Array(given.length * longest);
  for (const [i, row] of given.entries()) all.set(row, i * longest);
  return { tensor: check.upload(all, [given.length, longest]), values: given };
}
