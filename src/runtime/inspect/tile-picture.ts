/**
 * @file The picture of a tile that threads hold: on the left the whole tile with the share of each warp, on the right its elements, or as many of
 * them as can be read, with who holds each. What is left out repeats what is drawn, and the picture says how.
 */
import {
  LANE,
  LinearLayout,
  REGISTER,
  type Repetition,
  repetitionAt,
  THREAD,
  unpackCoordinates,
  WARP,
} from "../../layout/index.ts";
import type { BasesReport, LayoutReport } from "./report.ts";
import { colour, Drawing, textWidth } from "./svg.ts";

/** Cells beyond which a repetition is left out, and beyond which the picture is cut off. */
const READABLE_CELLS = 256;
const MOST_CELLS = 1024;
/** A tile of one row or column is drawn in rows of so many cells. */
const WRAPPED_CELLS = 16;
/** Of the picture of the whole tile, in pixels. */
const LEAST_OVERVIEW = 40;
const MOST_OVERVIEW = 200;
/** Height of a share of it that has room for a name. */
const LEAST_LABELLED = 11;
/** Rectangles of the whole tile beyond which it says nothing to the eye. */
const MOST_SHARES = 600;
const WARP_SIZE = 32;
const CELL_HEIGHT = 18;

export const layoutOf = ({ bases, extents }: BasesReport): LinearLayout => LinearLayout.fromBases(bases, extents);

/** Who holds an element. On a target without warps, threads are counted through and grouped by 32 for the colours. */
interface Holder {
  readonly warp: number;
  readonly lane: number;
  readonly register: number;
}

/** A tile as rows and columns, with what is drawn of it. */
export interface TileGrid {
  /** With outputs "row" and "column". */
  readonly layout: LinearLayout;
  /** Of the whole tile. */
  readonly rows: number;
  readonly columns: number;
  /** From the first element on. */
  readonly drawnRows: number;
  readonly drawnColumns: number;
  /** Columns of a cell: elements that a thread holds in consecutive registers. */
  readonly run: number;
  readonly repetitions: readonly Repetition[];
  /** Whether more is left out than the repetitions say. */
  readonly cut: boolean;
  /** Whether the rows are pieces of one row. */
  readonly wrapped: boolean;
}

export function gridOf(report: BasesReport): TileGrid {
  const tile = layoutOf(report);
  const wrapped = tile.shape.filter((extent) => extent > 1).length < 2;
  const columnBits = wrapped ? tile.outBits : tile.outs.at(-1)!.bits;
  const runBits = registerRun(tile, columnBits);
  const bits = wrapped ? Math.min(columnBits, runBits + Math.log2(WRAPPED_CELLS)) : columnBits;
  const layout = tile.reshapeOuts([
    { name: "row", bits: tile.outBits - bits },
    { name: "column", bits },
  ]);
  const [rows, columns] = layout.shape as [number, number];
  const run = 1 << runBits;
  const drawn = [rows, columns] as [number, number];
  const cells = (axis: number): number => (axis === 0 ? drawn[0] : drawn[1] / run);
  const repetitions: Repetition[] = [];
  while (cells(0) * cells(1) > READABLE_CELLS) {
    const axes = cells(0) > cells(1) ? [0, 1] : [1, 0];
    const found = axes
      .filter((axis) => cells(axis) > 1)
      .map((axis) => repetitionAt(layout, axis, drawn[axis]!))
      .find((repetition) => repetition !== undefined && repetition.input !== LANE);
    if (!found) break;
    drawn[found.axis] = found.distance;
    repetitions.push(found);
  }
  const cut = cells(0) * cells(1) > MOST_CELLS;
  if (cut) {
    drawn[1] = Math.min(drawn[1], run * Math.max(WRAPPED_CELLS, MOST_CELLS / drawn[0]));
    drawn[0] = Math.max(1, Math.min(drawn[0], MOST_CELLS / cells(1)));
  }
  const [drawnRows, drawnColumns] = drawn;
  return { layout, rows, columns, drawnRows, drawnColumns, run, repetitions, cut, wrapped };
}

/** log2 of the columns that a thread holds in registers 0, 1, 2, ... next to each other. */
function registerRun(layout: LinearLayout, columnBits: number): number {
  const registers = layout.basesOf(REGISTER);
  let bits = 0;
  while (bits < columnBits && registers[bits] === 1 << bits && touching(layout, 1 << bits) === 1) bits++;
  return bits;
}

const touching = (layout: LinearLayout, bit: number): number =>
  layout.columns.filter((column) => (column & bit) !== 0).length;

/** The holder of an element that has no copies before it; undefined where nobody holds it. */
function holderOf({ layout, columns }: TileGrid, row: number, column: number): Holder | undefined {
  const input = layout.preimageFlat(row * columns + column);
  if (input === undefined) return undefined;
  const values = unpackCoordinates(layout.ins, input);
  const at = (name: string): number => values[layout.ins.findIndex((dim) => dim.name === name)] ?? 0;
  const register = at(REGISTER);
  if (!layout.hasIn(THREAD)) return { warp: at(WARP), lane: at(LANE), register };
  const thread = at(THREAD);
  return { warp: Math.floor(thread / WARP_SIZE), lane: thread % WARP_SIZE, register };
}

const hues = [210, 30, 140, 280, 0, 55, 180, 320];

function colourOf({ warp, lane }: Holder, shaded: boolean): string {
  const lightness = shaded ? 92 - (28 * lane) / WARP_SIZE : 82;
  return colour(hues[warp % hues.length]!, 75, lightness);
}

export function drawTile(report: LayoutReport): string {
  const grid = gridOf(report);
  const drawing = new Drawing();
  drawing.text(10, 18, `${report.id}: ${report.title}`, { size: 12, bold: true });
  let y = 34;
  for (const line of explain(report, grid)) {
    drawing.text(10, y, line);
    y += 14;
  }
  const right = drawOverview(drawing, grid, 10, y + 18);
  drawCells(drawing, grid, right + 20, y);
  return drawing.toString();
}

/** What the picture says in words. */
export function explain({ extents }: BasesReport, grid: TileGrid): string[] {
  const { layout, rows, columns, drawnRows, drawnColumns, repetitions, cut, wrapped } = grid;
  const shape = Object.values(extents);
  const lines = [`tile [${shape.join(", ")}]${shape.length > 2 ? ", all axes but the last one as rows" : ""}`];
  if (drawnRows < rows || drawnColumns < columns) {
    lines[0] += wrapped
      ? `; drawn: elements 0 to ${drawnRows * columns - 1}`
      : `; drawn: rows 0 to ${drawnRows - 1}, columns 0 to ${drawnColumns - 1}`;
    if (cut) lines[0] += ", the rest is cut off";
  }
  const groups = new Map<string, { axis: number; input: string; distances: number[]; steps: number[] }>();
  for (const { axis, distance, input, step } of repetitions) {
    const group = groups.get(`${axis} ${input}`) ?? { axis, input, distances: [], steps: [] };
    group.distances.unshift(distance * (wrapped && axis === 0 ? columns : 1));
    group.steps.unshift(step);
    groups.set(`${axis} ${input}`, group);
  }
  const ordered = [...groups.values()].sort((a, b) => a.axis - b.axis || a.distances[0]! - b.distances[0]!);
  const repeated = ordered.map(({ axis, input, distances, steps }) => {
    const what = wrapped ? "element" : axis === 0 ? "row" : "column";
    return `${what} + ${distances.join(", ")} is ${input} + ${steps.join(", ")}`;
  });
  if (repeated.length > 0) lines.push(`and so on: ${repeated.join("; ")}`);
  const copies = Object.entries(layout.freeVariableMasks()).flatMap(([input, mask]) => {
    const steps = Array.from({ length: 31 }, (_, bit) => 1 << bit).filter((bit) => (mask & bit) !== 0);
    return steps.length > 0 ? [`${input} + ${steps.join(", ")}`] : [];
  });
  if (copies.length > 0)
    lines.push(`copies: ${copies.join("; ")} hold${copies.length === 1 ? "s" : ""} the same again`);
  lines.push(
    layout.hasIn(THREAD)
      ? "T5:3 is thread 5, register 3; a colour is 32 threads, darker is a higher thread"
      : "T5:3 is lane 5, register 3; a colour is a warp, darker is a higher lane",
  );
  return lines;
}

/** The whole tile; gives the right edge. */
function drawOverview(drawing: Drawing, grid: TileGrid, x: number, y: number): number {
  const { rows, columns, drawnRows, drawnColumns } = grid;
  const shares = sharesOf(grid);
  if (!shares) return x - 20;
  const size = (extent: number): number => Math.min(MOST_OVERVIEW, Math.max(LEAST_OVERVIEW, 2 * extent));
  const [width, height] = [size(columns), size(rows)];
  const placed = shares.map(({ warp, row, column, right, bottom }) => ({
    warp,
    left: x + (column * width) / columns,
    top: y + (row * height) / rows,
    wide: ((right - column) * width) / columns,
    high: ((bottom - row) * height) / rows,
  }));
  for (const { warp, left, top, wide, high } of placed)
    drawing.rectangle(left, top, wide, high, { fill: colourOf({ warp, lane: 0, register: 0 }, false) });
  drawing.rectangle(x, y, width, height, { stroke: "black" });
  if (drawnRows < rows || drawnColumns < columns)
    drawing.rectangle(x, y, (drawnColumns * width) / columns, (drawnRows * height) / rows, {
      stroke: "black",
      dashed: true,
    });
  const named = new Set<number>();
  for (const { warp, left, top, wide, high } of placed) {
    const name = grid.layout.hasIn(THREAD) ? `T${warp * WARP_SIZE}..` : `W${warp}`;
    if (named.has(warp) || wide < textWidth(name) || high < LEAST_LABELLED) continue;
    named.add(warp);
    drawing.text(left + wide / 2, top + high / 2 + 4, name, { anchor: "middle" });
  }
  return x + width;
}

interface Share {
  readonly warp: number;
  readonly row: number;
  readonly column: number;
  readonly right: number;
  bottom: number;
}

/** The tile as rectangles of one warp each; undefined if they are too many to be told apart. */
function sharesOf(grid: TileGrid): Share[] | undefined {
  const { rows, columns, run } = grid;
  const shares: Share[] = [];
  let above: Share[] = [];
  for (let row = 0; row < rows; row++) {
    const line: Share[] = [];
    for (let column = 0; column < columns; column += run) {
      const warp = holderOf(grid, row, column)?.warp ?? -1;
      const last = line.at(-1);
      if (last?.warp === warp) line[line.length - 1] = { ...last, right: column + run };
      else line.push({ warp, row, column, right: column + run, bottom: row + 1 });
    }
    const next = line.map((share) => {
      const same = above.find(
        (other) => other.warp === share.warp && other.column === share.column && other.right === share.right,
      );
      if (!same) return share;
      same.bottom = row + 1;
      return same;
    });
    shares.push(...next.filter((share) => share.row === row));
    if (shares.length > MOST_SHARES) return undefined;
    above = next;
  }
  return shares.filter(({ warp }) => warp >= 0);
}

function drawCells(drawing: Drawing, grid: TileGrid, x: number, y: number): void {
  const { layout, columns, drawnRows, drawnColumns, run, wrapped } = grid;
  const holders = Array.from({ length: drawnRows }, (_, row) =>
    Array.from({ length: drawnColumns / run }, (_, cell) => holderOf(grid, row, cell * run)),
  );
  const severalWarps = new Set(holders.flat().map((holder) => holder?.warp)).size > 1;
  const labelOf = ({ warp, lane, register }: Holder): string => {
    const last = run > 1 ? `-${register + run - 1}` : "";
    if (layout.hasIn(THREAD)) return `T${warp * WARP_SIZE + lane}:${register}${last}`;
    return `${severalWarps ? `W${warp} ` : ""}T${lane}:${register}${last}`;
  };
  const labels = holders.map((line) => line.map((holder) => (holder ? labelOf(holder) : "-")));
  const width = Math.max(...labels.flat().map((label) => textWidth(label))) + 6;
  const rowLabels = holders.map((_, row) => `${wrapped ? row * columns : row}`);
  const left = x + Math.max(...rowLabels.map((label) => textWidth(label))) + 4;
  const top = y + 18;
  for (let cell = 0; cell < drawnColumns / run; cell++)
    drawing.text(left + (cell + 0.5) * width, top - 5, `${cell * run}`, { anchor: "middle" });
  holders.forEach((line, row) => {
    drawing.text(left - 4, top + row * CELL_HEIGHT + 13, rowLabels[row]!, { anchor: "end" });
    line.forEach((holder, cell) => {
      const [at, down] = [left + cell * width, top + row * CELL_HEIGHT];
      const fill = holder ? colourOf(holder, true) : "#eee";
      drawing.rectangle(at, down, width, CELL_HEIGHT, { fill, stroke: "white" });
      drawing.text(at + width / 2, down + 13, labels[row]![cell]!, { anchor: "middle" });
    });
  });
}
