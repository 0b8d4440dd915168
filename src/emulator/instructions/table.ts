/**
 * @file What an instruction family offers: by opcode, a function that reads the instruction and makes what is executed.
 */
import type { Flow, Operation } from "../machine/step.ts";
import type { Decoder } from "../translate/decoder.ts";

export type Translator = (decoder: Decoder) => Operation | Flow;
export type Family = Readonly<Record<string, Translator>>;
