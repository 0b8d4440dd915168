/** What the tests of the emulator cover: every kernel of nvcc is run, and so every instruction that stands in one. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { readFixture } from "./fixture.ts";
import { fixtureNames, formsIn, requireForeignForms } from "./foreign-forms.ts";

it("a test names every kernel of the fixtures", () => {
  const here = new URL("./", import.meta.url);
  const tests = readdirSync(here)
    .filter((file) => file.endsWith(".test.ts"))
    .map((file) => readFileSync(new URL(file, here), "utf8"))
    .join("\n");
  const entries = fixtureNames.flatMap((name) =>
    [...readFixture(name).matchAll(/\.entry (\w+)/g)].map(([, entry]) => `${name}: ${entry}`),
  );
  expect(entries.length).toBeGreaterThan(50);
  // hazards.cu is compiled twice, and its kernels are named for it.
  const named = (entry: string): boolean =>
    new RegExp(`\\b${entry.replace(/^.*: ((broken|mended)_)?/, "")}\\b`).test(tests);
  expect(entries.filter((entry) => !named(entry))).toEqual([]);
});

it("an instruction that no fixture holds is named", () => {
  expect([...formsIn("@%p1 bra.uni $L; // mul.f32\n  {setp.lt.s32 %p1, 1, 2; ret;}\n$L: .reg .b32 %r1;")]).toEqual([
    "bra.uni",
    "setp.lt.s32",
    "ret",
  ]);
  expect(() => requireForeignForms("add.s32 %r1, %r2, 1;")).not.toThrow();
  expect(() => requireForeignForms("add.s32 %r1, %r2, 1;\nadd.s33 %r1, %r2, 1;")).toThrow("fixtures holds add.s33");
});
