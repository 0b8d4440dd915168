/**
 * @file `inspectKernel`: compiles a kernel and gathers what its author wants to know of the result.
 */
import {
  type CompileDetails,
  type CompiledKernel,
  type CompileOptions,
  compile,
  type SharedTile,
  type Target,
} from "../../codegen/index.ts";
import { findRoots, UNKNOWN_ROOT } from "../../codegen/ptx/roots.ts";
import type { KernelDefinition } from "../../dsl/index.ts";
import {
  type Block,
  elementBytes,
  type Kernel,
  type Location,
  nameValues,
  type Operation,
  ops,
  shapeOf,
  type Value,
} from "../../ir/index.ts";
import { type LinearLayout, REGISTER, titleOfLayout } from "../../layout/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import { type Assembler, assemblePtx, ptxas } from "../cuda/assembler.ts";
import { limitsOf, occupancy } from "../cuda/occupancy.ts";
import { analyzeCubin } from "../cuda/sass/index.ts";
import type { Optional } from "../node/modules.ts";
import { classesOf, sumOf } from "./ptx-classes.ts";
import type {
  BasesReport,
  Inspection,
  LayoutReport,
  MachineReport,
  SharedTileReport,
  TileReport,
  ValueReport,
} from "./report.ts";

export interface InspectOptions extends Omit<CompileOptions, "onDetails"> {
  /** The architecture that PTX is assembled for and occupancy is given for; the target itself if missing. */
  readonly gpu?: string;
  /** ptxas, or why it is not to be asked; it is looked for if missing. */
  readonly assembler?: Optional<Assembler>;
}

/**
 * Compiles a kernel for a target and reports on it. No device is needed; registers, occupancy and machine instructions need `ptxas`, and
 * without it `machine` says why they are missing.
 * @throws what `compile` throws; ArgumentError `ARCHITECTURE` for an unknown `gpu`; CompileError `PTXAS` where ptxas refuses the text.
 */
export async function inspectKernel(
  kernel: KernelDefinition | Kernel,
  target: Target,
  { gpu: chosen, assembler, ...options }: InspectOptions = {},
): Promise<Inspection> {
  const gpu = chosen ?? target;
  if (target !== "wgsl") limitsOf(gpu);
  else if (chosen !== undefined)
    throw new ArgumentError(
      "ARCHITECTURE",
      `gpu "${chosen}" is for PTX: a WGSL kernel is compiled by the device's driver`,
    );
  let details: CompileDetails | undefined;
  const compiled = compile(kernel, target, {
    ...options,
    onDetails(told) {
      details = told;
    },
  });
  const { laidOut, shared, pipelines } = details!;
  const { metadata } = compiled;
  const names = nameValues(laidOut.kernel);
  const { rootOf } = findRoots(laidOut.kernel);
  const reportValue = (value: Value): ValueReport => {
    const load = loadOf(value);
    const root = load && rootOf(load.operands[0]!);
    return {
      name: names.get(value)!,
      ...(root !== undefined && root !== UNKNOWN_ROOT && { parameter: root }),
      location: plain(value.definition?.location),
    };
  };
  const { tiles, layouts } = reportTiles(laidOut.kernel, laidOut.layouts, reportValue);
  const machine = target === "wgsl" ? undefined : await assemble(compiled, gpu, assembler ?? (await ptxas()));
  return {
    kernel: metadata.name,
    target,
    constants: metadata.constants,
    launch: {
      block: metadata.block,
      grid: metadata.grid,
      sharedMemory: metadata.sharedMemory,
      arguments: metadata.arguments,
    },
    source: describeSource(compiled, details!),
    ...(metadata.wgsl && { wgsl: metadata.wgsl }),
    pipelines: pipelines.map(({ location, stages, copies }) => ({
      location: plain(location),
      stages,
      copies: copies.map(({ value, ...copy }) => ({ ...reportValue(value), ...copy })),
    })),
    tiles,
    layouts,
    shared: shared.map((tile, i) => reportShared(tile, i, reportValue)),
    ...(machine && { machine }),
  };
}

/** Locations of traced kernels are read from a stack when asked for: as data they are three fields. */
const plain = (location: Location | undefined): Location | undefined =>
  location && { file: location.file, line: location.line, column: location.column };

/** The load that a value is the result of, moved and converted perhaps. */
function loadOf(value: Value): Operation | undefined {
  const { definition } = value;
  if (!definition) return undefined;
  if (definition.opcode === "view_load" || definition.opcode === "load") return definition;
  return ops[definition.opcode].rearranges || definition.opcode === "cast"
    ? loadOf(definition.operands[0]!)
    : undefined;
}

function describeSource({ source }: CompiledKernel, { text }: CompileDetails): Inspection["source"] {
  const size = { bytes: new TextEncoder().encode(source).length, lines: source.split("\n").length - 1 };
  if (!text) return { language: "WGSL", ...size };
  const { language, opcodes, loops } = text;
  const counted = loops.map(({ location, ...loop }) => ({
    ...loop,
    location: plain(location),
    total: sumOf(loop.opcodes),
    classes: classesOf(loop.opcodes),
  }));
  return { language, ...size, instructions: sumOf(opcodes), loops: counted };
}

function reportTiles(
  kernel: Kernel,
  layouts: ReadonlyMap<Value, LinearLayout>,
  reportValue: (value: Value) => ValueReport,
): { tiles: TileReport[]; layouts: LayoutReport[] } {
  const found = new Map<string, LayoutReport>();
  const tiles: TileReport[] = [];
  const add = (value: Value, opcode: string, location: Location | undefined): void => {
    const layout = layouts.get(value);
    if (!layout) return;
    let report = found.get(layout.key);
    if (!report) {
      report = { id: `layout-${found.size + 1}`, title: titleOfLayout(layout), ...basesOf(layout) };
      found.set(layout.key, report);
    }
    const dtype = value.type.kind === "pointer" ? `pointer ${value.type.dtype}` : value.type.dtype;
    const bytes = value.type.kind === "pointer" ? POINTER_BYTES : elementBytes[value.type.dtype];
    tiles.push({
      ...reportValue(value),
      location: plain(location),
      opcode,
      shape: shapeOf(value.type),
      dtype,
      threadBytes: bytes * layout.sizeOf(REGISTER),
      layout: report.id,
    });
  };
  const visit = (block: Block): void => {
    for (const { opcode, results, blocks, location } of block.operations) {
      for (const inner of blocks) {
        for (const parameter of inner.parameters) add(parameter, opcode, location);
        visit(inner);
      }
      for (const result of results) add(result, opcode, location);
    }
  };
  visit(kernel.body);
  return { tiles, layouts: [...found.values()] };
}

function basesOf(layout: LinearLayout): BasesReport {
  const extents = Object.fromEntries(layout.outs.map(({ name, bits }) => [name, 1 << bits]));
  const bases = layout.ins.map(({ name, bits }): [string, number[][]] => [
    name,
    Array.from({ length: bits }, (_, bit) => layout.basis(name, bit)),
  ]);
  return { extents, bases: Object.fromEntries(bases) };
}

function reportShared(tile: SharedTile, index: number, reportValue: (value: Value) => ValueReport): SharedTileReport {
  const { purpose, value, dtype, memory, offset, places, accesses } = tile;
  const bytesOfElement = dtype === "pointer" ? POINTER_BYTES : elementBytes[dtype];
  return {
    id: `shared-${index + 1}`,
    purpose,
    ...(value ? reportValue(value) : { name: purpose, location: undefined }),
    dtype,
    elementBytes: bytesOfElement,
    bytes: bytesOfElement << memory.outBits,
    offset,
    places,
    accesses: accesses.map((access) => ({ ...access, location: plain(access.location) })),
    ...basesOf(memory),
  };
}

const POINTER_BYTES = 8;
/** The newest architecture whose machine code is read (runtime/cuda/sass). */
const NEWEST_READ = 89;

async function assemble(
  { source, metadata }: CompiledKernel,
  gpu: string,
  found: Optional<Assembler>,
): Promise<Optional<MachineReport>> {
  if ("reason" in found) return found;
  const { cubin, spills, warnings } = await assemblePtx(found.value, source, gpu, { lineInfo: true });
  const { registers, stackBytes, code, loops, mainLoop } = analyzeCubin(cubin)[0]!;
  const isRead = Number(gpu.slice("sm_".length)) <= NEWEST_READ;
  const sharedBytes = metadata.sharedMemory.static + metadata.sharedMemory.dynamic;
  return {
    value: {
      assembler: found.value.version,
      gpu,
      registers,
      stackBytes,
      spills,
      warnings,
      occupancy: occupancy(gpu, { threads: metadata.block[0], registers, sharedBytes }),
      ...(isRead && { code: { instructions: code.total, loops, mainLoop: mainLoop && loops.indexOf(mainLoop) } }),
    },
  };
}
