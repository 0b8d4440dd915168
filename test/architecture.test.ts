/** The rules of docs/architecture.md that a reader cannot check at a glance: layering, purity of the core, generality of the compiler. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { describe, expect, it } from "vitest";

const root = new URL("../src", import.meta.url).pathname;
const order = [
  "support",
  "ir",
  "dsl",
  "passes",
  "layout",
  "codegen",
  "interpreter",
  "emulator",
  "runtime",
  "kernels",
  "models",
  "cli",
];
/** What must bundle for a page and run anywhere. */
const core = new Set(["support", "ir", "dsl", "passes", "layout", "codegen", "interpreter", "emulator"]);

const files = (readdirSync(root, { recursive: true }) as string[]).filter((name) => name.endsWith(".ts"));
const textOf = (file: string): string => readFileSync(join(root, file), "utf8");
const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
const importsOf = (file: string): string[] =>
  [
    ...withoutComments(textOf(file)).matchAll(
      /^(?:import|export)\s[^;"]*?from "([^"]+)"|^import "([^"]+)"|\bimport\("([^"]+)"\)/gm,
    ),
  ].map(([, from, bare, dynamic]) => (from ?? bare ?? dynamic)!);
const folderOf = (file: string): string | undefined => (file.includes("/") ? file.split("/")[0] : undefined);

describe("architecture", () => {
  it("finds the sources", () => {
    expect(files.length).toBeGreaterThan(100);
  });

  it("imports go one way only", () => {
    const upward = files.flatMap((file) =>
      importsOf(file)
        .filter((name) => name.startsWith("."))
        .map((name) => relative(root, normalize(join(root, dirname(file), name))))
        .filter(
          (target) =>
            folderOf(file) && folderOf(target) && order.indexOf(folderOf(target)!) > order.indexOf(folderOf(file)!),
        )
        .map((target) => `${file} -> ${target}`),
    );
    expect(upward).toEqual([]);
  });

  it("the core imports no package and nothing of Node", () => {
    const foreign = files
      .filter((file) => core.has(folderOf(file) ?? ""))
      .flatMap((file) =>
        importsOf(file)
          .filter((name) => !name.startsWith("."))
          .map((name) => `${file} -> ${name}`),
      );
    expect(foreign).toEqual([]);
  });

  it("the compiler knows no kernel's name", () => {
    const named = files
      .filter((file) => ["passes", "layout", "codegen"].includes(folderOf(file) ?? ""))
      .filter((file) => /\b(attention|piecewise|flash|aquila|rope)/i.test(withoutComments(textOf(file))));
    expect(named).toEqual([]);
  });

  it("no file has more than 600 lines", () => {
    const long = files.filter((file) => textOf(file).split("\n").length > 600);
    expect(long).toEqual([]);
  });
});
