/**
 * @file An inspection as files: an SVG for each layout and each tile in shared memory, and a page that shows them beside a list of all tiles.
 */
import { drawMemory } from "./memory-picture.ts";
import type { Inspection, SharedTileReport } from "./report.ts";
import { escapeMarkup } from "./svg.ts";
import { renderInspection, showLocation, showName } from "./text.ts";
import { drawTile } from "./tile-picture.ts";

export interface InspectionFile {
  readonly name: string;
  readonly text: string;
}

const STYLE = `body { font: 14px sans-serif; margin: 2em; color: #222 }
table { border-collapse: collapse } td, th { padding: 2px 10px; text-align: left; border-bottom: 1px solid #ddd }
td { font-family: monospace } pre { background: #f6f6f6; padding: 1em; overflow-x: auto } img { display: block; margin: 1em 0 }`;

/** Tiles that lie and are accessed alike need one picture. The first of each kind has it, under its own name. */
function pictured(shared: readonly SharedTileReport[]): Map<SharedTileReport, SharedTileReport[]> {
  const alike = new Map<string, SharedTileReport[]>();
  for (const tile of shared) {
    const { extents, bases, dtype, places, accesses } = tile;
    const reached = accesses.map(({ instruction, bytes, lanes }) => [instruction, bytes, lanes]);
    const key = JSON.stringify([extents, bases, dtype, places, reached]);
    alike.set(key, [...(alike.get(key) ?? []), tile]);
  }
  return new Map([...alike.values()].map(([first, ...others]) => [first!, others]));
}

/** `index.html`, `inspection.json`, and the pictures `layout-1.svg`, ..., `shared-1.svg`, ... */
export function inspectionFiles(inspection: Inspection): InspectionFile[] {
  const { layouts, shared } = inspection;
  return [
    { name: "index.html", text: page(inspection) },
    { name: "inspection.json", text: `${JSON.stringify(inspection, null, 2)}\n` },
    ...layouts.map((layout) => ({ name: `${layout.id}.svg`, text: drawTile(layout) })),
    ...[...pictured(shared).keys()].map((tile) => ({ name: `${tile.id}.svg`, text: drawMemory(tile) })),
  ];
}

function page(inspection: Inspection): string {
  const { kernel, target, tiles, layouts, shared } = inspection;
  const title = escapeMarkup(`${kernel} for ${target}`);
  const picture = ({ id }: { readonly id: string }): string => `<img id="${id}" src="${id}.svg" alt="${id}">`;
  const memory = [...pictured(shared)].map(([tile, others]) => {
    const names = others.map((other) => `${other.id} ${showName(other)}`);
    return picture(tile) + (names.length > 0 ? `<p>So are ${escapeMarkup(names.join(", "))}.</p>` : "");
  });
  const rows = tiles.map((tile) => {
    const { opcode, location, shape, dtype, threadBytes, layout } = tile;
    const at = location ? `${location.file}:${location.line}:${location.column}` : "";
    const where = `<span title="${escapeMarkup(at)}">${escapeMarkup(showLocation(location))}</span>`;
    const cells = [
      escapeMarkup(showName(tile)),
      where,
      opcode,
      `[${shape.join(", ")}]`,
      dtype,
      `${threadBytes}`,
      `<a href="#${layout}">${layout}</a>`,
    ];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  const heads = ["tile", "line", "made by", "shape", "dtype", "bytes a thread", "layout"];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${title}</title>
<style>${STYLE}</style>
<h1>${title}</h1>
<pre>${escapeMarkup(renderInspection(inspection))}</pre>
<h2>Layouts</h2>
${layouts.map(picture).join("\n")}
${memory.length > 0 ? `<h2>Shared memory</h2>\n${memory.join("\n")}\n` : ""}<h2>Tiles</h2>
<table>
<tr>${heads.map((head) => `<th>${head}</th>`).join("")}</tr>
${rows.join("\n")}
</table>
</html>
`;
}
