/**
 * @file Whether an index is known to be a multiple of a power of two: what a vector load needs of the position where it starts.
 */
import { isInteger, type Operation, type Value } from "../../ir/index.ts";
import { terminator } from "../access.ts";

/** The largest factor that is of interest. */
const enough = 1 << 16;

/** A power of two that divides every element of an integer value, as far as can be seen. */
function divisor(value: Value, assumed: ReadonlyMap<Value, number>): number {
  const known = assumed.get(value);
  if (known !== undefined) return known;
  const operation = value.definition;
  if (!operation) return 1;
  const of = (operand: Value | undefined): number => (operand ? divisor(operand, assumed) : 1);
  const [a, b] = operation.operands;
  switch (operation.opcode) {
    case "constant":
      return powerIn(Number(operation.attributes.value));
    case "multiple_of":
      return Math.max(of(a), powerIn(operation.attributes.divisor as number));
    case "add":
    case "sub":
    case "min":
    case "max":
    case "rem":
      return Math.min(of(a), of(b));
    case "mul":
      return Math.min(of(a) * of(b), enough);
    case "shl":
      return b?.definition?.opcode === "constant"
        ? Math.min(of(a) * 2 ** Number(b.definition.attributes.value), enough)
        : of(a);
    case "select":
      return Math.min(of(b), of(operation.operands[2]));
    case "cast":
      return isInteger(a!.type.dtype) ? of(a) : 1;
    case "neg":
    case "splat":
    case "broadcast":
    case "expand_dims":
    case "convert_layout":
      return of(a);
    case "loop":
      return carriedDivisor(operation, operation.results.indexOf(value), assumed);
    default:
      return 1;
  }
}

function carriedDivisor(loop: Operation, at: number, assumed: ReadonlyMap<Value, number>): number {
  const body = loop.blocks[0]!;
  const initial = divisor(loop.operands[at + 3]!, assumed);
  const inside = new Map(assumed).set(body.parameters[at + 1]!, initial);
  return Math.min(initial, divisor(terminator(body).operands[at]!, inside));
}

function powerIn(value: number): number {
  if (value === 0) return enough;
  let power = 1;
  while (power < enough && value % (power * 2) === 0) power *= 2;
  return power;
}

/** Facts about block parameters that the code generator has come across: the loop variables on the way to the operation at hand. */
export class Divisors {
  readonly #known = new Map<Value, number>();

  /** On entering a loop: its variable runs from `from` in steps. */
  enterLoop(loop: Operation): void {
    const [from, , step, ...initial] = loop.operands;
    const body = loop.blocks[0]!;
    const [variable, ...carried] = body.parameters;
    this.#known.set(variable!, Math.min(this.of(from!), this.of(step!)));
    for (const [i, parameter] of carried.entries())
      if (initial[i]!.type.kind === "tile") this.#known.set(parameter, carriedDivisor(loop, i, this.#known));
  }

  of(value: Value): number {
    return divisor(value, this.#known);
  }
}
