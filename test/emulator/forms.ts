/**
 * @file Fixtures that give an instruction after the other: their sources say which, the test what each must give.
 */
import { readFileSync } from "node:fs";
import { readFixture } from "./fixture.ts";

/** The instructions in quotes in the body of kernel `entry` of `fixtures/<file>.cu`, in order. */
export function formsOf(file: string, entry: string): string[] {
  const source = readFileSync(new URL(`./fixtures/${file}.cu`, import.meta.url), "utf8");
  const start = source.indexOf(`__global__ void ${entry}(`);
  if (start < 0) throw new Error(`${file}.cu has no kernel ${entry}`);
  const body = source.slice(start, source.indexOf("\n}", start));
  return [...body.matchAll(/\b[A-Z]\w*\("([^"]+)"\)/g)].map(([, form]) => form!);
}

/** The first instruction of each piece of assembly in entry `entry` of `fixtures/<file>.ptx`, in order. */
export function assembledForms(file: string, entry: string): string[] {
  const text = readFixture(file);
  const start = text.indexOf(`.entry ${entry}(`);
  if (start < 0) throw new Error(`${file}.ptx has no entry ${entry}`);
  const body = text.slice(start, text.indexOf("\n}", start));
  return [...body.matchAll(/begin inline asm\s+(\S+)/g)].map(([, form]) => form!);
}

/** Every pair of the given values, then every third thread's: three operands of `threads` values. */
export function operandsOf<T>(edges: readonly T[], threads: number): [x: T[], y: T[], z: T[]] {
  const at = (index: number): T => edges[index % edges.length]!;
  const upTo = Array.from({ length: threads }, (_, i) => i);
  return [
    upTo.map(at),
    upTo.map((i) => at(Math.floor(i / edges.length))),
    upTo.map((i) => at(i * 7 + 3 * Math.floor(i / edges.length))),
  ];
}
