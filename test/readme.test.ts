/** Every TypeScript example of the README, docs/variants.md, docs/emulator.md and docs/inspect.md runs as it stands. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, it, vi } from "vitest";

const directory = new URL("./.readme/", import.meta.url);
const blocks = ["README.md", "docs/variants.md", "docs/emulator.md", "docs/inspect.md"].flatMap((page) =>
  [...readFileSync(new URL(`../${page}`, import.meta.url), "utf8").matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(
    (match) => [page, match[1]!] as const,
  ),
);

mkdirSync(directory, { recursive: true });
afterAll(() => rmSync(directory, { recursive: true }));

describe("examples of the documentation", () => {
  it.each(blocks.map(([page, block], i) => [i, page, block] as const))(
    "example %i, of %s, runs",
    async (i, _, block) => {
      const file = new URL(`example-${i}.ts`, directory);
      writeFileSync(file, block);
      const log = vi.spyOn(console, "log").mockImplementation(() => {});
      await import(/* @vite-ignore */ file.pathname);
      const printed = log.mock.calls.flat();
      log.mockRestore();
      const expected = block.match(/console\.log\(.*\/\/ ([\d. ]+)$/m)?.[1];
      expect(printed.length).toBeGreaterThan(0);
      if (expected) expect([...(printed[0] as Float32Array)].map((x) => x.toFixed(2)).join(" ")).toBe(expected);
    },
  );
});
