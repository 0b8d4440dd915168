/**
 * @file PTX text to tokens. A name keeps its dots (`ld.global.v4.f32`, `%tid.x`); of directives each is a word (`.reg.b32` is `.reg` and `.b32`).
 */
import { PtxError } from "../errors.ts";

export interface Token {
  readonly kind: "word" | "integer" | "float32" | "float64" | "string" | "mark" | "end";
  readonly text: string;
  /** From 1. */
  readonly line: number;
  /** Place in the text, in characters. */
  readonly start: number;
  readonly end: number;
}

const pattern =
  /(?<space>\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)|(?<word>\.[\w$]+(?:::[\w$]+)*|%?[A-Za-z_$][\w$]*(?:(?:\.|::)[\w$]+)*|%\w+)|(?<float32>0[fF][0-9a-fA-F]{8})|(?<float64>0[dD][0-9a-fA-F]{16}|\d+\.\d*(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)|(?<integer>(?:0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)U?)|(?<string>"(?:\\.|[^"\\])*")|(?<mark>[{}()[\],;:@!|+\-=<>*~])/y;

const kinds = ["word", "float32", "float64", "integer", "string", "mark"] as const;

export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  pattern.lastIndex = 0;
  for (let start = 0; start < text.length; start = pattern.lastIndex) {
    const match = pattern.exec(text);
    if (!match) {
      if (text[start] === "\0") break;
      throw new PtxError("PTX_SYNTAX", line, `unexpected character ${JSON.stringify(text[start])}`);
    }
    const [whole] = match;
    const groups = match.groups!;
    if (groups.space === undefined) {
      const kind = kinds.find((name) => groups[name] !== undefined)!;
      tokens.push({ kind, text: whole, line, start, end: start + whole.length });
    } else for (let i = 0; i < whole.length; i++) if (whole.charCodeAt(i) === 10) line++;
  }
  tokens.push({ kind: "end", text: "the end", line, start: text.length, end: text.length });
  return tokens;
}

/** The value of an integer token. */
export function integerOf(token: Token): bigint {
  const digits = token.text.replace(/U$/, "");
  return BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
}
