/** The example of docs/language.md does what it says, and the page names what `tl` has. */
import { readFileSync } from "node:fs";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import * as tilewright from "../../src/dsl/index.ts";
import { interpret } from "../../src/interpreter/index.ts";

const page = readFileSync(new URL("../../docs/language.md", import.meta.url), "utf8");

describe("docs/language.md", () => {
  it("opens with a kernel that works", () => {
    const source = /```ts\n([\s\S]*?)```/.exec(page)![1]!;
    const { outputText } = ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.CommonJS } });
    const exported: { axpy?: tilewright.KernelDefinition } = {};
    new Function("exports", "require", outputText)(exported, () => tilewright);
    const length = 300;
    const [x, y, out] = [0.5, 2, 0].map((step) => Float32Array.from({ length }, (_, i) => i * step));
    const memory = (data: Float32Array) => ({ data, shape: [length] });
    interpret(exported.axpy!.trace({ dtypes: { T: "f32" } }), {
      arguments: { x: memory(x!), y: memory(y!), out: memory(out!), a: 3 },
    });
    expect([...out!]).toEqual(Array.from({ length }, (_, i) => i * 3.5));
  });

  it("lists the whole of tl", () => {
    const listed = new Set(page.match(/[A-Za-z][A-Za-z0-9]*/g));
    const spelled = (name: string): boolean =>
      listed.has(name) || (name.startsWith("atomic") && listed.has(name.slice("atomic".length)));
    expect(Object.keys(tilewright.tl).filter((name) => !spelled(name))).toEqual([]);
  });
});
