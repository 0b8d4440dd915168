/**
 * @file Text to token ids and back. Encoding is `@huggingface/tokenizers`' (loaded when a tokenizer is opened); decoding maps tokens
 * to bytes here, because a byte-level token may hold part of a character: a stream must wait for the rest of it.
 */
import { ConfigError } from "../../support/errors.ts";
import { describe, isRecord } from "../../support/json.ts";
import { refuseUnknownNames } from "../../support/names.ts";

/** Turns ids into text piece by piece; the pieces joined are `Tokenizer.decode` of all ids. */
export interface TextStream {
  /** The text that `id` completes: empty while a character is still incomplete. */
  push(id: number): string;
  /** What remains: a replacement character when the ids end inside a character, else nothing. */
  end(): string;
}

export interface DecodeOptions {
  /** Leave out special tokens such as `</s>`. Default: false. */
  readonly skipSpecialTokens?: boolean;
}

/** The part of `@huggingface/tokenizers` that is used. */
interface Encoder {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  id_to_token(id: number): string | undefined;
  token_to_id(token: string): number | undefined;
  get_added_tokens_decoder(): ReadonlyMap<number, { content: string; special: boolean }>;
}

/** A byte-level BPE tokenizer in Hugging Face's file format. */
export class Tokenizer {
  /** Token that ends a text, by `tokenizer_config.json`. */
  readonly eosTokenId: number | undefined;
  readonly bosTokenId: number | undefined;
  readonly #encoder: Encoder;

  private constructor(encoder: Encoder, settings: Record<string, unknown>) {
    this.#encoder = encoder;
    const idOf = (key: string): number | undefined => {
      const token = isRecord(settings[key]) ? settings[key].content : settings[key];
      return typeof token === "string" ? encoder.token_to_id(token) : undefined;
    };
    this.eosTokenId = idOf("eos_token");
    this.bosTokenId = idOf("bos_token");
  }

  /**
   * Reads the texts of `tokenizer.json` and `tokenizer_config.json`. Throws `ConfigError` when they are not JSON, or describe a
   * tokenizer other than byte-level BPE.
   */
  static async parse(tokenizerJson: string, tokenizerConfigJson = "{}"): Promise<Tokenizer> {
    const description = parseObject(tokenizerJson, "tokenizer.json");
    const settings = parseObject(tokenizerConfigJson, "tokenizer_config.json");
    for (const part of ["model", "decoder"] as const) {
      const accepted = part === "model" ? "BPE" : "ByteLevel";
      const type = isRecord(description[part]) ? description[part].type : description[part];
      if (type === accepted) continue;
      throw new ConfigError(
        "TOKENIZER_UNSUPPORTED",
        `tokenizer.json: the ${part} is ${describe(type)}; accepted: "${accepted}" (byte-level BPE, as Aquila2 has it).`,
      );
    }
    const library = await import("@huggingface/tokenizers");
    try {
      return new Tokenizer(new library.Tokenizer(description, settings), settings);
    } catch (cause) {
      throw new ConfigError(
        "TOKENIZER_MALFORMED",
        `tokenizer.json: ${cause instanceof Error ? cause.message : cause}. Fetch it again.`,
        { cause },
      );
    }
  }

  /** Ids of `text`, in which the special tokens' own spellings become their ids. */
  encode(text: string): number[] {
    const { ids } = this.#encoder.encode(text, { add_special_tokens: true });
    return ids.map((id) => {
      if (id !== undefined) return id;
      throw new ConfigError(
        "TOKENIZER_INCOMPLETE",
        `tokenizer.json has no token for a part of ${describe(text)}, and no unknown token.`,
      );
    });
  }

  /** Text of `ids`, exactly (spaces are not cleaned up); bytes that are not UTF-8 become U+FFFD. Throws `ConfigError` for an unknown id. */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const stream = this.stream(options);
    let text = "";
    for (const id of ids) text += stream.push(id);
    return text + stream.end();
  }

  /** A new stream of text; each keeps its own state. */
  stream(options: DecodeOptions = {}): TextStream {
    refuseUnknownNames("decode", options, { skipSpecialTokens: true });
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
    const added = this.#encoder.get_added_tokens_decoder();
    return {
      push: (id) => {
        const token = this.#encoder.id_to_token(id);
        if (token === undefined) throw new ConfigError("TOKEN_UNKNOWN", `the tokenizer has no token ${id}.`);
        const whole = added.get(id);
        if (!whole) return utf8.decode(bytesOfToken(token), { stream: true });
        if (whole.special && options.skipSpecialTokens) return "";
        return utf8.decode() + whole.content; // an added token is text itself; a character cannot span it
      },
      end: () => utf8.decode(),
    };
  }
}

/** GPT-2 spells bytes as printable characters: byte → itself where printable in Latin-1, else the next of U+0100, U+0101, ... */
const byteOfCharacter: ReadonlyMap<string, number> = (() => {
  const isPrintable = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  let next = 0x100;
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [String.fromCharCode(isPrintable(byte) ? byte : next++), byte]),
  );
})();

function bytesOfToken(token: string): Uint8Array {
  return Uint8Array.from(token, (character) => {
    const byte = byteOfCharacter.get(character);
    if (byte !== undefined) return byte;
    throw new ConfigError(
      "TOKENIZER_MALFORMED",
      `tokenizer.json: the token ${describe(token)} is not spelled in byte-level characters.`,
    );
  });
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ConfigError(
      "TOKENIZER_MALFORMED",
      `${file} is not JSON (${cause instanceof Error ? cause.message : cause}). Fetch it again.`,
      { cause },
    );
  }
  if (isRecord(value)) return value;
  throw new ConfigError("TOKENIZER_MALFORMED", `${file} holds ${describe(value)}, not an object. Fetch it again.`);
}
