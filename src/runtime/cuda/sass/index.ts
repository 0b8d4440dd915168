/**
 * @file `runtime/cuda/sass`: reads NVIDIA machine code (SASS of sm_70 to sm_89) without NVIDIA's disassembler: a cubin's kernels with their
 * registers and frames, instructions by opcode, natural loops, and what a turn of each loop consists of, by class and by source line. Plain arithmetic on bytes;
 * imports only `support`.
 */
export { type Cubin, type CubinKernel, readCubin } from "./cubin.ts";
export { decodeInstructions, type SassInstruction } from "./instruction.ts";
export { type LineRow, readLineTable } from "./lines.ts";
export { analyzeCubin, type InstructionMix, type KernelCode, type LineMix, type LoopMix } from "./mix.ts";
export { classDescriptions, type InstructionClass, instructionClasses } from "./opcodes.ts";
