/**
 * Inspections of every kernel of the library, without ptxas: what they say must agree with the text that the compiler writes and with
 * countings that know nothing of linear algebra.
 */
import { describe, expect, it } from "vitest";
import { compile, type SharedAccess, targets } from "../../../src/codegen/index.ts";
import { libraryKernels } from "../../../src/kernels/registry.ts";
import {
  type BasesReport,
  type Inspection,
  inspectionFiles,
  inspectKernel,
  renderInspection,
} from "../../../src/runtime/inspect/index.ts";

const without = { assembler: { reason: "not asked for" } } as const;

/** The elements that all places of a layout hold, by definition: the XOR of the coordinates of the place's set bits. */
function heldElements({ bases, extents }: BasesReport): Set<string> {
  let held = [Object.keys(extents).map(() => 0)];
  for (const basis of Object.values(bases).flat())
    held = held.flatMap((element) => [element, element.map((coordinate, axis) => coordinate ^ basis[axis]!)]);
  return new Set(held.map((element) => element.join()));
}

/** Wavefronts of an access by counting: passes of 32, 16 or 8 lanes, each as long as the most words that it wants of one bank. */
function countWavefronts({ lanes, bytes }: SharedAccess): number {
  const placeOf = (lane: number): number =>
    lanes.reduce((place, offset, bit) => place ^ ((lane >> bit) & 1 ? offset : 0), 0);
  const perPass = bytes <= 4 ? 32 : bytes === 8 ? 16 : 8;
  const count = 1 << lanes.length;
  let wavefronts = 0;
  for (let first = 0; first < count; first += perPass) {
    const words = new Map<number, Set<number>>();
    for (let lane = first; lane < Math.min(count, first + perPass); lane++)
      for (let byte = 0; byte < bytes; byte += 4) {
        const word = (placeOf(lane) + byte) >> 2;
        words.set(word % 32, (words.get(word % 32) ?? new Set()).add(word));
      }
    wavefronts += Math.max(...[...words.values()].map((wanted) => wanted.size));
  }
  return wavefronts;
}

/** Instructions of PTX: statements between the braces, without directives. */
const ptxInstructions = (source: string): string[] =>
  source
    .slice(source.indexOf("{\n"))
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.endsWith(";") && !line.startsWith("."));

function checkCommon(inspection: Inspection): void {
  const { tiles, layouts, shared } = inspection;
  expect(JSON.parse(JSON.stringify(inspection))).toEqual(inspection);
  const known = new Map(layouts.map((layout) => [layout.id, layout]));
  for (const { layout, shape } of tiles) expect(Object.values(known.get(layout)!.extents)).toEqual(shape);
  expect(new Set(tiles.map(({ layout }) => layout)).size).toBe(layouts.length);
  // Every element is held by somebody, and everything is drawn.
  for (const report of [...layouts, ...shared])
    expect(heldElements(report).size).toBe(
      Object.values(report.extents).reduce((product, extent) => product * extent, 1),
    );
  const files = inspectionFiles(inspection);
  const page = files.find(({ name }) => name === "index.html")!.text;
  for (const [, picture] of page.matchAll(/src="([^"]+)"/g)) expect(files.map(({ name }) => name)).toContain(picture);
  for (const { id } of [...layouts, ...shared]) expect(page).toContain(id);
  for (const { name, text } of files) {
    expect(text, name).not.toMatch(/NaN|undefined|Infinity|\[object/);
    if (!name.endsWith(".svg")) continue;
    const opened = [...text.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g)];
    expect(opened.filter(([, closing, , empty]) => !closing && !empty).length).toBe(
      opened.filter(([, closing]) => closing).length,
    );
    expect(text.length, name).toBeLessThan(100_000);
  }
}

function checkPtx(inspection: Inspection, source: string): void {
  const { source: text, launch, shared, pipelines, machine } = inspection;
  const instructions = ptxInstructions(source);
  expect(text.instructions).toBe(instructions.length);
  expect(text.bytes).toBe(Buffer.byteLength(source));
  for (const { label, total, classes } of text.loops!) {
    // Inner loops are counted by themselves.
    expect(source).toContain(`\n${label}:\n`);
    expect(Object.values(classes).reduce((sum, count) => sum + count, 0)).toBe(total);
  }
  expect(source).toContain(`.maxntid ${launch.block[0]}, 1, 1`);
  const bytes = launch.sharedMemory.static + launch.sharedMemory.dynamic;
  for (const { offset, bytes: size, accesses } of shared) {
    expect(offset + size).toBeLessThanOrEqual(bytes);
    expect(accesses.some(({ kind }) => kind === "write") && accesses.some(({ kind }) => kind === "read")).toBe(true);
    for (const access of accesses) {
      const [name, suffix = ""] = access.instruction.split(/(\.trans)$/);
      const form = name!.startsWith("ldmatrix")
        ? name!.replace("ldmatrix", "ldmatrix.sync.aligned.m8n8") + suffix
        : name!;
      expect(instructions.some((line) => line.includes(form))).toBe(true);
    }
  }
  const copies = instructions.filter((line) => line.includes("cp.async.c")).length;
  expect(copies > 0).toBe(pipelines.length > 0);
  expect(shared.filter(({ accesses }) => accesses.some(({ instruction }) => instruction === "cp.async")).length).toBe(
    pipelines.reduce((sum, pipeline) => sum + pipeline.copies.length, 0),
  );
  expect(machine).toEqual(without.assembler);
}

function checkWgsl({ launch, wgsl, source: text, machine }: Inspection, source: string): void {
  expect(machine).toBeUndefined();
  expect(text).toMatchObject({ language: "WGSL", bytes: Buffer.byteLength(source) });
  expect(source).toContain(`@workgroup_size(${launch.block[0]})`);
  const bound = source.match(/@binding\(\d+\)/g)!.length;
  expect(wgsl!.buffers.length + (wgsl!.uniform ? 1 : 0)).toBe(bound);
  const arena = /var<workgroup> \w+: array<u32, (\d+)>/.exec(source);
  expect(launch.sharedMemory.static).toBe(4 * Number(arena?.[1] ?? 0));
}

/** One of each kind: these are compiled once more, for their text. */
const representatives = [
  "attention_backward_keys",
  "attention_split_paged",
  "matmul",
  "rope",
  "embedding_sort",
  "softmax",
];

describe("inspections of the library's kernels", () => {
  it.each(Object.keys(libraryKernels))("%s", async (name) => {
    const { definition, example } = libraryKernels[name]!;
    const inspection = await inspectKernel(definition, "sm_80", { ...example, ...without });
    checkCommon(inspection);
    for (const access of inspection.shared.flatMap(({ accesses }) => accesses))
      expect(access.conflicts.wavefronts).toBe(countWavefronts(access));
    for (const { classes } of inspection.source.loops!) expect(classes.other ?? 0).toBe(0);
    expect(renderInspection(inspection)).toContain(`${name} for sm_80`);
  });

  it.each(representatives.flatMap((name) => targets.map((target) => [name, target] as const)))(
    "%s agrees with its text for %s",
    async (name, target) => {
      const { definition, example } = libraryKernels[name]!;
      const inspection = await inspectKernel(definition, target, { ...example, ...without });
      const { source } = compile(definition, target, example);
      if (target === "wgsl") checkCommon(inspection);
      (target === "wgsl" ? checkWgsl : checkPtx)(inspection, source);
    },
  );
});
