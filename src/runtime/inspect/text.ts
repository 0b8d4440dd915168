/**
 * @file An inspection as text for a terminal.
 */
import type { SharedAccess } from "../../codegen/index.ts";
import type { Location } from "../../ir/index.ts";
import { limitsOf, type OccupancyLimit } from "../cuda/occupancy.ts";
import { classDescriptions, type InstructionClass, instructionClasses, type LoopMix } from "../cuda/sass/index.ts";
import type {
  ClassCounts,
  Inspection,
  LayoutReport,
  MachineReport,
  PipelineReport,
  SharedTileReport,
  ValueReport,
} from "./report.ts";

/** How to come by ptxas, for those who lack it. */
const GET_PTXAS =
  "ptxas comes with NVIDIA's CUDA toolkit (developer.nvidia.com/cuda-downloads), and with the Python package nvidia-cuda-nvcc; put it on the PATH";

const WARP_SIZE = 32;
const LABEL_WIDTH = 12;
/** Names of tiles that a line shows. */
const SHOWN_NAMES = 6;
/** Lines of the source that are shown for a loop, and classes of each. */
const SHOWN_LINES = 12;
const SHOWN_CLASSES = 4;

export function showBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  return `${Number((bytes / 1024).toFixed(1))} KiB`;
}

/** The last part of the path, and the line. */
export const showLocation = (location: Location | undefined): string =>
  location ? `${location.file.split(/[/\\]/).at(-1)}:${location.line}` : "made by the compiler";

/** "write cp.async, 16 bytes a lane, at kernel.ts:19: 4 wavefronts, no bank conflict". */
export function describeAccess({ kind, instruction, bytes, location, conflicts }: SharedAccess): string {
  const { wavefronts, ideal } = conflicts;
  const cost = `${wavefronts} wavefront${wavefronts === 1 ? "" : "s"}`;
  const verdict = wavefronts === ideal ? `${cost}, no bank conflict` : `${cost} instead of ${ideal}: bank conflicts`;
  return `${kind} ${instruction}, ${bytes} bytes a lane, at ${showLocation(location)}: ${verdict}`;
}

/** "%53 (k)". */
export const showName = ({ name, parameter }: ValueReport): string =>
  parameter === undefined ? name : `${name} (${parameter})`;

const labelled = (label: string, lines: readonly string[]): string[] =>
  lines.map((line, i) => `${(i === 0 ? label : "").padEnd(LABEL_WIDTH)}${line}`);

/** The whole inspection, a finding a line. */
export function renderInspection(inspection: Inspection): string {
  const { kernel, target, constants, launch, machine, pipelines, layouts, shared } = inspection;
  const { block, grid, sharedMemory } = launch;
  const threads = block[0] * block[1] * block[2];
  const settings = Object.entries(constants).map(([name, value]) => `${name}=${value}`);
  const bytes = sharedMemory.static + sharedMemory.dynamic;
  const kind = target === "wgsl" ? "" : sharedMemory.dynamic > 0 ? ", dynamic" : ", static";
  const lines = [
    `${kernel} for ${target}`,
    ...labelled("constants", [settings.join(" ") || "none"]),
    ...labelled("block", [
      target === "wgsl" ? `${threads} invocations` : `${threads} threads, ${Math.ceil(threads / WARP_SIZE)} warps`,
    ]),
    ...labelled("grid", [grid?.join(" x ") ?? "given by the launch"]),
    ...labelled(target === "wgsl" ? "workgroup" : "shared", [`${showBytes(bytes)}${bytes > 0 ? kind : ""}`]),
    ...labelled("text", [describeText(inspection)]),
    ...describeBindings(inspection),
    ...(target === "wgsl" ? [] : labelled("ahead", describePipelines(pipelines))),
  ];
  if (machine) lines.push(...("reason" in machine ? describeMissing(machine.reason) : describeMachine(machine.value)));
  lines.push(...describeLoops(inspection));
  if (shared.length > 0) lines.push("", "tiles in shared memory", ...shared.flatMap(describeShared));
  if (layouts.length > 0)
    lines.push("", "layouts of tiles", ...layouts.map((layout) => describeLayout(layout, inspection)));
  return lines.join("\n");
}

function describeText({ source }: Inspection): string {
  const { language, bytes, lines, instructions } = source;
  const counted = instructions === undefined ? "" : `, ${instructions} instructions`;
  return `${language}${counted}, ${lines} lines, ${showBytes(bytes)}`;
}

function describeBindings({ wgsl }: Inspection): string[] {
  if (!wgsl) return [];
  const buffers = wgsl.buffers.map(({ parameter, access }) => `${parameter} (${access})`);
  return [
    ...labelled("storage", [`${buffers.length} buffers: ${buffers.join(", ")}`]),
    ...labelled("uniforms", [wgsl.uniform ? `${wgsl.uniform.size} bytes` : "none"]),
    ...labelled("features", [wgsl.features.join(", ") || "none"]),
  ];
}

function describePipelines(pipelines: readonly PipelineReport[]): string[] {
  if (pipelines.length === 0) return ["no loop copies tiles ahead"];
  return pipelines.flatMap(({ location, stages, copies }) => [
    `loop at ${showLocation(location)}, ${copies.some(({ places }) => places > 1) ? `${stages} stages` : "one place a tile"}`,
    ...copies.map((copy) => {
      const { location: load, bytes, places, turnsAhead } = copy;
      const when = turnsAhead === 0 ? "earlier in the turn" : `${turnsAhead} turn${turnsAhead === 1 ? "" : "s"} ahead`;
      return `  ${showName(copy)} at ${showLocation(load)}: ${showBytes(bytes)} x ${places}, ${when}`;
    }),
  ]);
}

const describeMissing = (reason: string): string[] =>
  labelled("registers", [
    "unknown, and so are spills, occupancy and machine instructions: they need ptxas",
    `${reason}`,
    GET_PTXAS,
  ]);

function describeMachine(machine: MachineReport): string[] {
  const { assembler, gpu, registers, stackBytes, spills, warnings, code } = machine;
  const spilled = spills.stores + spills.loads;
  const spillText =
    spilled > 0 ? `SPILLS ${spills.stores} bytes of stores, ${spills.loads} bytes of loads` : "no spill";
  return [
    ...labelled("registers", [`${registers} a thread, ${spillText}, ${stackBytes} bytes of stack`]),
    ...labelled("occupancy", describeOccupancy(machine)),
    ...labelled("machine", [
      code
        ? `${code.instructions} instructions for ${gpu}, by ptxas ${assembler}`
        : `for ${gpu}, by ptxas ${assembler}; its instructions are not read, only those of sm_80 to sm_89`,
      ...warnings,
    ]),
  ];
}

function describeOccupancy({ gpu, occupancy }: MachineReport): string[] {
  const { blocks, warps, share, allowed, limitedBy } = occupancy;
  const each = (Object.entries(allowed) as [OccupancyLimit, number][]).map(([limit, count]) => `${limit} ${count}`);
  if (blocks === 0)
    return [`none: a block does not fit a multiprocessor of ${gpu}, for its ${limitedBy.join(" and ")}`];
  return [
    `${blocks} block${blocks === 1 ? "" : "s"} or ${warps} of ${limitsOf(gpu).warps} warps a multiprocessor of ${gpu} (${Math.round(100 * share)}%)`,
    `limited by ${limitedBy.join(" and ")}; blocks that each would allow: ${each.join(", ")}`,
  ];
}

/** A table with a column for each loop, of machine instructions where they are known. */
function describeLoops({ machine, source }: Inspection): string[] {
  if (machine && "value" in machine && machine.value.code) {
    const { loops, mainLoop } = machine.value.code;
    if (loops.length === 0) return [];
    const heads = loops.map((loop, i) => `0x${loop.start.toString(16)}${i === mainLoop ? "*" : ""}`);
    const ratio = (value: number | undefined): string => value?.toFixed(2) ?? "-";
    return [
      "",
      `machine instructions of a turn of each innermost loop, by where it starts${mainLoop === undefined ? "" : " (* the main loop)"}`,
      ...loopTable(heads, loops, [
        ["others per mma", loops.map(({ nonMmaPerMma }) => ratio(nonMmaPerMma))],
        ["ldmatrix per mma", loops.map(({ ldmatrixPerMma }) => ratio(ldmatrixPerMma))],
      ]),
      ...(mainLoop === undefined ? [] : describeLines(loops[mainLoop]!)),
    ];
  }
  const loops = source.loops ?? [];
  if (loops.length === 0) return [];
  return [
    "",
    "PTX instructions of each loop, without inner loops, with both arms of branches",
    ...loopTable(
      loops.map(({ label }) => label),
      loops,
      [["at", loops.map(({ location }) => (location ? showLocation(location) : "-"))]],
    ),
  ];
}

/** Where the instructions of a loop come from. */
function describeLines({ lines }: LoopMix): string[] {
  if (lines.length === 0) return [];
  const rows = lines.slice(0, SHOWN_LINES).map(({ total, file, line, classes }) => {
    const most = (Object.entries(classes) as [InstructionClass, number][]).sort((a, b) => b[1] - a[1]);
    const parts = most.slice(0, SHOWN_CLASSES).map(([kind, count]) => `${kind} ${count}`);
    return [`${total}`, showLocation({ file, line, column: 1 }), parts.join(", ")] as const;
  });
  const [first, second] = [0, 1].map((cell) => Math.max(...rows.map((row) => row[cell]!.length))) as [number, number];
  return [
    "",
    "the main loop by lines of the source",
    ...rows.map(([total, at, parts]) => `  ${total.padStart(first)}  ${at.padEnd(second)}  ${parts}`),
    ...(lines.length > SHOWN_LINES ? [`  and ${lines.length - SHOWN_LINES} lines more`] : []),
  ];
}

function loopTable(
  heads: readonly string[],
  loops: readonly { readonly total: number; readonly classes: ClassCounts }[],
  more: readonly (readonly [string, readonly string[]])[],
): string[] {
  const present = instructionClasses.filter((kind) => loops.some(({ classes }) => classes[kind] !== undefined));
  const rows: (readonly [string, readonly string[], string])[] = [
    ["", heads, ""],
    ["all", loops.map(({ total }) => `${total}`), ""],
    ...present.map((kind: InstructionClass): [string, string[], string] => [
      kind,
      loops.map(({ classes }) => `${classes[kind] ?? 0}`),
      classDescriptions[kind],
    ]),
    ...more
      .filter(([, cells]) => cells.some((cell) => cell !== "-"))
      .map(([name, cells]): [string, readonly string[], string] => [name, cells, ""]),
  ];
  const first = Math.max(...rows.map(([name]) => name.length));
  const widths = heads.map((_, i) => Math.max(...rows.map(([, cells]) => cells[i]!.length)));
  return rows.map(([name, cells, note]) =>
    `  ${name.padEnd(first)}  ${cells.map((cell, i) => cell.padStart(widths[i]!)).join("  ")}  ${note}`.trimEnd(),
  );
}

function describeShared(tile: SharedTileReport): string[] {
  const { id, purpose, dtype, extents, bytes, places, offset, accesses } = tile;
  const shape = Object.values(extents).join(" x ");
  const ring = places > 1 ? ` x ${places}` : "";
  return [
    `  ${id}  ${showName(tile)}: ${shape} ${dtype}, ${showBytes(bytes)}${ring} from byte ${offset} on (${purpose})`,
    ...accesses.map((access) => `    ${describeAccess(access)}`),
  ];
}

function describeLayout({ id, title, extents }: LayoutReport, { tiles }: Inspection): string {
  const names = [...new Set(tiles.filter(({ layout }) => layout === id).map(({ name }) => name))];
  const shown = names.slice(0, SHOWN_NAMES).join(" ");
  const rest = names.length > SHOWN_NAMES ? ` and ${names.length - SHOWN_NAMES} more` : "";
  return `  ${id.padEnd(10)}[${Object.values(extents).join(", ")}]  ${title}: ${shown}${rest}`;
}
