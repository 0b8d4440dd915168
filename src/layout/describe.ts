/**
 * @file A picture of a layout for documents and debugging: the tile as a grid, in each cell who holds the element.
 */
import { LANE, layoutError, REGISTER, THREAD, unpackCoordinates, WARP } from "./dims.ts";
import type { LinearLayout } from "./linear-layout.ts";

/**
 * The grid of a tile of rank 1 or 2 as text. A cell names the thread and the register that hold the element, `T5:3` (thread 5 of
 * its warp, register 3), with `W2` before it where there are several warps, and `+` after it where others hold copies. A layout of
 * memory shows offsets.
 */
export function describeLayout(layout: LinearLayout): string {
  const shape = layout.shape;
  if (shape.length < 1 || shape.length > 2)
    throw layoutError("LAYOUT_RANK", `only tiles of rank 1 and 2 can be drawn, not [${shape}]`);
  const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
  const copies = layout.isInjective() ? "" : "+";
  const cells = Array.from({ length: rows * columns }, (_, element) => {
    const input = layout.preimageFlat(element);
    return input === undefined ? "-" : cellOf(layout, input) + copies;
  });
  const width = Math.max(...cells.map((cell) => cell.length));
  return Array.from({ length: rows }, (_, row) =>
    cells
      .slice(row * columns, (row + 1) * columns)
      .map((cell) => cell.padEnd(width))
      .join(" ")
      .trimEnd(),
  ).join("\n");
}

function cellOf(layout: LinearLayout, packedInput: number): string {
  if (!layout.hasIn(REGISTER)) return `${packedInput}`;
  const coordinates = unpackCoordinates(layout.ins, packedInput);
  const at = Object.fromEntries(layout.ins.map(({ name }, i) => [name, coordinates[i]]));
  const warp = layout.bitsOf(WARP) > 0 ? `W${at[WARP]} ` : "";
  return `${warp}T${at[LANE] ?? at[THREAD] ?? 0}:${at[REGISTER]}`;
}
