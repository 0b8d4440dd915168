/**
 * @file Plots as SVG files, drawn by ECharts without a browser. ECharts is an optional package: it is loaded only for `--plot`, and before
 * anything is computed.
 */
import { constants, existsSync } from "node:fs";
import { access, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { EChartsOption } from "echarts";
import { type Optional, optionalPackage } from "../../runtime/node/modules.ts";
import { ArgumentError } from "../../support/errors.ts";

type ECharts = typeof import("echarts");

/** A drawing, and its size in pixels. */
export interface Chart {
  readonly width: number;
  readonly height: number;
  readonly option: EChartsOption;
}

/** Draws a chart as the text of an SVG file. */
export type Draw = (chart: Chart) => string;

/** What ECharts writes for a page that reacts to the mouse: half of a heat map's text. */
const interaction = / (?:ecmeta_\w+|class|pointer-events)="[^"]*"|<style[\s\S]*?<\/style>/g;

/** @throws ArgumentError `PLOT_PACKAGE` where ECharts is not installed. `load`: how the package is loaded. */
export async function loadDraw(
  load: () => Promise<Optional<ECharts>> = () => optionalPackage("echarts"),
): Promise<Draw> {
  const found = await load();
  if ("reason" in found) throw new ArgumentError("PLOT_PACKAGE", `--plot draws with ECharts, but ${found.reason}.`);
  const { init } = found.value;
  return ({ width, height, option }) => {
    const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
    try {
      chart.setOption({ animation: false, backgroundColor: "#ffffff", ...option });
      return chart.renderToSVGString().replace(interaction, "");
    } finally {
      chart.dispose(); // else its timer keeps Node alive
    }
  };
}

/** Makes sure that a plot can be drawn and its file written, and gives what does both. @throws ArgumentError `PLOT_PACKAGE`, `PLOT_FILE`. */
export async function openPlot(file: string): Promise<(chart: Chart) => Promise<void>> {
  const draw = await loadDraw();
  await access(existsSync(file) ? file : dirname(file), constants.W_OK).catch((error: Error) => {
    throw new ArgumentError("PLOT_FILE", `--plot ${file} cannot be written: ${error.message}`, { cause: error });
  });
  return (chart) => writeFile(file, draw(chart));
}
