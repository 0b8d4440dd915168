/**
 * @file What a call over paged caches says of its sequences: how many keys each has, in which pages they lie and, where queries are packed, which are whose.
 * Checked as lengths.ts says.
 */
import { kernel, tl } from "../../dsl/index.ts";
import type { ArgumentChecker } from "../support/arguments.ts";
import { type GivenIntegers, type IntegerRows, type Integers, integerRowsOf } from "../support/integers.ts";
import { type Checked, countsOf, startsOf } from "./lengths.ts";
import { keysBehind, type Modified, refusePackedBias } from "./modifiers.ts";

interface SequenceArguments {
  readonly contextLengths: Integers;
  readonly blockTables: IntegerRows;
  readonly cumulativeLengths?: { readonly queries: Integers };
  readonly maxContextLength?: number;
}

export interface Sequences {
  readonly count: number;
  /** The most keys of one. */
  readonly longest: number;
  readonly contextLengths: Checked<Int32Array>;
  readonly blockTables: GivenIntegers<readonly (Int32Array | readonly number[])[]>;
  /** There where queries are packed. */
  readonly queryStarts: Checked<Int32Array> | undefined;
  /** What can be checked on the device. */
  readonly lengths: readonly Checked<unknown>[];
}

export const contextsSay = `"contextLengths" say how many keys each sequence has`;

/** Checks what is said of the sequences, where the caches and queries have bound their names; it binds B, if they have not. @throws ArgumentError */
export function sequencesOf(check: ArgumentChecker, args: SequenceArguments): Sequences {
  const blockTables = integerRowsOf(check, "blockTables", args.blockTables, "B", "columns");
  const capacity = check.size("columns") * check.size("block");
  const longest = check.integer("maxContextLength", args.maxContextLength ?? capacity);
  if (longest > capacity)
    check.fail("ARGUMENT_VALUE", `"maxContextLength" is ${longest}, but a row of "blockTables" holds ${capacity} keys`);
  const contextLengths = countsOf(check, "contextLengths", args.contextLengths, "B", longest);
  const queryStarts = args.cumulativeLengths === undefined ? undefined : packedStarts(check, args as never);
  const lengths = [contextLengths, ...(queryStarts ? [queryStarts] : [])];
  return { count: check.size("B"), longest, contextLengths, blockTables, queryStarts, lengths };
}

function packedStarts(check: ArgumentChecker, args: { readonly cumulativeLengths: { readonly queries: Integers } }) {
  refusePackedBias(check, args);
  const { queries, keys } = (args.cumulativeLengths ?? {}) as { queries: Integers; keys?: unknown };
  if (keys !== undefined)
    check.fail(
      "ARGUMENT_VALUE",
      `"cumulativeLengths.keys" is no argument of attention over paged caches: ${contextsSay}`,
    );
  check.names(args.cumulativeLengths, { queries: true }, "entry of cumulativeLengths");
  const starts = startsOf(check, "cumulativeLengths.queries", queries, "B + 1", check.size("T"));
  const [entries, sequences] = [check.size("B + 1"), check.size("B")];
  if (entries !== sequences + 1)
    check.fail(
      "ARGUMENT_SHAPE",
      `"cumulativeLengths.queries" has ${entries} entries, but must have 1 more than the ${sequences} of "contextLengths"`,
    );
  return starts;
}

const BLOCK = 128;

/** Entries for keys that a query may see must name pages. Those are the last `reach` of the context, and the first `sinkTokens`. */
const tablesKernel = kernel({
  name: "check_block_tables",
  params: {
    contextLengths: tl.tensor("i32", 1),
    blockTables: tl.tensor("i32", 2),
    pages: tl.scalar("i32"),
    pageSize: tl.scalar("i32"),
    reach: tl.scalar("i32"),
    sinkTokens: tl.scalar("i32"),
  },
  grid: (p) => [p.contextLengths.shape(0), tl.cdiv(p.blockTables.shape(1), BLOCK)],
  body(p) {
    const [sequence, first] = [tl.programId(0), tl.programId(1).mul(BLOCK)];
    const context = tl.maximum(p.contextLengths.load([sequence], []), 0);
    const column = tl.arange(0, BLOCK).add(first);
    const key = column.mul(p.pageSize);
    const seen = key.add(p.pageSize).gt(context.sub(p.reach)).or(key.lt(p.sinkTokens));
    const isRead = column.lt(p.blockTables.shape(1)).and(key.lt(context)).and(seen);
    const page = p.blockTables.at(sequence).load([first], [BLOCK]);
    tl.assert(isRead.not().or(page.ge(0).and(page.lt(p.pages))), '"blockTables" must name pages of the caches');
  },
});

/** Checks that tables name pages that are there: on the host, if that knows all, else by `validate`. @throws ArgumentError */
export function checkTables(
  check: ArgumentChecker,
  { contextLengths, blockTables, queryStarts }: Sequences,
  modified: Modified,
): Pick<Checked<unknown>, "validate"> {
  const [pages, pageSize] = [check.size("blocks"), check.size("block")];
  const reach = keysBehind(modified, check.size(queryStarts ? "T" : "M"));
  const sinkTokens = (modified.values.sinkTokens ?? 0) as number;
  const [rows, contexts] = [blockTables.values, contextLengths.values];
  if (rows === undefined || contexts === undefined)
    return {
      validate() {
        const tensors = { contextLengths: contextLengths.tensor, blockTables: blockTables.tensor };
        if (tensors.blockTables.size > 0)
          check.device.launch(tablesKernel, { ...tensors, pages, pageSize, reach, sinkTokens });
      },
    };
  for (const [b, context] of contexts.entries())
    for (let column = 0; column * pageSize < context; column++) {
      const [key, page] = [column * pageSize, rows[b]![column]];
      if (key + pageSize <= context - reach && key >= sinkTokens) continue;
      if (page === undefined)
        check.fail("ARGUMENT_VALUE", `"blockTables[${b}]" has ${rows[b]!.length} pages, too few for ${context} keys`);
      if (page < 0 || page >= pages)
        check.fail("ARGUMENT_VALUE", `"blockTables[${b}][${column}]" is ${page}, but there are ${pages} pages`);
    }
  return { validate() {} };
}
