/** @file A measure against context length: one line a scheme, on a logarithmic axis of lengths, the trained length marked. */
import type { EChartsOption, SeriesOption, XAXisComponentOption, YAXisComponentOption } from "echarts";
import type { Chart } from "./plot.ts";

export interface LinePanel {
  readonly title: string;
  /** Of the vertical axis. Default: linear, from 0. */
  readonly scale?: "log";
  /** A value for each length. */
  readonly series: readonly { readonly name: string; readonly values: readonly number[] }[];
}

export interface LineChartOptions {
  readonly lengths: readonly number[];
  readonly trainedLength: number;
  /** Side by side, with one legend: all have the same series. */
  readonly panels: readonly LinePanel[];
}

const panelWidth = 520;
const plot = { left: 60, right: 30, top: 100, height: 300 };

/** Colours that tell ten lines apart, the plain embedding in black (after Okabe and Ito, and Tol). */
const colors = ["#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#0072b2", "#999933", "#882255"];

export function lineChart({ lengths, trainedLength, panels }: LineChartOptions): Chart {
  const all = [...lengths, trainedLength];
  const option: EChartsOption = {
    color: colors,
    title: panels.map(({ title }, i) => ({
      text: title,
      left: i * panelWidth + plot.left - 4,
      top: 10,
      textStyle: { fontSize: 15 },
    })),
    legend: { top: 42, left: plot.left, width: panels.length * panelWidth - plot.left - plot.right },
    grid: panels.map((_, i) => ({
      left: i * panelWidth + plot.left,
      top: plot.top,
      width: panelWidth - plot.left - plot.right,
      height: plot.height,
    })),
    xAxis: panels.map(
      (_, gridIndex): XAXisComponentOption => ({
        gridIndex,
        type: "log",
        logBase: 2,
        ...powersOfTwo(all),
        name: "context length (tokens)",
        nameLocation: "middle",
        nameGap: 28,
      }),
    ),
    yAxis: panels.map(
      ({ scale, series }, gridIndex): YAXisComponentOption =>
        scale === "log"
          ? { gridIndex, type: "log", logBase: 2, ...powersOfTwo(series.flatMap(({ values }) => values)) }
          : { gridIndex, type: "value" },
    ),
    series: panels.flatMap(({ series }, panel) =>
      series.map(
        ({ name, values }, i): SeriesOption => ({
          type: "line",
          name,
          xAxisIndex: panel,
          yAxisIndex: panel,
          data: values.map((value, at) => [lengths[at]!, value]),
          symbolSize: 6,
          ...(i === 0 && { markLine: trainedMark(trainedLength) }),
        }),
      ),
    ),
  };
  return { width: panels.length * panelWidth, height: plot.top + plot.height + 50, option };
}

/** The smallest range between powers of two that holds all values. */
function powersOfTwo(values: readonly number[]): { readonly min: number; readonly max: number } {
  return {
    min: 2 ** Math.floor(Math.log2(Math.min(...values))),
    max: 2 ** Math.ceil(Math.log2(Math.max(...values))),
  };
}

const trainedMark = (length: number) => ({
  silent: true,
  symbol: "none",
  lineStyle: { color: "#666666", type: "dashed" as const },
  label: { formatter: `trained: ${length}`, position: "end" as const, color: "#666666" },
  data: [{ xAxis: length }],
});
