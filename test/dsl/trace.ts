/** Tracing and running bodies in one line, and finding the line that a test marked. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { type BodyParameters, kernel, tl } from "../../src/dsl/index.ts";
import { interpret, type StorageArray } from "../../src/interpreter/index.ts";
import { type Kernel, printKernel, typeToString, walk } from "../../src/ir/index.ts";
import { TilewrightError, TraceError } from "../../src/support/index.ts";

/** Parameters of every kind. */
const params = {
  q: tl.tensor("f16", 4),
  x: tl.tensor("f32", 2),
  ids: tl.tensor("i32", 1),
  ptr: tl.pointer("f32"),
  counts: tl.pointer("i32"),
  n: tl.scalar("i32"),
  scale: tl.scalar("f32"),
};
export type Parameters = BodyParameters<typeof params>;
export type Body = (p: Parameters) => void;

export function traceBody(body: Body): Kernel {
  const traced = kernel({ name: "test", params, body }).trace();
  // Whatever functions of the DSL lie between an operation and the author, the stack that is kept of it reaches the author's line.
  walk(traced.body, ({ opcode, location }) => {
    expect(location!.file, opcode).not.toBe("unknown");
  });
  return traced;
}

/** The operations of a body in the text form, without the header. */
export function textOf(body: Body): string {
  const lines = printKernel(traceBody(body)).trimEnd().split("\n");
  return lines
    .slice(lines.indexOf("{") + 1, -1)
    .map((line) => line.slice(2))
    .join("\n");
}

/** Takes the common indentation off an expected text. */
export const text = ([whole]: TemplateStringsArray): string => {
  const lines = whole!.replace(/^\n|\n *$/g, "").split("\n");
  const indent = Math.min(...lines.filter((line) => line.trim()).map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(indent)).join("\n");
};

/** The error that a body ends in. */
export function errorOf(body: Body): TraceError {
  try {
    traceBody(body);
  } catch (error) {
    expect(error).toBeInstanceOf(TraceError);
    return error as TraceError;
  }
  throw new Error("the body was traced without an error");
}

export function expectError(code: string, message: RegExp, run: () => unknown): void {
  let caught: unknown;
  try {
    run();
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(TilewrightError);
  expect((caught as TilewrightError).code).toBe(code);
  expect((caught as TilewrightError).message).toMatch(message);
}

/** The line of the file at `url` that holds the marker, counted from 1. */
export function lineOf(url: string, marker: string): number {
  const lines = readFileSync(fileURLToPath(url), "utf8").split("\n");
  const found = lines.flatMap((line, i) => (line.includes(`// ${marker}`) ? [i + 1] : []));
  if (found.length !== 1) throw new Error(`${found.length} lines are marked "${marker}"`);
  return found[0]!;
}

/** Runs a body for one program on f32 data `x` [rows, columns], which it reads and writes in place. */
export function runOn(x: Float32Array, shape: readonly [number, number], body: Body): Float32Array {
  const memory = (data: StorageArray, shape: readonly number[]) => ({ data, shape });
  const traced = { ...traceBody(body), grid: ["1", "1", "1"] as const };
  interpret(traced, {
    arguments: {
      q: memory(new Uint16Array(1), [1, 1, 1, 1]),
      x: memory(x, shape),
      ids: memory(new Int32Array(1), [1]),
      ptr: { data: new Float32Array(1) },
      counts: { data: new Int32Array(1) },
      n: 3,
      scale: 0.5,
    },
  });
  return x;
}

export const typesOf = (traced: Kernel): string[] =>
  traced.body.operations.flatMap(({ results }) => results.map(({ type }) => typeToString(type)));
