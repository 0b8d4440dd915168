/**
 * @file Layouts for people: a title, and the tile as a grid with, in each cell, who holds the element.
 */
import { LANE, layoutError, REGISTER, THREAD, unpackCoordinates, WARP } from "./dims.ts";
import type { LinearLayout } from "./linear-layout.ts";
import { type MmaContraction, type MmaInstruction, type MmaRole, mmaFragmentShape, mmaLayout } from "./mma.ts";
import { vectorWidth } from "./queries.ts";

/**
 * What a layout is, in a line: a fragment of the tensor cores by its name, any other by how lanes, warps (or threads) stand over the axes,
 * the registers of a thread, and the copies of each element: "lanes 4 x 8, warps 4 x 1, 16 registers, 8 side by side".
 */
export function titleOfLayout(layout: LinearLayout): string {
  const fragment = fragmentTitle(layout);
  if (fragment !== undefined) return fragment;
  const groups = layout.ins.filter(({ name }) => name !== REGISTER).map(({ name }) => standing(layout, name));
  const registers = layout.sizeOf(REGISTER);
  const copies = 2 ** (layout.inBits - layout.rank);
  return [
    ...groups.reverse().filter((text) => text !== undefined),
    `${registers} register${registers === 1 ? "" : "s"}${sideBySide(layout)}`,
    ...(copies > 1 ? [`${copies} copies of each element`] : []),
  ].join(", ");
}

/** ", 8 side by side": the elements next to each other that a thread holds, along the last axis or a better one. */
function sideBySide(layout: LinearLayout): string {
  const last = layout.outs.length - 1;
  const widths = layout.outs.map((_, axis) =>
    vectorWidth(layout, axis, { elementBytes: 1, maxBytes: 1 << layout.outBits }),
  );
  const widest = Math.max(1, ...widths);
  if (widest === 1) return "";
  const axis = widths[last] === widest ? last : widths.indexOf(widest);
  return `, ${widest} side by side${axis === last ? "" : ` along axis ${axis}`}`;
}

/** How many of `input` stand along each axis: "lanes 4 x 8"; "lanes mixed" where a bit of it moves along several axes. */
function standing(layout: LinearLayout, input: string): string | undefined {
  const bases = layout.basesOf(input);
  if (bases.length === 0) return undefined;
  const masks = layout.outs.map(({ name }) => layout.maskOfOut(name));
  const axes = bases.filter((basis) => basis !== 0).map((basis) => masks.filter((mask) => (basis & mask) !== 0));
  if (axes.some((touched) => touched.length > 1)) return `${input}s mixed`;
  const extents = masks.map((mask) => 2 ** axes.filter(([axis]) => axis === mask).length);
  return `${input}s ${extents.join(" x ")}`;
}

const fragments: readonly (readonly [MmaRole, MmaInstruction, MmaContraction, string])[] = [
  ["accumulator", "m16n8k16", "standard", "accumulator of mma m16n8"],
  ["a", "m16n8k16", "standard", "operand a of mma m16n8k16"],
  ["b", "m16n8k16", "standard", "operand b of mma m16n8k16"],
  ["a", "m16n8k32", "standard", "operand a of mma m16n8k32"],
  ["b", "m16n8k32", "standard", "operand b of mma m16n8k32"],
  ["a", "m16n8k8", "standard", "operand a of mma m16n8k8"],
  ["b", "m16n8k8", "standard", "operand b of mma m16n8k8"],
  ["a", "m16n8k8", "accumulator", "operand a of mma m16n8k8, k as in an accumulator"],
  ["b", "m16n8k8", "accumulator", "operand b of mma m16n8k8, k as in an accumulator"],
];

/** The fragment that the layout is; for an accumulator that is an operand too, both. */
function fragmentTitle(layout: LinearLayout): string | undefined {
  const [rows, columns] = layout.shape;
  if (layout.shape.length !== 2 || layout.bitsOf(LANE) !== 5) return undefined;
  const shape = [rows!, columns!] as const;
  const warps = layout.sizeOf(WARP);
  for (let along = warps; along >= 1; along /= 2) {
    const warpsPerCta = [along, warps / along] as const;
    const titles = new Map<MmaRole, string>();
    for (const [role, instruction, contraction, title] of fragments) {
      const fragment = mmaFragmentShape(instruction, role);
      // A tile smaller than the instruction is held in copies, and by names that do not tell.
      if (titles.has(role) || rows! < fragment[0] || columns! < fragment[1]) continue;
      if (mmaLayout({ instruction, role, contraction, shape, warpsPerCta }).equals(layout)) titles.set(role, title);
    }
    if (titles.size > 0) return `${[...titles.values()].join(" and ")}, warps ${warpsPerCta.join(" x ")}`;
  }
  return undefined;
}

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
