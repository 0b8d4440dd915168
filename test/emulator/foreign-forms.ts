/**
 * @file Which instructions, with which modifiers, kernels of nvcc hold that a test of the emulator runs. Whatever else the code generator emits
 * would be executed by nothing but its own author's idea of it.
 */
import { readdirSync } from "node:fs";
import { readFixture } from "./fixture.ts";

/** The instructions of a PTX text by opcode and modifiers, as "add.rn.f32". */
export function formsIn(ptx: string): Set<string> {
  const pieces = ptx.replaceAll(/\/\/.*/g, "").split(/[\n;{}]/);
  return new Set(
    pieces.flatMap((piece) => /^\s*(?:@!?%\w+\s+)?([a-z][a-z0-9]*(?:\.[\w:]+)*)\b/.exec(piece)?.[1] ?? []),
  );
}

/** Names of the files with PTX of nvcc, without endings. */
export const fixtureNames: readonly string[] = readdirSync(new URL("./fixtures/", import.meta.url))
  .filter((file) => file.endsWith(".ptx"))
  .map((file) => file.slice(0, -".ptx".length));

const foreign = new Set(fixtureNames.flatMap((name) => [...formsIn(readFixture(name))]));

/** Throws of the instructions of a PTX text that no fixture holds. */
export function requireForeignForms(ptx: string): void {
  const own = [...formsIn(ptx)].filter((form) => !foreign.has(form));
  if (own.length > 0)
    throw new Error(`no kernel of nvcc in test/emulator/fixtures holds ${own.join(", ")}: add them there, with a test`);
}
