/**
 * @file A checkpoint: the tensors of `model.safetensors`, or of the shards that `model.safetensors.index.json` lists. All headers
 * are read and checked when it is opened, and each tensor's data only when it is asked for.
 */
import { CheckpointError } from "../../support/errors.ts";
import { describe, isRecord } from "../../support/json.ts";
import { type ModelFiles, readText } from "./byte-source.ts";
import { openSafetensors, readTensorBytes, type SafetensorsEntry, type SafetensorsFile } from "./safetensors.ts";

const singleFile = "model.safetensors";
const indexFile = "model.safetensors.index.json";

/** The stored bits of one tensor, and how to read them. `f16` and `bf16` are 16-bit patterns. */
export type StoredFloats =
  | { readonly dtype: "f32"; readonly data: Float32Array<ArrayBuffer> }
  | { readonly dtype: "f16" | "bf16"; readonly data: Uint16Array<ArrayBuffer> };

/** The tensors of one model. Close it when the weights have been read. */
export class Checkpoint {
  readonly location: string;
  readonly #files: readonly SafetensorsFile[];
  readonly #fileOf: ReadonlyMap<string, SafetensorsFile>;

  constructor(location: string, files: readonly SafetensorsFile[], fileOf: ReadonlyMap<string, SafetensorsFile>) {
    this.location = location;
    this.#files = files;
    this.#fileOf = fileOf;
  }

  names(): string[] {
    return [...this.#fileOf.keys()];
  }

  has(name: string): boolean {
    return this.#fileOf.has(name);
  }

  /** Name, dtype, shape and place of a tensor. Throws `CheckpointError` (`TENSOR_MISSING`). */
  entry(name: string): SafetensorsEntry {
    return this.#file(name).entries.get(name)!;
  }

  /** The name of the file that holds the tensor. */
  fileName(name: string): string {
    return this.#file(name).source.name;
  }

  /** The stored bytes, row-major and little-endian, of any dtype of the format. */
  readBytes(name: string): Promise<Uint8Array> {
    return readTensorBytes(this.#file(name), this.entry(name));
  }

  /** The stored bits of a floating-point tensor. Throws `CheckpointError` (`DTYPE_UNSUPPORTED`) unless it is F32, F16 or BF16. */
  async readFloats(name: string): Promise<StoredFloats> {
    const { dtype } = this.entry(name);
    if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16") {
      throw new CheckpointError(
        "DTYPE_UNSUPPORTED",
        `${this.fileName(name)}: tensor "${name}" is stored as ${dtype}; weights are read from F32, F16 and BF16. Convert the checkpoint.`,
      );
    }
    const bytes = await this.readBytes(name);
    // The file may place a tensor at an odd byte; typed arrays need alignment (and are little-endian wherever WebGPU or Node runs).
    const aligned = bytes.byteOffset % 4 === 0 && bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes);
    const buffer = aligned.buffer as ArrayBuffer;
    return dtype === "F32"
      ? { dtype: "f32", data: new Float32Array(buffer, aligned.byteOffset, aligned.length / 4) }
      : {
          dtype: dtype === "F16" ? "f16" : "bf16",
          data: new Uint16Array(buffer, aligned.byteOffset, aligned.length / 2),
        };
  }

  async close(): Promise<void> {
    await closeAll(this.#files);
  }

  #file(name: string): SafetensorsFile {
    const file = this.#fileOf.get(name);
    if (file) return file;
    throw new CheckpointError(
      "TENSOR_MISSING",
      `${this.location}: the checkpoint has no tensor "${name}" (it has ${this.#fileOf.size} others). Fetch all of its files, or check its config.json.`,
    );
  }
}

/** Opens the checkpoint of `files`: `model.safetensors` if there is one, else the shards of `model.safetensors.index.json`. */
export async function openCheckpoint(files: ModelFiles): Promise<Checkpoint> {
  const present = await files.list();
  if (present.includes(singleFile)) {
    const [file] = await openAll(files, [singleFile]);
    return new Checkpoint(files.location, [file!], new Map([...file!.entries.keys()].map((name) => [name, file!])));
  }
  if (present.includes(indexFile)) return openShards(files);
  const others = present.filter((name) => /\.(bin|pt|pth|gguf|safetensors)$/.test(name));
  throw new CheckpointError(
    "FILE_MISSING",
    `${files.location}: neither ${singleFile} nor ${indexFile}${others.length > 0 ? ` (it holds ${others.join(", ")})` : ""}. ` +
      "Fetch the safetensors files of the model, or convert its weights to that format.",
  );
}

async function openShards(files: ModelFiles): Promise<Checkpoint> {
  const shardOf = parseIndex(await readText(files, indexFile), `${files.location}: ${indexFile}`);
  const shards = await openAll(files, [...new Set(shardOf.values())]);
  try {
    const byName = new Map([...new Set(shardOf.values())].map((name, position) => [name, shards[position]!]));
    const fileOf = new Map<string, SafetensorsFile>();
    for (const [tensor, shard] of shardOf) {
      const file = byName.get(shard)!;
      if (!file.entries.has(tensor)) {
        throw mismatch(`${files.location}: ${indexFile} places tensor "${tensor}" in ${shard}, which does not hold it`);
      }
      fileOf.set(tensor, file);
    }
    for (const file of shards) {
      for (const tensor of file.entries.keys()) {
        if (fileOf.get(tensor) === file) continue;
        const listed = shardOf.get(tensor);
        const claim = listed === undefined ? "does not list" : `places in ${listed}`;
        throw mismatch(`${file.source.name}: holds tensor "${tensor}", which ${indexFile} ${claim}`);
      }
    }
    return new Checkpoint(files.location, shards, fileOf);
  } catch (error) {
    await closeAll(shards);
    throw error;
  }
}

/** Tensor name → shard's file name. */
function parseIndex(text: string, place: string): Map<string, string> {
  let index: unknown;
  try {
    index = JSON.parse(text);
  } catch (cause) {
    throw malformedIndex(`${place} is not JSON (${cause instanceof Error ? cause.message : cause})`, cause);
  }
  const weightMap = isRecord(index) ? index.weight_map : undefined;
  if (!isRecord(weightMap)) throw malformedIndex(`${place} has no object "weight_map"`);
  const shardOf = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(weightMap)) {
    // A plain name: an index must not reach files outside its own directory.
    if (typeof shard !== "string" || !/^[^/\\]+\.safetensors$/.test(shard)) {
      throw malformedIndex(
        `${place} places tensor "${tensor}" in ${describe(shard)}, not in a file name ending in .safetensors`,
      );
    }
    shardOf.set(tensor, shard);
  }
  return shardOf;
}

async function openAll(files: ModelFiles, names: readonly string[]): Promise<SafetensorsFile[]> {
  const opened: SafetensorsFile[] = [];
  try {
    for (const name of names) {
      const source = await files.open(name);
      try {
        opened.push(await openSafetensors(source));
      } catch (error) {
        await source.close?.();
        throw error;
      }
    }
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
  return opened;
}

async function closeAll(files: readonly SafetensorsFile[]): Promise<void> {
  for (const { source } of files) await source.close?.();
}

const mismatch = (problem: string) =>
  new CheckpointError(
    "INDEX_MISMATCH",
    `${problem}. Index and shards come from different saves: fetch all of them again.`,
  );

const malformedIndex = (problem: string, cause?: unknown) =>
  new CheckpointError("INDEX_MALFORMED", `${problem}. Fetch the file again.`, { cause });
