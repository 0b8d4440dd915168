/**
 * @file The text of the instruction tree. Labels start with `$`; indentation follows the nesting.
 */
import type { Guard, Instruction, Node, Operand } from "./instruction.ts";

const hex = (bits: number, digits: number): string => (bits >>> 0).toString(16).toUpperCase().padStart(digits, "0");

export function printOperand(operand: Operand): string {
  if (typeof operand !== "object") return operand.toString();
  switch (operand.kind) {
    case "register":
    case "symbol":
      return operand.name;
    case "float":
      return `0f${hex(operand.bits, 8)}`;
    case "buffer":
      return operand.buffer.offset.toString();
    case "vector":
      return `{${printList(operand.elements)}}`;
    case "address": {
      const base = typeof operand.base === "string" ? operand.base : operand.base.name;
      const offset = operand.offset + (operand.buffer?.offset ?? 0);
      return offset === 0 ? `[${base}]` : `[${base}+${offset}]`;
    }
  }
}

const printGuard = ({ predicate, negated }: Guard): string => `@${negated ? "!" : ""}${predicate.name} `;

export function printInstruction({ opcode, operands, guard }: Instruction): string {
  const head = guard ? printGuard(guard) + opcode : opcode;
  // A call's operands have parentheses of their own; they come as one symbol.
  return operands.length === 0 ? `${head};` : `${head} ${printList(operands)};`;
}

function printList(operands: readonly Operand[]): string {
  let text = "";
  for (let i = 0; i < operands.length; i++) {
    const operand = operands[i]!;
    if (i > 0) text += ", ";
    text += typeof operand === "object" && operand.kind === "register" ? operand.name : printOperand(operand);
  }
  return text;
}

export interface PrintOptions {
  /** The number of a source file in `.file`. */
  fileNumber(file: string): number;
}

export function printNodes(nodes: readonly Node[], options: PrintOptions, lines: string[], indent = "  "): void {
  for (const node of nodes) {
    switch (node.kind) {
      case "instruction":
        lines.push(indent + printInstruction(node));
        break;
      case "comment":
        lines.push(`${indent}// ${node.text}`);
        break;
      case "line": {
        const name = node.file.slice(node.file.lastIndexOf("/") + 1);
        lines.push(
          `${indent}.loc ${options.fileNumber(node.file)} ${node.line} ${node.column} // ${name}:${node.line}`,
        );
        break;
      }
      case "loop": {
        if (node.enter) lines.push(`${indent}${printGuard(inverse(node.enter))}bra.uni ${node.label}_end;`);
        lines.push(`${node.label}:`);
        printNodes(node.body, options, lines, `${indent}  `);
        lines.push(`${indent}  ${printGuard(node.repeat)}bra.uni ${node.label};`);
        if (node.enter) lines.push(`${node.label}_end:`);
        break;
      }
      case "if": {
        const other = node.whenFalse.length > 0;
        const branch = node.divergent ? "bra" : "bra.uni";
        lines.push(`${indent}${printGuard(inverse(node.condition))}${branch} ${node.label}_${other ? "else" : "end"};`);
        printNodes(node.whenTrue, options, lines, `${indent}  `);
        if (other) {
          lines.push(`${indent}  bra.uni ${node.label}_end;`, `${node.label}_else:`);
          printNodes(node.whenFalse, options, lines, `${indent}  `);
        }
        lines.push(`${node.label}_end:`);
        break;
      }
    }
  }
}

const inverse = ({ predicate, negated }: Guard): Guard => ({ predicate, negated: !negated });
