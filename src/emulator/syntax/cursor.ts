/**
 * @file A place in a list of tokens, with the small steps that a recursive-descent parser takes.
 */
import { PtxError } from "../errors.ts";
import { integerOf, type Token, tokenize } from "./lexer.ts";

export class Cursor {
  readonly text: string;
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(text: string) {
    this.text = text;
    this.#tokens = tokenize(text);
  }

  get token(): Token {
    return this.#tokens[this.#next]!;
  }

  peek(distance: number): Token {
    return this.#tokens[Math.min(this.#next + distance, this.#tokens.length - 1)]!;
  }

  take(): Token {
    const { token } = this;
    if (token.kind !== "end") this.#next++;
    return token;
  }

  /** Whether the next token is this mark or word. */
  at(text: string): boolean {
    return this.token.text === text && this.token.kind !== "string";
  }

  accept(text: string): boolean {
    if (!this.at(text)) return false;
    this.#next++;
    return true;
  }

  expect(text: string): Token {
    if (!this.at(text)) this.fail(`${JSON.stringify(text)} expected, found ${JSON.stringify(this.token.text)}`);
    return this.take();
  }

  word(what: string): string {
    if (this.token.kind !== "word") this.fail(`${what} expected, found ${JSON.stringify(this.token.text)}`);
    return this.take().text;
  }

  /** An integer expression: numbers with signs, sums and products, as far as PTX files use them. */
  integer(): bigint {
    let value = this.#factor();
    for (;;) {
      if (this.accept("+")) value += this.#factor();
      else if (this.at("-")) value += this.#factor();
      else if (this.accept("*")) value *= this.#factor();
      else return value;
    }
  }

  #factor(): bigint {
    if (this.accept("-")) return -this.#factor();
    if (this.accept("+")) return this.#factor();
    if (this.accept("~")) return ~this.#factor();
    if (this.accept("(")) {
      const value = this.integer();
      this.expect(")");
      return value;
    }
    if (this.accept("WARP_SZ")) return 32n;
    if (this.token.kind !== "integer") this.fail(`an integer expected, found ${JSON.stringify(this.token.text)}`);
    return integerOf(this.take());
  }

  fail(message: string): never {
    throw new PtxError("PTX_SYNTAX", this.token.line, message);
  }
}
