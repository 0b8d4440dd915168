/** `tilewright evaluate` and the positions of `tilewright generate`, as a user runs them: the built `dist/cli/main.js`. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

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

const directory = mkdtempSync(join(tmpdir(), "tilewright-evaluate-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** What stands in an SVG file; fails where an element is not closed. */
function drawingOf(file: string): { readonly text: readonly string[]; count(element: string): number } {
  const svg = readFileSync(file, "utf8");
  const open: string[] = [];
  for (const [, close, name, empty] of svg.matchAll(/<(\/?)([a-z][\w-]*)(?:\s+[\w:-]+="[^"<]*")*\s*(\/?)>/gi)) {
    if (close) expect(open.pop()).toBe(name);
    else if (!empty) open.push(name!);
  }
  expect(open).toEqual([]);
  expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/);
  return {
    text: Array.from(svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g), ([, words]) => words!),
    count: (element) => svg.split(`<${element} `).length - 1,
  };
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

  it("prints a table and draws it", () => {
    const plot = join(directory, "perplexity.svg");
    const { status, stdout } = tilewright(...small, "--schemes", "default,yarn:factor=2", "--plot", plot);
    expect(status).toBe(0);
    expect(stdout).toMatch(/scheme[^\n]*16[^\n]*24/);
    expect(stdout).toMatch(/yarn:factor=2[^\n]*\d+\.\d\d[^\n]*\d+\.\d\d/);
    expect(stdout).toContain("Perplexity of the last 8 positions, over 2 contexts of each length (tokens).");
    expect(stdout).toContain(`Plotted in ${plot}.`);
    expect(drawingOf(plot).text).toEqual(
      expect.arrayContaining([
        "Perplexity of the last 8 positions",
        "default", // the legend
        "yarn:factor=2",
        "trained: 256",
        ...["16", "32", "64", "128", "256"], // the axis is logarithmic
      ]),
    );
  });

  it.each([
    [["--schemes", "rerop"], 1, /error POSITIONS_TEXT: positions "rerop": "rerop" is unknown; known are default/],
    [["--lengths", "4"], 1, /error EVALUATION: .*lengths are \[4\]/],
    [["--lengths", "a"], 2, /must be integers/],
    [["--tail", "8,9"], 2, /must be one integer/],
    [["--plot", "plot.png"], 2, /must end in \.svg/],
    [["--plot", "/nowhere/plot.svg"], 1, /error PLOT_FILE: --plot \/nowhere\/plot.svg cannot be written/],
    [["--schemes", "linear:factr=2"], 1, /error CONFIG_VALUE: rope: "factr" is 2; accepted/],
  ] as const)("%j", (more, code, message) => {
    const { status, stderr } = tilewright(...small, ...more);
    expect([status, stderr]).toEqual([code, expect.stringMatching(message)]);
  });
});

describe("tilewright evaluate retrieval", () => {
  const task = ["--fact", " I am {name}.", "--questions", " said", "--names", " David| Moses"];
  const small = ["evaluate", "retrieval", "--lengths", "32", "--schemes", "rerope:window=8", ...task];

  it("prints a table and draws it", () => {
    const plot = join(directory, "retrieval.svg");
    const { status, stdout } = tilewright(...small, "--plot", plot);
    expect(status).toBe(0);
    expect(stdout).toMatch(/rerope:window=8[^\n]*-?\d\.\d\d (0|50|100) %/);
    expect(stdout).toMatch(/most probable of 2 \(by chance 50 %\)/);
    expect(drawingOf(plot).text).toEqual(
      expect.arrayContaining(["Gain of the planted name (nats)", "Accuracy among 2 names", "rerope:window=8"]),
    );
  });

  it.each([
    [["--lengths", "10"], /lengths are \[10\]; accepted: one or more integers of at least \d+, the tokens of the fact/],
    [["--fact", " I am he."], /the fact " I am he\." has no \{name\}/],
    [["--names", " David"], /the names are \[" David"\]; accepted: two or more/],
    [["--starts", "18470"], /the text has 18484 tokens, but a context of 32 from token 18470 on needs 18502/],
  ] as const)("%j", (more, message) => {
    const { status, stderr } = tilewright(...small, ...more);
    expect([status, stderr]).toEqual([1, expect.stringMatching(message)]);
  });
});

describe("tilewright evaluate attention", () => {
  const words = ["evaluate", "attention", "--layer", "1", "--head", "3", "--length", "24", "--bins", "6"];

  it("draws two schemes side by side, and prints the report as JSON", () => {
    const plot = join(directory, "attention.svg");
    const { status, stdout } = tilewright(...words, "--schemes", "default,rerope:window=8", "--json", "--plot", plot);
    expect(status).toBe(0);
    const { pictures, binSize } = JSON.parse(stdout);
    expect([binSize, pictures.length]).toEqual([4, 2]);
    for (const { weights, totalAttention } of pictures) {
      for (const row of weights) expect(row.reduce((a: number, b: number) => a + b, 0)).toBeCloseTo(1, 5);
      expect(totalAttention.reduce((a: number, b: number) => a + b, 0)).toBeCloseTo(24, 4); // 1 of each query
    }
    const drawing = drawingOf(plot);
    expect(drawing.text).toEqual(
      expect.arrayContaining(["Attention of layer 1, head 3, over 24 tokens", "default", "rerope:window=8", "query"]),
    );
    // A cell for each bin of queries and each bin of keys not after it, in both pictures.
    expect(drawing.count("path")).toBeGreaterThanOrEqual(2 * ((6 * 7) / 2));
  });

  it.each([
    [["--layer", "4"], 1, /error EVALUATION: attentionPicture: layer is 4; accepted: an integer from 0 to 3/],
    [["--head", "4"], 1, /head is 4; accepted: an integer from 0 to 3/],
    [["--bins", "0"], 1, /bins is 0; accepted: an integer from 1 to 256/],
    [["--length", "20000"], 1, /the text has 18484 tokens, but a context of 20000 from token 0 on needs 20000/],
    [["--layer", "x"], 2, /must be integers/],
  ] as const)("%j", (more, code, message) => {
    const { status, stderr } = tilewright(...words, ...more);
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
