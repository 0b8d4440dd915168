/**
 * @file Writing global memory. Elements smaller than a word are written without touching their neighbours, which other threads may be
 * writing at the same moment: by 16-bit stores where the device has them, else by atomic operations on the word.
 */
import { elementBytes, type Operation } from "../../ir/index.ts";
import type { Buffer } from "./bindings.ts";
import { atom, conjunction, type Expr } from "./expression.ts";
import type { Generator } from "./generator.ts";
import type { Root } from "./groups.ts";
import { viewAddress } from "./loads.ts";
import type { TileIndex } from "./tile-index.ts";
import { isWide } from "./wide-access.ts";

/** A `store` or `view_store` as a root. */
export function storeRoot(generator: Generator, operation: Operation): Root {
  const { operands } = operation;
  const { writer } = generator;
  const value = operands[1]!;
  const distribution = generator.distribution(value);
  const buffer = generator.bindings.of(generator.roots.of(operands[0]!));
  const word: Outgoing[] = [];
  return {
    distribution,
    operation,
    location: operation.location,
    inputs: operands,
    accesses: [{ parameter: buffer.parameter.name, kind: "write" }],
    body(index) {
      const { offset, condition } = target(generator, operation, index);
      const first = generator.invocation.firstCopy(distribution);
      const element = generator.elements.of(value, index);
      if (!index.lane || !isWide(generator, operation)) {
        writer.when([first, condition], () => storeElement(generator, buffer, offset, element));
        return;
      }
      word.push({ offset, condition, value: element });
      if (word.length * elementBytes[buffer.parameter.dtype] === 4)
        writer.when([first], () => storeWord(generator, buffer, word.splice(0)));
    },
  };
}

/** An element on its way to memory. */
interface Outgoing {
  readonly offset: Expr;
  readonly condition: Expr | undefined;
  readonly value: Expr;
}

/** Writes neighbours that fill an aligned word: at once if all are to be written, else one by one. */
function storeWord(generator: Generator, buffer: Buffer, elements: readonly Outgoing[]): void {
  const { writer } = generator;
  const width = 32 / elements.length;
  const [{ offset }] = elements as [Outgoing, ...Outgoing[]];
  const bits = elements.map(({ value }, i) => `${bitsOf(generator, buffer, value)}${i > 0 ? ` << ${i * width}u` : ""}`);
  const place = `&${buffer.name}[${offset.shiftRight(Math.log2(elements.length))}]`;
  const store = (): void => writer.line(`atomicStore(${place}, ${bits.map((part) => `(${part})`).join(" | ")});`);
  const conditions = elements.map(({ condition }) => condition);
  if (conditions.every((condition) => condition?.text === conditions[0]?.text)) writer.when([conditions[0]], store);
  else
    writer.nest(`if (${conjunction(conditions)})`, store, () => {
      for (const { offset: at, condition, value } of elements)
        writer.when([condition], () => storeElement(generator, buffer, at, value));
    });
}

/** Where the element at `index` goes, and under which condition. */
function target(
  generator: Generator,
  operation: Operation,
  index: TileIndex,
): { offset: Expr; condition: Expr | undefined } {
  if (operation.opcode === "view_store") {
    const { offset, inside } = viewAddress(generator, operation, operation.operands.slice(2), index);
    return { offset, condition: inside };
  }
  const [pointer, , mask] = operation.operands;
  const condition = mask && generator.elements.of(mask, index);
  return { offset: generator.elements.of(pointer!, index), condition };
}

/** Writes one element, given as held. */
export function storeElement(generator: Generator, buffer: Buffer, offset: Expr, value: Expr): void {
  const { writer } = generator;
  const { name, packing, parameter } = buffer;
  const { dtype } = parameter;
  if (packing === "scalar") {
    writer.line(`${name}[${offset}] = ${value};`);
    return;
  }
  if (dtype === "i32" || dtype === "u32" || dtype === "f32") {
    writer.line(`atomicStore(&${name}[${offset}], ${dtype === "f32" ? `bitcast<u32>(${value})` : value});`);
    return;
  }
  const bits = bitsOf(generator, buffer, value);
  if (packing === "half") {
    writer.line(`${name}[${offset}] = bitcast<vec2<f16>>(${bits}).x;`);
    return;
  }
  const small = dtype === "i8" || dtype === "bool";
  const at = writer.bindIndex("at", offset);
  const word = `${name}[${at.shiftRight(small ? 2 : 1)}]`;
  const shift = writer.bindIndex("shift", atom(`u32(${small ? at.mask(3).times(8) : at.mask(1).times(16)})`, at.depth));
  writer.line(`atomicAnd(&${word}, ~(${small ? "0xffu" : "0xffffu"} << ${shift}));`);
  writer.line(`atomicOr(&${word}, ${bits} << ${shift});`);
}

/** The bits of an element smaller than a word, in the low bits of one. */
function bitsOf(generator: Generator, { parameter: { dtype } }: Buffer, value: Expr): string {
  switch (dtype) {
    case "bool":
      return `u32(${value})`;
    case "i8":
      return `(bitcast<u32>(${value}) & 0xffu)`;
    default: {
      // Rounding twice would change nothing.
      const name = dtype as "f16" | "bf16";
      const rounded = value.text.startsWith(`${name}_round(`)
        ? value.text.slice(name.length + "_round".length)
        : `(${value})`;
      return `${generator.library.use(`${name}_bits`)}${rounded}`;
    }
  }
}
