/** What the plots of `tilewright evaluate` contain, read from their SVG. */
import { describe, expect, it } from "vitest";
import { attentionChart } from "../../src/cli/evaluate/attention-chart.ts";
import { lineChart } from "../../src/cli/evaluate/line-chart.ts";
import { loadDraw } from "../../src/cli/evaluate/plot.ts";

const draw = await loadDraw();
const textsOf = (svg: string): string[] => [...svg.matchAll(/>([^<>]+)<\/text>/g)].map(([, text]) => text!);
/** Points of the lines of one colour. */
const linesOf = (svg: string, color: string): [number, number][][] =>
  [...svg.matchAll(/<path d="([^"]*)" fill="none"[^>]*?stroke="([^"]*)"/g)]
    .filter(([, , stroke]) => stroke === color)
    .map(([, path]) =>
      [...path!.matchAll(/[ML ](-?[\d.]+) (-?[\d.]+)/g)].map(([, x, y]): [number, number] => [+x!, +y!]),
    )
    .filter((points) => points.length > 2);

describe("lines against context length", () => {
  const lengths = [128, 256, 1024];
  const svg = draw(
    lineChart({
      lengths,
      trainedLength: 256,
      panels: [
        {
          title: "Perplexity",
          scale: "log",
          series: [
            { name: "default", values: [32, 64, 256] },
            { name: "rerope", values: [32, 32, 32] },
          ],
        },
      ],
    }),
  );

  it("has a title, a legend, the trained length, and the names of the axes", () => {
    expect(textsOf(svg)).toEqual(
      expect.arrayContaining(["Perplexity", "default", "rerope", "trained: 256", "context length (tokens)"]),
    );
  });

  it("has one line a scheme, logarithmic both ways", () => {
    const [black, orange] = [linesOf(svg, "#000000"), linesOf(svg, "#e69f00")];
    expect([black.length, orange.length]).toEqual([1, 1]);
    const [[x0, y0], [x1, y1], [x2, y2]] = black[0] as [[number, number], [number, number], [number, number]];
    // 128, 256, 1024 and 32, 64, 256: one power of two, then two; upwards is smaller in SVG.
    expect((x2 - x1) / (x1 - x0)).toBeCloseTo(2, 1);
    expect((y1 - y2) / (y0 - y1)).toBeCloseTo(2, 1);
    expect(y0 - y1).toBeGreaterThan(10);
    expect(new Set(orange[0]!.map(([, y]) => y)).size).toBe(1);
  });

  it("carries nothing for a mouse", () => {
    expect(svg).not.toMatch(/<style|ecmeta|class=/);
  });
});

describe("a picture of attention", () => {
  const bins = 6;
  const weights = Array.from({ length: bins }, (_, query) =>
    Array.from({ length: bins }, (_, key) => (key <= query ? 1 / (query + 1) : 0)),
  );
  const picture = (scheme: string, farShare?: number) => ({
    scheme,
    weights,
    totalAttention: Array.from({ length: 12 }, (_, key) => 1 + key / 12),
    farShare,
  });
  const report = { layer: 1, head: 3, length: 12, binSize: 2, trainedLength: 4 };
  const svg = draw(attentionChart({ ...report, pictures: [picture("default", 0.25), picture("rerope")] }));

  it("says what it shows", () => {
    expect(textsOf(svg)).toEqual(
      expect.arrayContaining([
        "Attention of layer 1, head 3, over 12 tokens",
        "default: 25 % of attention goes 4 or more tokens back",
        "rerope",
        "query",
        "key",
        "attention that a key gets, in total",
      ]),
    );
  });

  it("has a square for each pair of bins that causality allows, and a line of column sums, for each scheme", () => {
    // Squares begin anywhere but go right, down and left by one size.
    const squares = [...svg.matchAll(/<path d="M[\d.]+ [\d.]+l([\d.]+) 0l0 ([\d.]+)l-([\d.]+) 0Z" fill="rgb/g)];
    expect(squares).toHaveLength(2 * ((bins * (bins + 1)) / 2));
    expect(linesOf(svg, "#b5284a").map((points) => points.length)).toEqual([12, 12]);
  });
});

describe("without ECharts", () => {
  it("an error says what to install", async () => {
    const load = async () => ({ reason: 'the optional package "echarts" is not installed (npm install echarts)' });
    await expect(loadDraw(load)).rejects.toMatchObject({
      code: "PLOT_PACKAGE",
      message: '--plot draws with ECharts, but the optional package "echarts" is not installed (npm install echarts).',
    });
  });
});
