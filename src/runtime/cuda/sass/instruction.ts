/**
 * @file From the bytes of a kernel to instructions: what each does, under which predicate, where it jumps. Only what an instruction mix
 * and the control flow need is decoded. The places of the bits were read off `nvdisasm -hex`, which prints text beside words.
 */
import { type InstructionClass, opcodes } from "./opcodes.ts";

/** Bytes of an instruction. */
export const INSTRUCTION_BYTES = 16;

export interface SassInstruction {
  /** Bytes from the start of the kernel. */
  readonly address: number;
  /** As nvdisasm calls it, with the shape of a product and the width of an access: "HMMA.16816", "LDS.128"; "0x1ff" for an unknown one. */
  readonly name: string;
  readonly class: InstructionClass;
  /** Whether a predicate decides if it is executed. */
  readonly predicated: boolean;
  /** Where a branch goes, in bytes from the start of the kernel; undefined for every other instruction and for computed targets. */
  readonly target: number | undefined;
  /** Floating-point operations of a warp; 0 for all but HMMA. */
  readonly flops: number;
}

const opcode = {
  hadd2: 0x030,
  hfma2Mma: 0x035,
  imad: 0x024,
  ldsm: 0x03b,
  hmma: 0x03c,
  bsync: 0x141,
  bssy: 0x145,
  callRelative: 0x144,
  branch: 0x147,
} as const;

/** Number of the register that is always 0, and of the predicate that is always true. */
const ZERO_REGISTER = 255;
const TRUE_PREDICATE = 7;

/** By bits 73 to 75 of a memory access; 32-bit accesses have no suffix. */
const accessWidths = ["U8", "S8", "U16", "S16", "", "64", "128", "U128"];
const sized = new Set(["LD", "LDG", "LDS", "LDL", "LDC", "LDGSTS", "ST", "STG", "STS", "STL"]);

/** m, n, k of HMMA by bits 75 and 78. */
const productShapes = [
  [16, 8, 8],
  [16, 8, 16],
  [16, 8, 4],
  [16, 8, 32],
] as const;

/** The four 32-bit words of an instruction, for reading fields that lie within one. */
type Words = readonly [number, number, number, number];
const field = (words: Words, first: number, bits: number): number =>
  (words[first >> 5]! >>> (first & 31)) & (2 ** bits - 1);

/** Every instruction of a kernel's code. */
export function decodeInstructions(code: Uint8Array): SassInstruction[] {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  const count = Math.floor(code.byteLength / INSTRUCTION_BYTES);
  return Array.from({ length: count }, (_, index) => {
    const address = index * INSTRUCTION_BYTES;
    const word = (i: number): number => view.getUint32(address + 4 * i, true);
    return decode(address, [word(0), word(1), word(2), word(3)]);
  });
}

function decode(address: number, words: Words): SassInstruction {
  const bits = field(words, 0, 9);
  const known = opcodes.get(bits) ?? { name: `0x${bits.toString(16)}`, class: "other" as const };
  const flops =
    bits === opcode.hmma ? 2 * productShape(words).reduce<number>((product, extent) => product * extent, 1) : 0;
  return {
    address,
    name: known.name + suffix(known.name, bits, words),
    class: classOf(known.class, bits, words),
    predicated: field(words, 12, 4) !== TRUE_PREDICATE || isConditionalBranch(bits, words),
    target: targetOf(address, bits, words),
    flops,
  };
}

const productShape = (words: Words) => productShapes[field(words, 75, 1) + 2 * field(words, 78, 1)]!;

function suffix(name: string, bits: number, words: Words): string {
  if (bits === opcode.hmma) return `.${productShape(words).join("")}${field(words, 83, 1) ? ".TF32" : ""}`;
  if (bits === opcode.ldsm) return `.${field(words, 78, 1) ? "T." : ""}${2 ** field(words, 72, 2)}`;
  if (bits === opcode.hadd2 && field(words, 78, 1)) return ".F32";
  if (isMove(bits, words) && bits === opcode.imad) return ".MOV";
  const width = sized.has(name) ? accessWidths[field(words, 73, 3)]! : "";
  return width && `.${width}`;
}

/** A sum with a product of zeros is how ptxas moves a register on the multiplier's pipe. */
function isMove(bits: number, words: Words): boolean {
  if (bits !== opcode.imad && bits !== opcode.hfma2Mma) return false;
  // The second factor lies in bits 32 to 39 unless the third operand takes their place.
  const form = field(words, 9, 3);
  if (form !== 1 && form !== 2 && form !== 3 && form !== 7) return false;
  const second = field(words, form === 1 ? 32 : 64, 8);
  return field(words, 24, 8) === ZERO_REGISTER && second === ZERO_REGISTER;
}

function classOf(kind: InstructionClass, bits: number, words: Words): InstructionClass {
  if (bits === opcode.hadd2 && field(words, 78, 1)) return "conversion";
  return isMove(bits, words) ? "move" : kind;
}

/** A branch has a second predicate besides the one that every instruction has. */
const isConditionalBranch = (bits: number, words: Words): boolean =>
  bits === opcode.branch && field(words, 87, 4) !== TRUE_PREDICATE;

/** Branches that only bring a diverged warp together again (BRA.DIV, BRA.CONV) go nowhere that counts. */
const isConvergence = (bits: number, words: Words): boolean => bits === opcode.branch && field(words, 91, 2) !== 0;

function targetOf(address: number, bits: number, words: Words): number | undefined {
  const jumps = bits === opcode.branch || bits === opcode.bssy || bits === opcode.callRelative;
  // Calls through a register, form 1, have no target here.
  if (!jumps || field(words, 9, 3) === 1 || isConvergence(bits, words)) return undefined;
  // A signed distance in bytes from bit 32 on; kernels are far smaller than 2 GiB, so the lower word is all of it.
  return address + INSTRUCTION_BYTES + (words[1] | 0);
}
