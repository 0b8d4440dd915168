/** `tilewright evaluate` and the positions of `tilewright generate`, as a user runs them: the built `dist/cli/main.js`. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
const model = join(root, "test/fixtures/aquila2-tiny");

function tilewright(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "dist/cli/main.js"), ...words, "--model", model, "--backend", "cpu"],
    { encoding: "utf8", cwd: root },
  );
  return { status, stdout, stderr };
}

describe("tilewright evaluate perplexity", () => {
  const small = ["evaluate", "perplexity", "--lengths", "16,24", "--tail", "8", "--starts", "0,100"];

  it("prints the report as JSON and nothing else", () => {
    const { status, stdout } = tilewright(...small, "--schemes", "default,rerope:window=16", "--json");
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ lengths: [16, 24], tail: 8, starts: [0, 100] });
    expect(report.rows.map(({ scheme }: { scheme: string }) => scheme)).toEqual(["default", "rerope:window=16"]);
    const [plain, rerope] = report.rows.map(({ perplexity }: { perplexity: number[] }) => perplexity);
    expect(plain[0]).toBeGreaterThan(1);
    expect(rerope[0]).toBeCloseTo(plain[0], 3); // no distance of 16 in 16 tokens
    expect(rerope[1]).not.toBe(plain[1]);
  });

  it("prints a table", () => {
    const { status, stdout } = tilewright(...small, "--schemes", "yarn:factor=2");
    expect(status).toBe(0);
    expect(stdout).toMatch(/scheme[^\n]*16[^\n]*24/);
    expect(stdout).toMatch(/yarn:factor=2[^\n]*\d+\.\d\d[^\n]*\d+\.\d\d/);
    expect(stdout).toContain("Perplexity of the last 8 positions, over 2 contexts of each length (tokens).");
  });

  it.each([
    [["--schemes", "rerop"], 1, /error POSITIONS_TEXT: positions "rerop": "rerop" is unknown; known are default/],
    [["--lengths", "4"], 1, /error EVALUATION: .*lengths are \[4\]/],
    [["--lengths", "a"], 2, /must be integers/],
    [["--schemes", "linear:factr=2"], 1, /error CONFIG_VALUE: rope: "factr" is 2; accepted/],
  ] as const)("%j", (more, code, message) => {
    const { status, stderr } = tilewright(...small, ...more);
    expect([status, stderr]).toEqual([code, expect.stringMatching(message)]);
  });
});

describe("tilewright generate", () => {
  it("takes a rotary embedding and a scheme", () => {
    const text = (...more: string[]) => tilewright("generate", "In the beginning", "--max-new-tokens", "4", ...more);
    const plain = text();
    expect(plain.stdout.length).toBeGreaterThan("In the beginning\n".length);
    // No distance of 128 in so short a text.
    expect(text("--scheme", "rerope", "--rope", "linear:factor=1")).toEqual(plain);
    expect(text("--rope", "linear:factor=64").stdout).not.toBe(plain.stdout);
    expect(text("--rope", "rerope")).toMatchObject({ status: 2, stderr: expect.stringMatching(/is for --scheme/) });
  });
});
