/** @file Names in objects that callers give. One that nobody knows is a typing mistake, so it is an error and never passed over. */

import { ArgumentError } from "./errors.ts";

/** All names of an object type, for a check at run time; the compiler sees to it that none is missing. */
export type NamesOf<T> = Readonly<Record<AllKeys<T> & string, true>>;
type AllKeys<T> = T extends unknown ? keyof T : never;

/** What is wrong with the names in `given`; undefined where all are known. A name whose value is undefined counts as not given. */
export function unknownName(given: object, names: Readonly<Record<string, true>>, what: string): string | undefined {
  const unknown = Object.entries(given).find(([name, value]) => value !== undefined && !Object.hasOwn(names, name));
  return unknown && `there is no ${what} "${unknown[0]}"; known are ${Object.keys(names).join(", ")}`;
}

/** That `given` has no other names than these; `where` is what was called. @throws ArgumentError `ARGUMENT_UNKNOWN`. */
export function refuseUnknownNames<A extends object>(
  where: string,
  given: A,
  names: NamesOf<A>,
  what = "option",
): void {
  const unknown = unknownName(given, names, what);
  if (unknown !== undefined) throw new ArgumentError("ARGUMENT_UNKNOWN", `${where}: ${unknown}`);
}
