/** The check of lint/ finds every condition on a value of a kernel, and nothing else; the library's own kernels have none. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

it("finds the marked lines and no others", async () => {
  const cases = path("lint-cases.ts");
  const { stdout, code } = await promisify(execFile)(process.execPath, [path("../../lint/conditions.mjs"), cases]).then(
    ({ stdout }) => ({ stdout, code: 0 }),
    (error: { stdout: string; code: number }) => error,
  );
  const marked = readFileSync(cases, "utf8")
    .split("\n")
    .flatMap((line, i) => {
      const kind = /\/\/ finds (\w+)/.exec(line)?.[1];
      return kind ? [[i + 1, kind]] : [];
    });
  const advice = { condition: "tl.if", logical: ".not", equality: ".eq" } as const;
  const found = stdout
    .trimEnd()
    .split("\n")
    .map((text) => {
      const [, file, line, message] = /^(.*):(\d+):\d+ (.*)$/.exec(text)!;
      expect(file).toBe(cases);
      return [Number(line), Object.entries(advice).find(([, word]) => message!.includes(word))?.[0]];
    });
  expect(found).toEqual(marked);
  expect(code).toBe(1);
});
