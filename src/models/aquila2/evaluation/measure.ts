/**
 * @file What measures over context lengths have in common: their options and the checks of them, and the walk over every scheme, length and
 * context, with its progress.
 */
import { ArgumentError } from "../../../support/errors.ts";
import { type NamesOf, refuseUnknownNames } from "../../../support/names.ts";
import type { Aquila2 } from "../model.ts";
import type { NamedPositions } from "../position-text.ts";
import type { PositionOptions } from "../positions.ts";

/** Options of every measure. */
export interface MeasureOptions {
  /** The tokens of a text that the model has not seen. */
  readonly ids: readonly number[];
  readonly schemes: readonly NamedPositions[];
  /** Called before each context and at the end. */
  readonly onProgress?: (progress: MeasureProgress) => void;
  /** Ends the evaluation with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of measures against context length. */
export interface LengthOptions extends MeasureOptions {
  /** Context lengths in tokens. */
  readonly lengths: readonly number[];
  /** Where contexts start in `ids`. */
  readonly starts?: readonly number[];
}

export interface MeasureProgress {
  /** Work done, as a part of 1; what a context costs is taken to grow with its length. */
  readonly done: number;
  /** Of the context that comes; empty at the end. */
  readonly scheme: string;
  /** Of the context that comes, in tokens; 0 at the end. */
  readonly length: number;
}

/** What `run` gave for each context, [lengths][contexts]. */
export interface SchemeResults<T> {
  readonly scheme: string;
  readonly results: readonly (readonly T[])[];
}

/** Runs each context of each length under each scheme. */
export async function overLengths<C, T>(
  model: Aquila2,
  { lengths, schemes, onProgress, signal }: Omit<LengthOptions, "ids">,
  contexts: readonly C[],
  run: (context: C, length: number, positions: PositionOptions) => Promise<T>,
): Promise<SchemeResults<T>[]> {
  const total = schemes.length * contexts.length * lengths.reduce((sum, length) => sum + length, 0);
  let done = 0;
  const rows: SchemeResults<T>[] = [];
  for (const scheme of schemes) {
    const results: T[][] = [];
    for (const length of lengths) {
      const positions = scheme.positions(model.config.rope, length);
      const ofLength: T[] = [];
      for (const context of contexts) {
        signal?.throwIfAborted();
        onProgress?.({ done: done / total, scheme: scheme.name, length });
        ofLength.push(await run(context, length, positions));
        done += length;
      }
      results.push(ofLength);
    }
    rows.push({ scheme: scheme.name, results });
  }
  onProgress?.({ done: 1, scheme: "", length: 0 });
  return rows;
}

export const measureOptionNames = {
  ids: true,
  schemes: true,
  onProgress: true,
  signal: true,
} as const satisfies NamesOf<MeasureOptions>;
export const lengthOptionNames = {
  ...measureOptionNames,
  lengths: true,
  starts: true,
} as const satisfies NamesOf<LengthOptions>;

/** Checks of options; every failure but that of names is an ArgumentError `EVALUATION` that names the function. */
export class OptionChecker {
  readonly #function: string;

  constructor(name: string) {
    this.#function = name;
  }

  fail(message: string): never {
    throw new ArgumentError("EVALUATION", `${this.#function}: ${message}.`);
  }

  /** @throws ArgumentError `ARGUMENT_UNKNOWN`. */
  names<A extends object>(options: A, names: NamesOf<A>): void {
    refuseUnknownNames(this.#function, options, names);
  }

  integer(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): void {
    if (isInteger(value, least, most)) return;
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    this.fail(`${name} is ${value}; accepted: an integer ${range}`);
  }

  /** At least one integer, none below `least`, which is `why`. */
  integers(name: string, values: readonly number[], least: number, why = ""): void {
    if (values.length > 0 && values.every((value) => isInteger(value, least))) return;
    this.fail(`${name} are [${values.join(", ")}]; accepted: one or more integers of at least ${least}${why}`);
  }

  schemes(schemes: readonly NamedPositions[]): void {
    if (schemes.length === 0) this.fail("there are no schemes; give at least one");
  }

  /** Whether contexts of all lengths from all starts, and `more` tokens after them, lie within a text of `tokens`. */
  text(tokens: number, lengths: readonly number[], starts: readonly number[], more: number): void {
    const [length, start] = [Math.max(...lengths), Math.max(...starts)];
    const needed = start + length + more;
    if (needed <= tokens) return;
    const after = more === 0 ? "needs" : "and the token after it need";
    this.fail(
      `the text has ${tokens} tokens, but a context of ${length} from token ${start} on ${after} ${needed}; give a longer text, or smaller lengths or starts`,
    );
  }
}

const isInteger = (value: number, least: number, most = Number.MAX_SAFE_INTEGER): boolean =>
  Number.isSafeInteger(value) && value >= least && value <= most;
