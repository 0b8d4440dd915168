/** @file Parsers of command-line values. */
import { resolve } from "node:path";
import { InvalidArgumentError, Option } from "commander";

export function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new InvalidArgumentError("must be a positive number");
  return value;
}

export function notNegative(text: string): number {
  const value = Number(text);
  if (!(value >= 0) || !Number.isFinite(value)) throw new InvalidArgumentError("must be a number of at least 0");
  return value;
}

export function positiveInteger(text: string): number {
  const value = positive(text);
  if (!Number.isInteger(value)) throw new InvalidArgumentError("must be a whole number");
  return value;
}

/** `512,2048` */
export const positiveIntegers = (text: string): number[] => text.split(",").map(positiveInteger);

/** One of `names`. */
export const oneOf =
  <Name extends string>(names: readonly Name[]) =>
  (text: string): Name => {
    const name = names.find((known) => known === text);
    if (name === undefined) throw new InvalidArgumentError(`"${text}" is none of ${names.join(", ")}`);
    return name;
  };

/** A list of some of `names`. */
export const oneOrMoreOf =
  <Name extends string>(names: readonly Name[]) =>
  (text: string): Name[] =>
    text.split(",").map(oneOf(names));

/** Of suites that take hours: journal.ts. */
export const journalOption = (): Option =>
  new Option(
    "--journal <file>",
    "write each result here at once, and take from here what this revision has found before",
  ).argParser((file: string) => resolve(file));
