/**
 * @file Reads what ptxas makes: a cubin is an ELF file with, for each kernel, a section of code (`.text.<kernel>`) and records about it
 * (`.nv.info`: registers and stack of all kernels, `.nv.info.<kernel>`: its largest block), and perhaps a line table (lines.ts).
 */
import { TilewrightError } from "../../../support/errors.ts";
import { type LineRow, readLineTable } from "./lines.ts";

export interface CubinKernel {
  readonly name: string;
  readonly code: Uint8Array;
  /** Registers of a thread. */
  readonly registers: number;
  /** Bytes of a thread's frame in local memory: spilled registers and indexed arrays. */
  readonly stackBytes: number;
  readonly staticSharedBytes: number;
  /** Threads of the largest block that it may be launched with, if it says so (`.maxntid`). */
  readonly maxThreads: number | undefined;
  /** Which of the author's lines its instructions are for; empty unless assembled with line information. */
  readonly lines: readonly LineRow[];
}

export interface Cubin {
  /** The architecture that the code is for, for example 80. */
  readonly architecture: number;
  readonly kernels: readonly CubinKernel[];
}

/** Section type of a symbol table, and bytes of a symbol. */
const SYMBOL_TABLE = 2;
const SYMBOL_BYTES = 24;
/** Bytes of an entry that says where a symbol's address is filled in. */
const RELOCATION_BYTES = 16;
/** A section whose bytes are zeros and not in the file: shared memory. */
const NO_BITS = 8;
/** Formats and attributes of the records that are read here. */
const SIZED_RECORD = 4;
const RECORD_FRAME_SIZE = 0x11;
const RECORD_REGISTERS = 0x2f;
const RECORD_MAX_THREADS = 0x05;

interface Section {
  readonly name: string;
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly link: number;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** @throws TilewrightError `NOT_A_CUBIN` for bytes that are no cubin. */
export function readCubin(bytes: Uint8Array): Cubin {
  const magic = [0x7f, 0x45, 0x4c, 0x46, 2]; // ELF of 64 bits
  if (bytes.length < 64 || !magic.every((byte, i) => bytes[i] === byte))
    throw new TilewrightError("NOT_A_CUBIN", "these bytes are not a cubin: a 64-bit ELF file, as ptxas writes it");
  try {
    return read(bytes);
  } catch (error) {
    if (error instanceof TilewrightError) throw error;
    throw new TilewrightError("NOT_A_CUBIN", `this cubin is cut off or damaged: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function read(bytes: Uint8Array): Cubin {
  const sections = readSections(bytes);
  const symbols = sections.filter(({ type }) => type === SYMBOL_TABLE).flatMap((table) => symbolNames(table, sections));
  const registers = new Map<string, number>();
  const frames = new Map<string, number>();
  for (const { name, bytes: records } of sections) {
    if (name !== ".nv.info") continue;
    for (const { attribute, words } of readRecords(records)) {
      const about = symbols[words[0] ?? -1];
      if (about === undefined) continue;
      if (attribute === RECORD_REGISTERS) registers.set(about, words[1]!);
      if (attribute === RECORD_FRAME_SIZE) frames.set(about, words[1]!);
    }
  }
  const lines = linesOf(sections, symbols);
  const kernels = sections
    .filter(({ name }) => name.startsWith(".text."))
    .map(({ name: section, bytes: code }): CubinKernel => {
      const name = section.slice(".text.".length);
      const info = sections.find((other) => other.name === `.nv.info.${name}`);
      const block = info && readRecords(info.bytes).find(({ attribute }) => attribute === RECORD_MAX_THREADS)?.words;
      return {
        name,
        code,
        registers: registers.get(name) ?? 0,
        stackBytes: frames.get(name) ?? 0,
        staticSharedBytes: sections.find((other) => other.name === `.nv.shared.${name}`)?.size ?? 0,
        maxThreads: block && block.length >= 3 ? block[0]! * block[1]! * block[2]! : undefined,
        lines: lines.get(name) ?? [],
      };
    });
  const flags = viewOf(bytes).getUint32(48, true);
  // Newer files keep the number in the second byte.
  const architecture = (flags & 0xff) >= 50 ? flags & 0xff : (flags >> 8) & 0xff;
  return { architecture, kernels };
}

/** The line table's rows by kernel: relocations name the kernel whose address each sequence starts at. */
function linesOf(sections: readonly Section[], symbols: readonly string[]): Map<string, readonly LineRow[]> {
  const bytesOf = (name: string): Uint8Array =>
    sections.find((other) => other.name === name)?.bytes ?? new Uint8Array(0);
  const relocations = viewOf(bytesOf(".rel.debug_line"));
  const names = new Map<number, string>();
  for (let at = 0; at + RELOCATION_BYTES <= relocations.byteLength; at += RELOCATION_BYTES)
    names.set(Number(relocations.getBigUint64(at, true)), symbols[relocations.getUint32(at + 12, true)] ?? "");
  const sequences = readLineTable(bytesOf(".debug_line"));
  return new Map(sequences.map(({ addressAt, rows }) => [names.get(addressAt) ?? "", rows]));
}

function readSections(bytes: Uint8Array): Section[] {
  const view = viewOf(bytes);
  const start = Number(view.getBigUint64(40, true));
  const [entryBytes, count, namesIndex] = [58, 60, 62].map((at) => view.getUint16(at, true)) as [
    number,
    number,
    number,
  ];
  const headers = Array.from({ length: count }, (_, i) => {
    const at = start + i * entryBytes;
    return {
      nameAt: view.getUint32(at, true),
      type: view.getUint32(at + 4, true),
      offset: Number(view.getBigUint64(at + 24, true)),
      size: Number(view.getBigUint64(at + 32, true)),
      link: view.getUint32(at + 40, true),
    };
  });
  const within = ({ type, offset, size }: (typeof headers)[number]): Uint8Array =>
    type === NO_BITS ? new Uint8Array(0) : bytes.subarray(offset, offset + size);
  const names = within(headers[namesIndex]!);
  return headers.map((header) => ({ ...header, name: textAt(names, header.nameAt), bytes: within(header) }));
}

const textAt = (bytes: Uint8Array, start: number): string =>
  new TextDecoder().decode(bytes.subarray(start, bytes.indexOf(0, start)));

function symbolNames({ bytes, link }: Section, sections: readonly Section[]): string[] {
  const view = viewOf(bytes);
  const names = sections[link]!.bytes;
  return Array.from({ length: Math.floor(bytes.length / SYMBOL_BYTES) }, (_, i) =>
    textAt(names, view.getUint32(i * SYMBOL_BYTES, true)),
  );
}

/** Records are a format, an attribute and either a value of two bytes or a size and so many bytes. */
function readRecords(bytes: Uint8Array): { readonly attribute: number; readonly words: readonly number[] }[] {
  const view = viewOf(bytes);
  const records: { attribute: number; words: number[] }[] = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    const attribute = bytes[at + 1]!;
    const value = view.getUint16(at + 2, true);
    const size = bytes[at] === SIZED_RECORD ? value : 0;
    const words = Array.from({ length: Math.floor(size / 4) }, (_, i) => view.getUint32(at + 4 + 4 * i, true));
    records.push({ attribute, words });
    at += 4 + Math.ceil(size / 4) * 4;
  }
  return records;
}
