/** Every TypeScript example of the README runs as it stands. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, it, vi } from "vitest";

const directory = new URL("./.readme/", import.meta.url);
const blocks = [
  ...readFileSync(new URL("../README.md", import.meta.url), "utf8").matchAll(/^```ts\n([\s\S]*?)^```/gm),
].map((match) => match[1]!);

mkdirSync(directory, { recursive: true });
afterAll(() => rmSync(directory, { recursive: true }));

describe("README", () => {
  it.each(blocks.map((block, i) => [i, block] as const))("example %i runs", async (i, block) => {
    const file = new URL(`example-${i}.ts`, directory);
    writeFileSync(file, block);
    const log = vi.spyOn(console, "log").mockImplementation(() => {});
    await import(/* @vite-ignore */ file.pathname);
    const printed = log.mock.calls.flat();
    log.mockRestore();
    const expected = block.match(/console\.log\(.*\/\/ ([\d. ]+)$/m)?.[1];
    expect(printed.length).toBeGreaterThan(0);
    if (expected) expect([...(printed[0] as Float32Array)].map((x) => x.toFixed(2)).join(" ")).toBe(expected);
  });
});
