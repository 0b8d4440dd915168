/**
 * @file Reader of one safetensors file: 8 bytes of little-endian header length, a JSON header `{ name: { dtype, shape,
 * data_offsets } }`, then the data, which the tensors must tile without hole or overlap. The header is checked completely before
 * the first tensor is read, so no later read can leave its tensor; data is read one tensor at a time.
 */
import { CheckpointError } from "../../support/errors.ts";
import { describe, isRecord } from "../../support/json.ts";
import { type ByteSource, readExactly } from "./byte-source.ts";

/** Bits of one element of every dtype that the format knows. */
const bitsOfDType = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** A dtype of the format, spelled as the format spells it. */
export type SafetensorsDType = keyof typeof bitsOfDType;

/** One tensor of a file: row-major, little-endian, at bytes `[begin, end)` of its file. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** An opened file whose header has been checked. */
export interface SafetensorsFile {
  readonly source: ByteSource;
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The format's own limit of the header (100 MB). */
const maximumHeaderLength = 100_000_000;
const prefixLength = 8;
const metadataKey = "__metadata__";

/** Opens `source`, reads and checks its header. Throws `CheckpointError` naming the file, the tensor and what to do. */
export async function openSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  const prefix = await readExactly(source, 0, prefixLength, "the header length");
  const length = new DataView(prefix.buffer, prefix.byteOffset, prefixLength).getBigUint64(0, true);
  if (length > maximumHeaderLength) {
    throw malformed(source.name, `claims a header of ${length} bytes; the format allows ${maximumHeaderLength}`);
  }
  const headerLength = Number(length);
  const header = await readExactly(source, prefixLength, headerLength, `the header of ${headerLength} bytes`);
  const dataBegin = prefixLength + headerLength;
  const { entries, metadata } = parseHeader(header, dataBegin, source);
  return { source, entries, metadata };
}

/** The stored bytes of one tensor of `file`, little-endian, row-major. */
export function readTensorBytes(file: SafetensorsFile, entry: SafetensorsEntry): Promise<Uint8Array> {
  return readExactly(file.source, entry.begin, entry.end - entry.begin, `tensor "${entry.name}"`);
}

function parseHeader(header: Uint8Array, dataBegin: number, source: ByteSource): Omit<SafetensorsFile, "source"> {
  const file = source.name;
  if (header[0] !== "{".charCodeAt(0)) throw malformed(file, "has a header that does not begin with '{'");
  let text: string;
  let parsed: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(header);
    parsed = JSON.parse(text);
  } catch (cause) {
    throw malformed(
      file,
      `has a header that is not JSON in UTF-8 (${cause instanceof Error ? cause.message : cause})`,
      cause,
    );
  }
  const duplicate = firstDuplicateKey(text);
  if (duplicate !== undefined) throw malformed(file, `has a header that holds the key "${duplicate}" twice`);

  const entries = new Map<string, SafetensorsEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(parsed as object)) {
    if (name === metadataKey) metadata = parseMetadata(value, file);
    else entries.set(name, parseEntry(name, value, dataBegin, source));
  }
  checkTiling([...entries.values()], dataBegin, source);
  return { entries, metadata };
}

function parseMetadata(value: unknown, file: string): Record<string, string> {
  if (isRecord(value) && Object.values(value).every((text) => typeof text === "string")) {
    return value as Record<string, string>;
  }
  throw malformed(file, `has a ${metadataKey} that is not an object of strings`);
}

function parseEntry(name: string, value: unknown, dataBegin: number, source: ByteSource): SafetensorsEntry {
  const fail = (problem: string): never => {
    throw malformed(source.name, `tensor "${name}" ${problem}`);
  };
  if (!isRecord(value)) return fail(`is described by ${describe(value)}, not by { dtype, shape, data_offsets }`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !Object.hasOwn(bitsOfDType, dtype)) {
    return fail(`has the unknown dtype ${describe(dtype)}; the format has ${Object.keys(bitsOfDType).join(", ")}`);
  }
  if (!isCountArray(shape)) return fail(`has the shape ${describe(shape)}, not a list of sizes`);
  if (!isCountArray(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    return fail(`has the data_offsets ${describe(offsets)}, not [begin, end] with begin <= end`);
  }
  const [begin, end] = offsets as [number, number];
  const bits = shape.reduce((product, size) => product * size, bitsOfDType[dtype as SafetensorsDType]);
  if (bits !== 8 * (end - begin)) {
    return fail(
      `is ${dtype} [${shape.join(", ")}], which takes ${bits / 8} bytes, but its data_offsets ${begin} to ${end} hold ${end - begin}`,
    );
  }
  if (dataBegin + end > source.size) {
    throw new CheckpointError(
      "FILE_TRUNCATED",
      `${source.name}: tensor "${name}" lies at data bytes ${begin} to ${end}, but the file has ${source.size - dataBegin} bytes of data. ` +
        "The file is truncated (an interrupted download or copy?): fetch it again.",
    );
  }
  return { name, dtype: dtype as SafetensorsDType, shape, begin: dataBegin + begin, end: dataBegin + end };
}

/** The tensors must follow one another from the first byte of data to the last. */
function checkTiling(entries: SafetensorsEntry[], dataBegin: number, source: ByteSource): void {
  let position = dataBegin;
  let previous = "the header";
  for (const { name, begin, end } of entries.sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < position)
      throw malformed(source.name, `tensor "${name}" overlaps ${previous} by ${position - begin} bytes`);
    if (begin > position) {
      throw malformed(
        source.name,
        `tensor "${name}" begins ${begin - position} bytes after ${previous}: a hole in the data`,
      );
    }
    position = end;
    previous = `tensor "${name}"`;
  }
  if (position !== source.size) {
    throw malformed(source.name, `has ${source.size - position} bytes after ${previous} that belong to no tensor`);
  }
}

/** `JSON.parse` silently keeps the last of two equal keys: this finds them. `text` must be valid JSON. */
function firstDuplicateKey(text: string): string | undefined {
  const open: Set<string>[] = []; // keys of the objects around the current position
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "{") open.push(new Set());
    else if (text[at] === "}") open.pop();
    else if (text[at] === '"') {
      const begin = at++;
      while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
      let next = at + 1;
      while (" \t\r\n".includes(text[next]!)) next++;
      if (text[next] !== ":") continue; // a string value
      const key = JSON.parse(text.slice(begin, at + 1)) as string;
      const keys = open.at(-1)!;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

const isCountArray = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);

function malformed(file: string, problem: string, cause?: unknown): CheckpointError {
  return new CheckpointError(
    "CHECKPOINT_MALFORMED",
    `${file}: ${problem}. The file is damaged or not a safetensors file: fetch it again, or write it anew with the tool that made it.`,
    { cause },
  );
}
