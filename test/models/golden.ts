/** @file The fixture's golden values (see its README): made by an independent implementation in f64. */
import { readFile } from "node:fs/promises";
import { byteSourceOf } from "../../src/models/aquila2/byte-source.ts";
import { openSafetensors, readTensorBytes } from "../../src/models/aquila2/safetensors.ts";
import { fixtureDirectory } from "./files.ts";

export interface GoldenLogits {
  ids: number[];
  /** [ids.length, vocabSize], f64 stored as f32. */
  logits: Float32Array;
}

export interface GoldenGeneration {
  prompt: string;
  prompt_ids: number[];
  greedy_ids: number[];
  greedy_text: string;
  /** The smallest difference between the two best logits on the way. */
  smallest_top2_margin: number;
}

export interface GoldenTokenization {
  text: string;
  ids: number[];
}

/** The ids and logits of every golden prompt. */
export async function goldenLogits(): Promise<GoldenLogits[]> {
  const bytes = await readFile(new URL("golden_logits.safetensors", fixtureDirectory));
  const file = await openSafetensors(byteSourceOf("golden_logits.safetensors", bytes));
  const read = async (name: string) => new Uint8Array(await readTensorBytes(file, file.entries.get(name)!)).buffer;
  const prompts = [...file.entries.keys()].filter((name) => name.startsWith("ids.")).length;
  return Promise.all(
    Array.from({ length: prompts }, async (_, prompt) => ({
      ids: [...new Int32Array(await read(`ids.${prompt}`))],
      logits: new Float32Array(await read(`logits.${prompt}`)),
    })),
  );
}

/** golden.json: greedy continuations, and texts with their ids. */
export async function goldenTexts(): Promise<{ generation: GoldenGeneration[]; tokenizer: GoldenTokenization[] }> {
  return JSON.parse(await readFile(new URL("golden.json", fixtureDirectory), "utf8"));
}
