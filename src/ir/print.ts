/**
 * @file The text form of Tile IR: one line an operation, driven by the op table, and such that `parseKernel` gives the same kernel
 * back. Grammar, with `{...}` for attributes and `at "file":line:column` only when locations are asked for:
 *
 *     kernel name(%q: view<f16, 4> {alignment = 16}, %scale: f32)
 *       grid ("ceilDiv(q.shape.2, 64)", "q.shape.1", "1")
 *       constants {BLOCK_M = 64}
 *       hints {numWarps = 4}
 *     {
 *       %0 = constant -inf : tile<64xf32>
 *       %acc = dot %a, %b, %c {precision = "ieee"} : tile<64x64xf32>
 *       %m = loop %n = %from to %to step %step with (%m#1 = %0) {
 *         yield %max
 *       }
 *       %r = if %condition {
 *         yield %x
 *       } else {
 *         yield %y
 *       }
 *     }
 *
 * A value is called by the author's name (quoted where it is not an identifier), by `name#2` where the name is taken, or by a
 * number. The attributes `shape` and `dtype`, wherever the table has them, are those of the result: its type says them.
 */
import type { Attribute, Block, Kernel, Location, Operation, Value } from "./ir.ts";
import { typeToString } from "./types.ts";

export interface PrintOptions {
  /** Ends each operation with the author's file, line and column. */
  readonly locations?: boolean;
}

/** Attributes that the result type spells out. */
export const attributesInType: readonly string[] = ["shape", "dtype"];

/** `inf` alone would read as a number. */
const isIdentifier = (name: string): boolean => /^[A-Za-z_]\w*$/.test(name) && name !== "inf";
const quoteUnlessIdentifier = (name: string): string => (isIdentifier(name) ? name : JSON.stringify(name));

/** Gives every value its text name: `%acc`, `%acc#1`, `%3`. */
class ValueNames {
  readonly all = new Map<Value, string>();
  readonly #taken = new Map<string, number>();
  #unnamed = 0;

  define(value: Value, name = value.name): string {
    let text: string;
    if (name === undefined) text = `%${this.#unnamed++}`;
    else {
      const uses = this.#taken.get(name) ?? 0;
      this.#taken.set(name, uses + 1);
      text = `%${quoteUnlessIdentifier(name)}${uses > 0 ? `#${uses}` : ""}`;
    }
    this.all.set(value, text);
    return text;
  }

  /** `%?` marks a value that is used where it is not defined: a broken kernel must still print, to be looked at. */
  of(value: Value): string {
    return this.all.get(value) ?? `%?${value.name ?? ""}`;
  }

  list(values: readonly Value[]): string {
    return values.map((value) => this.of(value)).join(", ");
  }
}

/** The text of an attribute's value: `-inf`, `nan`, `-0`, `5n`, `"text"`, `[1, 2]`. */
export function attributeToString(value: Attribute): string {
  if (Array.isArray(value)) return `[${value.map(attributeToString).join(", ")}]`;
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "number") return String(value);
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  return Object.is(value, -0) ? "-0" : String(value);
}

function record(entries: Readonly<Record<string, Attribute | undefined>>, hidden: readonly string[] = []): string {
  const parts = Object.entries(entries)
    .filter(([key, value]) => value !== undefined && !hidden.includes(key))
    .map(([key, value]) => `${quoteUnlessIdentifier(key)} = ${attributeToString(value!)}`);
  return parts.length === 0 ? "" : `{${parts.join(", ")}}`;
}

const at = (location: Location | undefined): string =>
  location ? ` at ${JSON.stringify(location.file)}:${location.line}:${location.column}` : "";

/** The text form of a kernel; `parseKernel` reads it back. */
export const printKernel = (kernel: Kernel, options: PrintOptions = {}): string =>
  print(kernel, new ValueNames(), options);

/** What the text form calls each value, as `%acc`. */
export function nameValues(kernel: Kernel): ReadonlyMap<Value, string> {
  const names = new ValueNames();
  print(kernel, names, {});
  return names.all;
}

function print(kernel: Kernel, names: ValueNames, options: PrintOptions): string {
  const lines: string[] = [];
  const parameters = kernel.parameters.map((parameter, i) => {
    const value = kernel.body.parameters[i]!;
    const facts = record({ ...parameter.facts });
    return `${names.define(value, parameter.name)}: ${typeToString(value.type)}${facts && ` ${facts}`}`;
  });
  lines.push(`kernel ${quoteUnlessIdentifier(kernel.name)}(${parameters.join(", ")})`);
  if (kernel.grid) lines.push(`  grid (${kernel.grid.map((expression) => JSON.stringify(expression)).join(", ")})`);
  const constants = record(kernel.constants);
  if (constants) lines.push(`  constants ${constants}`);
  const hints = record({ ...kernel.hints });
  if (hints) lines.push(`  hints ${hints}`);
  lines.push("{");

  const location = (operation: Operation): string => (options.locations ? at(operation.location) : "");
  const printBlock = (block: Block, indent: string): void => {
    for (const operation of block.operations) printOperation(operation, indent);
  };
  const printOperation = (operation: Operation, indent: string): void => {
    const operands = names.list(operation.operands);
    const results = operation.results.map((value) => names.define(value)).join(", ");
    const start = indent + (results && `${results} = `);
    if (operation.opcode === "loop") {
      const [from, to, step, ...initial] = operation.operands.map((value) => names.of(value));
      const [induction, ...carried] = operation.blocks[0]!.parameters.map((value) => names.define(value));
      const state = carried.map((name, i) => `${name} = ${initial[i]}`).join(", ");
      lines.push(
        `${start}loop ${induction} = ${from} to ${to} step ${step}${state && ` with (${state})`}${location(operation)} {`,
      );
      printBlock(operation.blocks[0]!, `${indent}  `);
      lines.push(`${indent}}`);
    } else if (operation.opcode === "if") {
      lines.push(`${start}if ${operands}${location(operation)} {`);
      printBlock(operation.blocks[0]!, `${indent}  `);
      lines.push(`${indent}} else {`);
      printBlock(operation.blocks[1]!, `${indent}  `);
      lines.push(`${indent}}`);
    } else {
      const inline = operation.opcode === "constant" ? attributeToString(operation.attributes.value!) : operands;
      const hidden = operation.opcode === "constant" ? [...attributesInType, "value"] : attributesInType;
      const attributes = record(operation.attributes, hidden);
      const types = operation.results.map((value) => typeToString(value.type)).join(", ");
      const parts = [operation.opcode, inline, attributes, types && `: ${types}`].filter((part) => part !== "");
      lines.push(start + parts.join(" ") + location(operation));
    }
  };
  printBlock(kernel.body, "  ");
  lines.push("}");
  return `${lines.join("\n")}\n`;
}
