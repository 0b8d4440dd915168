/**
 * @file A picture of one head's attention under several schemes, side by side: above, its weights by bins of queries (down) and keys (to the
 * right) as a heat map on a logarithmic scale; below, what each key gets from all queries. The dashed diagonal is the trained length: keys on
 * its lower left are farther behind the query than any distance that the model has learned.
 */
import type { EChartsOption, SeriesOption, XAXisComponentOption, YAXisComponentOption } from "echarts";
import type { AttentionPicture, AttentionPictureReport } from "../../models/aquila2/index.ts";
import type { Chart } from "./plot.ts";

const panelWidth = 430;
const map = { left: 60, top: 80, size: 340 };
const sums = { top: map.top + map.size + 70, height: 130 };
/** Shares of attention below 10^floor look alike. */
const floor = -4;
/** So do keys that get less than this from all queries together: the last ones, which few queries see. */
const leastSum = 0.01;

export function attentionChart(report: AttentionPictureReport): Chart {
  const { layer, head, length, binSize, trainedLength, pictures } = report;
  const bins = pictures[0]!.weights.length;
  const tokens = Array.from({ length: bins }, (_, bin) => String(bin * binSize));
  const left = (i: number) => i * panelWidth + map.left;
  const binAxis = (gridIndex: number) => ({
    gridIndex,
    type: "category" as const,
    data: tokens,
    axisLabel: { interval: Math.ceil(bins / 8) - 1 },
    splitLine: { show: false },
  });
  const everySum = pictures.flatMap(({ totalAttention }) => totalAttention.filter((sum) => sum > 0));
  const least = Math.max(leastSum, 10 ** Math.floor(Math.log10(Math.min(...everySum))));
  const most = 10 ** Math.ceil(Math.log10(Math.max(...everySum)));

  const option: EChartsOption = {
    title: [
      {
        text: `Attention of layer ${layer}, head ${head}, over ${length} tokens`,
        left: map.left - 4,
        top: 8,
        textStyle: { fontSize: 15 },
      },
      ...pictures.map((picture, i) => ({
        text: captionOf(picture, trainedLength),
        left: left(i) - 4,
        top: map.top - 34,
        textStyle: { fontSize: 12, fontWeight: "normal" as const },
      })),
    ],
    grid: [
      ...pictures.map((_, i) => ({ left: left(i), top: map.top, width: map.size, height: map.size })),
      ...pictures.map((_, i) => ({ left: left(i), top: sums.top, width: map.size, height: sums.height })),
    ],
    visualMap: {
      type: "continuous",
      min: floor,
      max: 0,
      dimension: 2,
      seriesIndex: pictures.map((_, i) => i),
      orient: "vertical",
      left: pictures.length * panelWidth,
      top: map.top,
      itemHeight: 220,
      text: ["all attention", `10^${floor} of it`],
      calculable: false,
      inRange: { color: ["#f7f7f7", "#fde0a9", "#f58b4c", "#b5284a", "#3b0f4d"] },
    },
    xAxis: pictures
      .flatMap((_, i): XAXisComponentOption[] => [{ ...binAxis(i), name: "key", nameLocation: "middle", nameGap: 26 }])
      .concat(
        pictures.map(
          (_, i): XAXisComponentOption => ({ gridIndex: pictures.length + i, type: "value", min: 0, max: length }),
        ),
      ),
    yAxis: pictures
      .map(
        (_, i): YAXisComponentOption => ({
          ...binAxis(i),
          inverse: true,
          name: i === 0 ? "query" : "",
          nameLocation: "middle",
          nameGap: 42,
        }),
      )
      .concat(
        pictures.map(
          (_, i): YAXisComponentOption => ({
            gridIndex: pictures.length + i,
            type: "log",
            min: least,
            max: most,
            name: i === 0 ? "attention that a key gets, in total" : "",
            nameTextStyle: { align: "left" },
          }),
        ),
      ),
    series: [
      ...pictures.map((picture, i): SeriesOption => heatMap(picture, i, bins, trainedLength / binSize)),
      ...pictures.map(
        ({ scheme, totalAttention }, i): SeriesOption => ({
          type: "line",
          name: `${scheme}: column sums`,
          xAxisIndex: pictures.length + i,
          yAxisIndex: pictures.length + i,
          showSymbol: false,
          lineStyle: { width: 0.7 },
          color: "#b5284a",
          data: totalAttention.map((sum, key) => [key, Number(Math.max(sum, least).toPrecision(4))]),
        }),
      ),
    ],
  };
  return { width: pictures.length * panelWidth + 110, height: sums.top + sums.height + 40, option };
}

function captionOf({ scheme, farShare }: AttentionPicture, trained: number): string {
  if (farShare === undefined) return scheme;
  return `${scheme}: ${(farShare * 100).toFixed(0)} % of attention goes ${trained} or more tokens back`;
}

function heatMap({ scheme, weights }: AttentionPicture, axis: number, bins: number, trainedBins: number): SeriesOption {
  return {
    type: "heatmap",
    name: scheme,
    xAxisIndex: axis,
    yAxisIndex: axis,
    data: weights.flatMap((row, query) =>
      row.slice(0, query + 1).map((weight, key) => [key, query, Math.max(floor, Math.log10(weight))]),
    ),
    ...(trainedBins < bins && {
      markLine: {
        silent: true,
        symbol: "none",
        lineStyle: { color: "#2166ac", type: "dashed" },
        data: [[{ coord: [0, Math.round(trainedBins)] }, { coord: [bins - 1 - Math.round(trainedBins), bins - 1] }]],
      },
    }),
  };
}
