/**
 * @file The picture of a tile in shared memory: lines of 128 bytes, which is what the 32 banks give in one wavefront, with the element that
 * lies at each place, and which places the first lanes of each access reach together: in different banks, if there is no conflict.
 */
import { applyColumns } from "../../layout/gf2.ts";
import { BANK_CYCLE_BYTES, lanesOfPass, unpackCoordinates } from "../../layout/index.ts";
import type { SharedTileReport } from "./report.ts";
import { colour, Drawing, textWidth } from "./svg.ts";
import { describeAccess, showBytes, showName } from "./text.ts";
import { layoutOf } from "./tile-picture.ts";

const BANK_BYTES = 4;
/** Of a cell at most: one vector. */
const VECTOR_BYTES = 16;
/** Lines beyond which a repetition is left out, and beyond which the picture is cut off. */
const READABLE_LINES = 8;
const MOST_LINES = 16;
const CELL_HEIGHT = 30;

/** A tile in lines of memory, with what is drawn of it. */
interface MemoryGrid {
  /** Bytes of a cell: elements that lie next to each other in the tile as in memory. */
  readonly cellBytes: number;
  readonly lines: number;
  readonly drawnLines: number;
  /** Coordinates in the tile of the first element of each drawn cell. */
  readonly cells: readonly (readonly number[])[];
  /** The axis of the tile along which a cell runs, and how many elements it has. */
  readonly axis: number;
  readonly cellElements: number;
  /** What comes after the drawn lines: so many bytes further lies so much further in the tile. */
  readonly repetitions: readonly { readonly bytes: number; readonly coordinates: readonly number[] }[];
}

function memoryGridOf(tile: SharedTileReport): MemoryGrid {
  const { elementBytes, bytes } = tile;
  const memory = layoutOf(tile);
  const columns = memory.columns;
  const step = columns[0] ?? 0;
  const axis = Math.max(
    0,
    memory.outs.findIndex(({ name }) => (memory.maskOfOut(name) & -memory.maskOfOut(name)) === step && step !== 0),
  );
  const alone = (bit: number): boolean => columns.every((other, i) => i === bit || (other & columns[bit]!) === 0);
  let bits = 0;
  while (elementBytes << bits < VECTOR_BYTES && step !== 0 && columns[bits] === step << bits && alone(bits)) bits++;
  const cellBytes = Math.min(bytes, Math.max(BANK_BYTES, elementBytes << bits));
  const lines = Math.ceil(bytes / BANK_CYCLE_BYTES);
  const repetitions: { bytes: number; coordinates: number[] }[] = [];
  let drawnLines = lines;
  for (let bit = columns.length - 1; drawnLines > READABLE_LINES; bit--) {
    const column = columns[bit]!;
    if ((column & (column - 1)) !== 0 || !alone(bit)) break;
    drawnLines /= 2;
    repetitions.unshift({ bytes: elementBytes << bit, coordinates: memory.basis("offset", bit) });
  }
  drawnLines = Math.min(drawnLines, MOST_LINES);
  const count = Math.ceil((drawnLines * Math.min(BANK_CYCLE_BYTES, bytes)) / cellBytes);
  const cells = Array.from({ length: count }, (_, cell) =>
    unpackCoordinates(memory.outs, memory.applyFlat((cell * cellBytes) / elementBytes)),
  );
  return { cellBytes, lines, drawnLines, cells, axis, cellElements: cellBytes / elementBytes, repetitions };
}

const letterOf = (access: number): string => String.fromCharCode("A".charCodeAt(0) + (access % 26));

/** For each cell the lanes that reach it, for the first pass of each access, as "A0 B3-6". */
function marksOf({ accesses }: SharedTileReport, { cellBytes }: MemoryGrid): Map<number, string> {
  const marks = new Map<number, string[]>();
  accesses.forEach(({ lanes, bytes }, access) => {
    const reached = new Map<number, number[]>();
    for (let lane = 0; lane < 1 << Math.min(lanes.length, lanesOfPass(bytes)); lane++) {
      const cell = Math.floor(applyColumns(lanes, lane) / cellBytes);
      reached.set(cell, [...(reached.get(cell) ?? []), lane]);
    }
    for (const [cell, list] of reached) {
      const text = list.length === 1 ? `${list[0]}` : `${list[0]}-${list.at(-1)}`;
      const consecutive = list.at(-1)! - list[0]! === list.length - 1;
      const mark = `${letterOf(access)}${consecutive ? text : list.join(",")}`;
      marks.set(cell, [...(marks.get(cell) ?? []), mark]);
    }
  });
  return new Map([...marks].map(([cell, list]) => [cell, list.join(" ")]));
}

export function drawMemory(tile: SharedTileReport): string {
  const grid = memoryGridOf(tile);
  const { cellBytes, drawnLines, cells, axis, cellElements } = grid;
  const drawing = new Drawing();
  drawing.text(10, 18, `${tile.id}: ${showName(tile)}, ${tile.dtype} in shared memory`, {
    size: 12,
    bold: true,
  });
  let y = 34;
  for (const line of explainMemory(tile, grid)) {
    drawing.text(10, y, line);
    y += 14;
  }
  const marks = marksOf(tile, grid);
  const labels = cells.map((coordinates) => `(${coordinates.join(", ")})`);
  const texts = [...labels, ...[...marks].filter(([cell]) => cell < cells.length).map(([, text]) => text)];
  const width = Math.max(...texts.map((text) => textWidth(text))) + 6;
  const perLine = Math.min(cells.length, Math.max(1, BANK_CYCLE_BYTES / cellBytes));
  const left = 20 + textWidth(`${drawnLines * BANK_CYCLE_BYTES}`);
  const top = y + 20;
  for (let cell = 0; cell < perLine; cell++) {
    const [first, last] = [cell * cellBytes, (cell + 1) * cellBytes - 1].map((byte) => Math.floor(byte / BANK_BYTES));
    const banks = first === last ? `${first}` : `${first}-${last}`;
    drawing.text(left + (cell + 0.5) * width, top - 5, banks, { anchor: "middle" });
  }
  drawing.text(left - 4, top - 5, "bank", { anchor: "end" });
  // The hue is the place along the axis of the vectors: a swizzle shows as a column of many colours.
  const period = Math.max(1, Math.min(cells.length, (tile.extents[`dim${axis}`] ?? 1) / cellElements, 32));
  cells.forEach((coordinates, cell) => {
    const [line, column] = [Math.floor(cell / perLine), cell % perLine];
    const [x, down] = [left + column * width, top + line * CELL_HEIGHT];
    if (column === 0) drawing.text(left - 4, down + 18, `${line * BANK_CYCLE_BYTES}`, { anchor: "end" });
    const hue = ((Math.floor(coordinates[axis]! / cellElements) % period) * 360) / period;
    drawing.rectangle(x, down, width, CELL_HEIGHT, { fill: colour(hue, 70, 85), stroke: "white" });
    drawing.text(x + width / 2, down + 12, labels[cell]!, { anchor: "middle" });
    const mark = marks.get(cell);
    if (mark) drawing.text(x + width / 2, down + 25, mark, { anchor: "middle", bold: true });
  });
  return drawing.toString();
}

/** What the picture says in words. */
function explainMemory(tile: SharedTileReport, grid: MemoryGrid): string[] {
  const { cellBytes, lines, drawnLines, cells, axis, cellElements, repetitions } = grid;
  const places = tile.places > 1 ? `, in ${tile.places} places (a ring)` : "";
  const extents = Object.values(tile.extents);
  const cut = lines > drawnLines << repetitions.length ? ", the rest is cut off" : "";
  const drawn = drawnLines < lines ? `; drawn: the first ${showBytes(drawnLines * BANK_CYCLE_BYTES)}${cut}` : "";
  return [
    `tile [${extents.join(", ")}], ${showBytes(tile.bytes)}${places}${drawn}`,
    ...(repetitions.length > 0
      ? [
          `and so on: ${repetitions
            .map(({ bytes, coordinates }) => `${bytes} bytes further is (${coordinates.join(", ")}) further`)
            .join("; ")}`,
        ]
      : []),
    ...tile.accesses.map((access, i) => `${letterOf(i)} ${describeAccess(access)}`),
    ...([...marksOf(tile, grid).keys()].some((cell) => cell >= cells.length)
      ? ["(some lanes reach places that are not drawn)"]
      : []),
    `a cell: ${showBytes(cellBytes)}, (coordinates) of its first element, the lanes that reach it together; coloured along axis ${axis}${
      cellElements > 1 ? ` by ${cellElements} elements` : ""
    }`,
  ];
}
