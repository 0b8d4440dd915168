/**
 * @file From machine instructions back to the author's lines: the line table that ptxas writes with `-lineinfo` (section `.debug_line`, a
 * program in the language of DWARF 2, chapter 6.2), which follows the `.loc` of the PTX.
 */

/** From this address on, until the next row, instructions are for that line. */
export interface LineRow {
  /** Bytes from the start of the kernel. */
  readonly address: number;
  readonly file: string;
  /** From 1; 0 for no line of the author's. */
  readonly line: number;
}

/** The rows of one kernel. */
interface Sequence {
  /** Where in the section the kernel's address is filled in: a relocation says of which kernel. */
  readonly addressAt: number;
  readonly rows: readonly LineRow[];
}

const standard = { copy: 1, advancePc: 2, advanceLine: 3, setFile: 4, constAddPc: 8, fixedAdvancePc: 9 };
const extended = { endSequence: 1, setAddress: 2 };

/** Reads numbers and texts one after the other. */
class Reader {
  readonly #view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.#view.byteLength;
  }

  byte(): number {
    return this.#view.getUint8(this.at++);
  }

  signedByte(): number {
    return this.#view.getInt8(this.at++);
  }

  half(): number {
    this.at += 2;
    return this.#view.getUint16(this.at - 2, true);
  }

  word(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }

  /** A number in groups of 7 bits, lowest first (LEB128). */
  variable(signed = false): number {
    let value = 0;
    let shift = 0;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      shift += 7;
      if (byte & 0x80) continue;
      return signed && byte & 0x40 ? value - 2 ** shift : value;
    }
  }

  text(): string {
    const bytes: number[] = [];
    for (let byte = this.byte(); byte !== 0; byte = this.byte()) bytes.push(byte);
    return new TextDecoder().decode(Uint8Array.from(bytes));
  }
}

/** The sequences of a `.debug_line` section. */
export function readLineTable(section: Uint8Array): Sequence[] {
  const reader = new Reader(section);
  const sequences: Sequence[] = [];
  while (reader.at < reader.length) {
    const end = reader.word() + reader.at;
    const version = reader.half();
    // Later versions begin otherwise; ptxas writes none of them.
    if (version === 2) readProgram(reader, end, sequences);
    reader.at = end;
  }
  return sequences;
}

function readProgram(reader: Reader, end: number, sequences: Sequence[]): void {
  const start = reader.word() + reader.at;
  const instructionBytes = reader.byte();
  reader.byte(); // Whether a row begins a statement, which is not asked here.
  const lineBase = reader.signedByte();
  const lineRange = reader.byte();
  const opcodeBase = reader.byte();
  const operandCounts = [0, ...Array.from({ length: opcodeBase - 1 }, () => reader.byte())];
  const files = readFiles(reader);
  reader.at = start;

  const initial = { address: 0, file: 1, line: 1 };
  let state = { ...initial };
  let addressAt = 0;
  let rows: LineRow[] = [];
  const row = (): void => {
    rows.push({ address: state.address, file: files[state.file] ?? "", line: state.line });
  };
  const advance = (adjusted: number): void => {
    state.address += Math.floor(adjusted / lineRange) * instructionBytes;
  };
  while (reader.at < end) {
    const opcode = reader.byte();
    if (opcode >= opcodeBase) {
      advance(opcode - opcodeBase);
      state.line += lineBase + ((opcode - opcodeBase) % lineRange);
      row();
    } else if (opcode === 0) {
      const next = reader.variable() + reader.at;
      const kind = reader.byte();
      if (kind === extended.setAddress) {
        addressAt = reader.at;
        state.address = reader.word();
      } else if (kind === extended.endSequence) {
        sequences.push({ addressAt, rows });
        [state, rows] = [{ ...initial }, []];
      }
      reader.at = next;
    } else if (opcode === standard.copy) row();
    else if (opcode === standard.advancePc) state.address += reader.variable() * instructionBytes;
    else if (opcode === standard.advanceLine) state.line += reader.variable(true);
    else if (opcode === standard.setFile) state.file = reader.variable();
    else if (opcode === standard.constAddPc) advance(255 - opcodeBase);
    else if (opcode === standard.fixedAdvancePc) state.address += reader.half();
    else for (let operand = 0; operand < operandCounts[opcode]!; operand++) reader.variable();
  }
}

/** The paths by number, which count from 1. */
function readFiles(reader: Reader): string[] {
  const directories = [""];
  for (let name = reader.text(); name !== ""; name = reader.text()) directories.push(name);
  const files = [""];
  for (let name = reader.text(); name !== ""; name = reader.text()) {
    const directory = directories[reader.variable()] ?? "";
    reader.variable(); // When it was changed,
    reader.variable(); // and its size.
    files.push(directory === "" ? name : `${directory}/${name}`);
  }
  return files;
}

/** The row that an instruction belongs to; undefined before the first. Rows are in the order of addresses. */
export const rowOf = (rows: readonly LineRow[], address: number): LineRow | undefined =>
  rows.findLast((row) => row.address <= address);
