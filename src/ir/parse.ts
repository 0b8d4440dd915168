/**
 * @file Reads the text form of Tile IR (see `print.ts` for its grammar) by recursive descent. Operations are made by the builder, so
 * what is read is well-typed; every error is an `IrError` whose message gives the line and column of the text.
 */
import { IrError } from "../support/errors.ts";
import { Builder, blockParameter } from "./builder.ts";
import type { Attribute, Attributes, Block, Kernel, KernelParameter, Location, Value } from "./ir.ts";
import { type Opcode, ops } from "./ops/index.ts";
import { attributesInType } from "./print.ts";
import {
  type DType,
  dtypes,
  pointerType,
  sameType,
  shapeOf,
  tileType,
  typeToString,
  type ValueType,
  viewType,
} from "./types.ts";

type TokenKind = "value" | "type" | "word" | "number" | "string" | "mark" | "end";
interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly offset: number;
}

/** How a value is called: its text name, the author's name in it (none for `%3`), and its token. */
type ValueName = readonly [text: string, name: string | undefined, token: Token];

/** A parameter of a block that is about to be read. */
interface BlockValue {
  readonly called: ValueName;
  readonly value: Value;
}
const blockValue = (called: ValueName, type: ValueType): BlockValue => ({
  called,
  value: blockParameter(type, called[1]),
});

const string = String.raw`"(?:[^"\\\n]|\\.)*"`;
const tokenPattern = new RegExp(
  [
    String.raw`(?<space>(?:\s|\/\/[^\n]*)+)`,
    String.raw`(?<value>%(?:\d+|(?:[A-Za-z_]\w*|${string})(?:#\d+)?))`,
    String.raw`(?<type>(?:tile|ptr|view)<(?:[^<>\n]|<[^<>\n]*>)*>)`,
    String.raw`(?<number>-?(?:\d+n|inf\b|(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?)))`,
    String.raw`(?<word>[A-Za-z_]\w*)`,
    `(?<string>${string})`,
    String.raw`(?<mark>[(){}[\]=,:])`,
  ].join("|"),
  "y",
);

function tokenise(text: string): Token[] {
  const tokens: Token[] = [];
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < text.length) {
    const offset = tokenPattern.lastIndex;
    const groups = tokenPattern.exec(text)?.groups;
    if (!groups) throw errorAt(text, offset, "PARSE", `unexpected character ${JSON.stringify(text[offset])}`);
    for (const kind of ["value", "type", "number", "word", "string", "mark"] as const)
      if (groups[kind] !== undefined) tokens.push({ kind, text: groups[kind], offset });
  }
  tokens.push({ kind: "end", text: "end of text", offset: text.length });
  return tokens;
}

function errorAt(text: string, offset: number, code: string, message: string): IrError {
  const before = text.slice(0, offset).split("\n");
  return new IrError(code, `line ${before.length}, column ${before.at(-1)!.length + 1}: ${message}`);
}

/** Reads a type such as `tile<64xptr<f16>>`; undefined when the text is none. */
function parseType(text: string): ValueType | undefined {
  const asDtype = (word: string): DType | undefined => dtypes.find((dtype) => dtype === word);
  const view = /^view<(\w+), *(\d+)>$/.exec(text);
  if (view) {
    const dtype = asDtype(view[1]!);
    return dtype && viewType(dtype, Number(view[2]));
  }
  const tile = /^tile<((?:\d+x)+)([^\d].*)>$/.exec(text);
  const shape = tile ? tile[1]!.slice(0, -1).split("x").map(Number) : [];
  const element = tile ? tile[2]! : text;
  const pointer = /^ptr<(\w+)>$/.exec(element);
  const dtype = asDtype(pointer ? pointer[1]! : element);
  return dtype && (pointer ? pointerType(dtype, shape) : tileType(dtype, shape));
}

/** Reads one kernel. Throws `IrError`: `PARSE` for bad syntax, the op table's own codes for what breaks its rules. */
export function parseKernel(text: string): Kernel {
  return new Parser(text).kernel();
}

class Parser {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  readonly #builder = new Builder();
  /** Values by text name; a block's own are removed at its end. */
  readonly #values = new Map<string, Value>();
  #position = 0;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = tokenise(text);
  }

  kernel(): Kernel {
    this.#expect("kernel");
    const name = this.#nameOrString();
    const parameters: KernelParameter[] = [];
    const values: Value[] = [];
    this.#expect("(");
    while (!this.#accept(")")) {
      if (parameters.length > 0) this.#expect(",");
      const called = this.#valueName();
      const [, name = ""] = called;
      if (!name) throw this.#error(called[2], "a kernel parameter needs a name");
      this.#expect(":");
      const type = this.#type();
      const value = blockParameter(type, name);
      parameters.push({ name, ...parameterKind(type), dtype: type.dtype, facts: this.#record() });
      values.push(value);
      this.#define(called, value);
    }
    let grid: Kernel["grid"] = null;
    if (this.#accept("grid")) {
      const expression = (before: string): string => {
        this.#expect(before);
        return this.#string();
      };
      grid = [expression("("), expression(","), expression(",")];
      this.#expect(")");
    }
    const constants = (this.#accept("constants") ? this.#record() : {}) as Kernel["constants"];
    const hints = (this.#accept("hints") ? this.#record() : {}) as Kernel["hints"];
    this.#expect("{");
    while (!this.#accept("}")) this.#operation();
    if (this.#peek().kind !== "end") throw this.#error(this.#peek(), "text after the end of the kernel");
    return { name, parameters, body: this.#builder.finish(values), constants, grid, hints };
  }

  // --- operations -------------------------------------------------------------------------------------------------------------

  #operation(): void {
    const results: ValueName[] = [];
    if (this.#peek().kind === "value") {
      do results.push(this.#valueName());
      while (this.#accept(","));
      this.#expect("=");
    }
    const token = this.#next("word", "an operation");
    if (!(token.text in ops)) throw this.#error(token, `there is no operation "${token.text}"`);
    const opcode = token.text as Opcode;
    const names = results.map(([, name]) => name);
    const create = (operands: readonly Value[], attributes: Attributes, location?: Location, blocks?: Block[]) => {
      try {
        return this.#builder.create(opcode, operands, attributes, { names, location, ...(blocks ? { blocks } : {}) });
      } catch (error) {
        if (error instanceof IrError) throw this.#error(token, error.message, error.code);
        throw error;
      }
    };
    const operation =
      opcode === "loop" ? this.#loop(create) : opcode === "if" ? this.#if(create) : this.#plain(opcode, create);
    if (operation.results.length !== results.length)
      throw this.#error(token, `${opcode} has ${operation.results.length} results, but ${results.length} are named`);
    for (const [i, called] of results.entries()) this.#define(called, operation.results[i]!);
  }

  #plain(opcode: Opcode, create: Create): ReturnType<Create> {
    const op = ops[opcode];
    const operands: Value[] = [];
    const inline: Record<string, Attribute> = {};
    if (opcode === "constant") inline.value = this.#attribute();
    else if (this.#peek().kind === "value") {
      do operands.push(this.#use());
      while (this.#accept(","));
    }
    const attributes: Record<string, Attribute> = { ...inline, ...this.#record() };
    const types: ValueType[] = [];
    const typesAt = this.#peek();
    if (this.#accept(":")) {
      do types.push(this.#type());
      while (this.#accept(","));
    }
    for (const name of attributesInType) {
      if (!(name in op.attributes)) continue;
      if (types.length === 0) throw this.#error(typesAt, `${opcode} needs its result type here`);
      attributes[name] = name === "shape" ? shapeOf(types[0]!) : types[0]!.dtype;
    }
    const operation = create(operands, attributes, this.#location());
    const inferred = operation.results.map((value) => value.type);
    if (inferred.length !== types.length || !inferred.every((type, i) => sameType(type, types[i]!)))
      throw this.#error(
        typesAt,
        `${opcode} gives (${inferred.map(typeToString).join(", ")}), not (${types.map(typeToString).join(", ")})`,
        "TYPE_MISMATCH",
      );
    return operation;
  }

  #loop(create: Create): ReturnType<Create> {
    const induction = this.#valueName();
    this.#expect("=");
    const from = this.#use();
    this.#expect("to");
    const to = this.#use();
    this.#expect("step");
    const step = this.#use();
    const carried: BlockValue[] = [];
    const initial: Value[] = [];
    if (this.#accept("with")) {
      this.#expect("(");
      do {
        const name = this.#valueName();
        this.#expect("=");
        const value = this.#use();
        initial.push(value);
        carried.push(blockValue(name, value.type));
      } while (this.#accept(","));
      this.#expect(")");
    }
    const location = this.#location();
    const block = this.#block([blockValue(induction, tileType("i32")), ...carried]);
    return create([from, to, step, ...initial], {}, location, [block]);
  }

  #if(create: Create): ReturnType<Create> {
    const condition = this.#use();
    const location = this.#location();
    const then = this.#block([]);
    this.#expect("else");
    return create([condition], {}, location, [then, this.#block([])]);
  }

  #block(parameters: readonly BlockValue[]): Block {
    const outer = new Set(this.#values.keys());
    for (const { called, value } of parameters) this.#define(called, value);
    this.#expect("{");
    const block = this.#builder.block(
      parameters.map(({ value }) => value),
      () => {
        while (!this.#accept("}")) this.#operation();
      },
    );
    for (const name of this.#values.keys()) if (!outer.has(name)) this.#values.delete(name);
    return block;
  }

  #location(): Location | undefined {
    if (!this.#accept("at")) return undefined;
    const file = this.#string();
    this.#expect(":");
    const line = Number(this.#next("number", "a line").text);
    this.#expect(":");
    return { file, line, column: Number(this.#next("number", "a column").text) };
  }

  // --- values, types, attributes ----------------------------------------------------------------------------------------------

  #valueName(): ValueName {
    const token = this.#next("value", "a value");
    const name = token.text.slice(1).replace(/#\d+$/, "");
    if (/^\d/.test(name)) return [token.text, undefined, token];
    return [token.text, name.startsWith('"') ? this.#unquote(token, name) : name, token];
  }

  #use(): Value {
    const token = this.#next("value", "a value");
    const value = this.#values.get(token.text);
    if (!value) throw this.#error(token, `${token.text} is not defined here`, "UNDEFINED_VALUE");
    return value;
  }

  #define([text, , token]: ValueName, value: Value): void {
    if (this.#values.has(text)) throw this.#error(token, `${text} is defined twice`);
    this.#values.set(text, value);
  }

  #type(): ValueType {
    const token = this.#peek();
    const type = parseType(token.text);
    if (!type) throw this.#error(token, `expected a type, got "${token.text}"`);
    this.#position++;
    return type;
  }

  #record(): Record<string, Attribute> {
    const entries: Record<string, Attribute> = {};
    // A block opens with `{` too, but never where a record may stand.
    if (!this.#accept("{")) return entries;
    do {
      const key = this.#nameOrString();
      this.#expect("=");
      entries[key] = this.#attribute();
    } while (this.#accept(","));
    this.#expect("}");
    return entries;
  }

  #attribute(): Attribute {
    const token = this.#peek();
    if (this.#accept("[")) {
      const items: Attribute[] = [];
      while (!this.#accept("]")) {
        if (items.length > 0) this.#expect(",");
        items.push(this.#attribute());
      }
      return items as number[] | boolean[];
    }
    this.#position++;
    if (token.kind === "string") return this.#unquote(token, token.text);
    if (token.text === "true" || token.text === "false") return token.text === "true";
    if (token.text === "nan") return Number.NaN;
    if (token.kind !== "number") throw this.#error(token, `expected a value, got "${token.text}"`);
    if (token.text.endsWith("n")) return BigInt(token.text.slice(0, -1));
    return token.text.endsWith("inf") ? (token.text === "inf" ? Infinity : -Infinity) : Number(token.text);
  }

  // --- tokens -----------------------------------------------------------------------------------------------------------------

  #peek(): Token {
    return this.#tokens[this.#position]!;
  }

  #next(kind: TokenKind, what: string): Token {
    const token = this.#peek();
    if (token.kind !== kind) throw this.#error(token, `expected ${what}, got "${token.text}"`);
    this.#position++;
    return token;
  }

  #accept(text: string): boolean {
    const token = this.#peek();
    if (token.text !== text || (token.kind !== "mark" && token.kind !== "word")) return false;
    this.#position++;
    return true;
  }

  #expect(text: string): void {
    if (!this.#accept(text)) throw this.#error(this.#peek(), `expected "${text}", got "${this.#peek().text}"`);
  }

  #string(): string {
    const token = this.#next("string", "a string");
    return this.#unquote(token, token.text);
  }

  #nameOrString(): string {
    return this.#peek().kind === "string" ? this.#string() : this.#next("word", "a name").text;
  }

  #unquote(token: Token, text: string): string {
    try {
      return JSON.parse(text) as string;
    } catch {
      throw this.#error(token, `${text} is not a JSON string`);
    }
  }

  #error(token: Token, message: string, code = "PARSE"): IrError {
    return errorAt(this.#text, token.offset, code, message);
  }
}

type Create = (
  operands: readonly Value[],
  attributes: Attributes,
  location?: Location,
  blocks?: Block[],
) => ReturnType<Builder["create"]>;

const parameterKind = (type: ValueType): Pick<KernelParameter, "kind" | "rank"> =>
  type.kind === "view"
    ? { kind: "tensor", rank: type.rank }
    : { kind: type.kind === "pointer" ? "pointer" : "scalar", rank: 0 };
