/**
 * @file Light range analysis: bounds of integer values, element by element, where they follow from constants, program ids, `arange` and
 * the bounds of loops. What a loop carries is unknown; an operation that may wrap around gives no bounds.
 */
import { type Block, type DType, isInteger, type Kernel, type Operation, type Value } from "../ir/index.ts";
import { bitWidth } from "./fold.ts";

/** All elements lie in [low, high]. */
export interface Range {
  readonly low: bigint;
  readonly high: bigint;
}

export interface Ranges {
  /** Of an integer value; of others undefined. */
  of(value: Value): Range | undefined;
}

/** Everything that the dtype can hold. */
function fullRange(dtype: DType): Range {
  const width = BigInt(bitWidth(dtype));
  return dtype === "u32"
    ? { low: 0n, high: (1n << width) - 1n }
    : { low: -(1n << (width - 1n)), high: (1n << (width - 1n)) - 1n };
}

const largestI32 = (1n << 31n) - 1n;
// biome-ignore lint/complexity/useMathMinMax: Math.min takes no bigint
const smallest = (values: readonly bigint[]): bigint => values.reduce((a, b) => (b < a ? b : a));
// biome-ignore lint/complexity/useMathMinMax: Math.max takes no bigint
const largest = (values: readonly bigint[]): bigint => values.reduce((a, b) => (b > a ? b : a));
const hull = (values: readonly bigint[]): Range => ({ low: smallest(values), high: largest(values) });
const union = (a: Range, b: Range): Range => hull([a.low, a.high, b.low, b.high]);

type Transfer = (operation: Operation, operands: readonly Range[]) => Range | undefined;
const first: Transfer = (_, [x]) => x;

/** Of operations on integers only. What is missing gives the dtype's full range. */
const transfers: Readonly<Partial<Record<Operation["opcode"], Transfer>>> = {
  program_id: () => ({ low: 0n, high: largestI32 - 1n }),
  num_programs: () => ({ low: 1n, high: largestI32 }),
  view_size: () => ({ low: 0n, high: largestI32 }),
  constant: ({ attributes }) => hull([BigInt(attributes.value as number | bigint)]),
  arange: ({ attributes }) => ({
    low: BigInt(attributes.start as number),
    high: BigInt(attributes.end as number) - 1n,
  }),
  splat: first,
  broadcast: first,
  expand_dims: first,
  reshape: first,
  trans: first,
  split: first,
  multiple_of: first,
  convert_layout: first,
  cast: first,
  join: (_, [a, b]) => union(a!, b!),
  select: (_, [, a, b]) => union(a!, b!),
  reduce: ({ attributes }, [x]) => (attributes.kind === "max" || attributes.kind === "min" ? x : undefined),
  neg: (_, [x]) => hull([-x!.low, -x!.high]),
  add: (_, [a, b]) => ({ low: a!.low + b!.low, high: a!.high + b!.high }),
  sub: (_, [a, b]) => ({ low: a!.low - b!.high, high: a!.high - b!.low }),
  mul: (_, [a, b]) => hull([a!.low * b!.low, a!.low * b!.high, a!.high * b!.low, a!.high * b!.high]),
  min: (_, [a, b]) => ({ low: smallest([a!.low, b!.low]), high: smallest([a!.high, b!.high]) }),
  max: (_, [a, b]) => ({ low: largest([a!.low, b!.low]), high: largest([a!.high, b!.high]) }),
  div: (_, [a, b]) =>
    b!.low > 0n ? hull([a!.low / b!.low, a!.low / b!.high, a!.high / b!.low, a!.high / b!.high]) : undefined,
  rem: (_, [a, b]) => (a!.low >= 0n && b!.low > 0n ? { low: 0n, high: smallest([a!.high, b!.high - 1n]) } : undefined),
  and: (_, [a, b]) => {
    // A bit-wise and with a number that is not negative is neither negative nor larger.
    const bounds = [a!, b!].filter(({ low }) => low >= 0n).map(({ high }) => high);
    return bounds.length > 0 ? { low: 0n, high: smallest(bounds) } : undefined;
  },
  shr: (_, [a, b]) =>
    b!.low >= 0n && b!.high < 64n
      ? hull([a!.low >> b!.low, a!.low >> b!.high, a!.high >> b!.low, a!.high >> b!.high])
      : undefined,
};

export function analyzeRanges(kernel: Kernel): Ranges {
  const known = new Map<Value, Range>();
  const of = (value: Value): Range | undefined => {
    if (value.type.kind !== "tile" || !isInteger(value.type.dtype)) return undefined;
    return known.get(value) ?? fullRange(value.type.dtype);
  };
  const visit = (block: Block): void => {
    for (const operation of block.operations) {
      if (operation.opcode === "loop") {
        const [from, to, step] = operation.operands.map((value) => of(value));
        const low = step!.low > 0n ? from!.low : fullRange("i32").low;
        // The body runs only for i < to: a loop over nothing has no i, and may claim anything.
        known.set(operation.blocks[0]!.parameters[0]!, { low, high: largest([low, to!.high - 1n]) });
      }
      operation.blocks.forEach(visit);
      for (const result of operation.results) {
        const full = of(result);
        if (!full) continue;
        const operands = operation.operands.map((value) => of(value));
        const range = transfers[operation.opcode]?.(operation, operands as Range[]);
        if (range && range.low >= full.low && range.high <= full.high) known.set(result, range);
      }
    }
  };
  visit(kernel.body);
  return { of };
}
