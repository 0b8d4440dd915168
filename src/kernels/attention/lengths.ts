/**
 * @file What lengths of sequences must be: checked at the call where they are numbers of the host, and by kernels where only the device knows them and the
 * caller asks for it (`validate`). Attention itself stays within its tensors whatever they hold.
 */
import { kernel, tl } from "../../dsl/index.ts";
import type { ArgumentChecker } from "../support/arguments.ts";
import { type GivenIntegers, type Integers, integersOf } from "../support/integers.ts";

/** Integers that the host has checked, if it knows them. */
export interface Checked<Values> extends GivenIntegers<Values> {
  /** Enqueues the check of those that only the device knows. */
  validate(): void;
}

const BLOCK = 128;

const countsKernel = (name: string) =>
  kernel({
    name: "check_lengths",
    params: { lengths: tl.tensor("i32", 1), most: tl.scalar("i32") },
    grid: (p) => [tl.cdiv(p.lengths.shape(0), BLOCK)],
    body(p) {
      // Beyond the last one 0 is read.
      const length = p.lengths.load([tl.programId(0).mul(BLOCK)], [BLOCK]);
      tl.assert(length.ge(0).and(length.le(p.most)), `"${name}" must be from 0 to the number of keys there are`);
    },
  });

const startsKernel = (name: string) =>
  kernel({
    name: "check_starts",
    params: { starts: tl.tensor("i32", 1), rows: tl.scalar("i32") },
    grid: (p) => [tl.cdiv(p.starts.shape(0), BLOCK)],
    body(p) {
      const first = tl.programId(0).mul(BLOCK);
      const index = tl.arange(0, BLOCK).add(first);
      const last = p.starts.shape(0).sub(1);
      const start = p.starts.load([first], [BLOCK]);
      const next = tl.where(index.lt(last), p.starts.load([first.add(1)], [BLOCK]), p.rows);
      tl.assert(index.ne(0).or(start.eq(0)), `"${name}" must begin with 0`);
      tl.assert(index.gt(last).or(start.le(next)), `"${name}" must not fall, nor end beyond the packed rows`);
    },
  });

/** By the name of the argument, which the error says. */
const countsKernels = { keyLengths: countsKernel("keyLengths"), contextLengths: countsKernel("contextLengths") };
const startsKernels = {
  "cumulativeLengths.queries": startsKernel("cumulativeLengths.queries"),
  "cumulativeLengths.keys": startsKernel("cumulativeLengths.keys"),
};

/** Numbers of keys, from 0 to `most`. @throws ArgumentError */
export function countsOf(
  check: ArgumentChecker,
  name: keyof typeof countsKernels,
  given: Integers,
  axis: string,
  most: number,
): Checked<Int32Array> {
  const counts = integersOf(check, name, given, axis, (count, i) => {
    if (count < 0 || count > most)
      check.fail("ARGUMENT_VALUE", `"${name}[${i}]" is ${count}, but must be from 0 to ${most}`);
  });
  return {
    ...counts,
    validate() {
      if (counts.values === undefined && counts.tensor.size > 0)
        check.device.launch(countsKernels[name], { lengths: counts.tensor, most });
    },
  };
}

/** Where packed sequences begin, and the last one ends: rising from 0 to at most `rows`. @throws ArgumentError */
export function startsOf(
  check: ArgumentChecker,
  name: keyof typeof startsKernels,
  given: Integers,
  axis: string,
  rows: number,
): Checked<Int32Array> {
  const starts = integersOf(check, name, given, axis, (start, i, all) => {
    const wrong = (why: string) => check.fail("ARGUMENT_VALUE", `"${name}[${i}]" is ${start}, but ${why}`);
    if (i === 0 && start !== 0) wrong("must be 0");
    if (i > 0 && start < all[i - 1]!) wrong(`must not be below the ${all[i - 1]} before it`);
    if (start > rows) wrong(`there are ${rows} rows`);
  });
  if (check.size(axis) < 1) check.fail("ARGUMENT_SHAPE", `"${name}" is empty; it must begin with 0`);
  return {
    ...starts,
    validate() {
      if (starts.values === undefined) check.device.launch(startsKernels[name], { starts: starts.tensor, rows });
    },
  };
}
