/** What the pictures say, against the formulas of the PTX ISA and of the swizzle; and what the text says of a machine. */
import { describe, expect, it } from "vitest";
import { compile } from "../../../src/codegen/index.ts";
import { kernel, tl } from "../../../src/dsl/index.ts";
import { matmulKernel } from "../../../src/kernels/matmul/kernel.ts";
import { LinearLayout, swizzledShared } from "../../../src/layout/index.ts";
import {
  type Inspection,
  inspectionFiles,
  inspectKernel,
  renderInspection,
  type SharedTileReport,
} from "../../../src/runtime/inspect/index.ts";
import { drawMemory } from "../../../src/runtime/inspect/memory-picture.ts";
import { colour } from "../../../src/runtime/inspect/svg.ts";
import { drawTile } from "../../../src/runtime/inspect/tile-picture.ts";
import { assemble, describeWithAssembler, noSpills } from "../../ptx/ptxas.ts";

/** The texts of a drawing, in the order in which they are drawn. */
const textsOf = (svg: string): string[] => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text!);

const withoutAssembler = { assembler: { reason: "ptxas is not on the PATH" } } as const;
const types = { dtypes: { A: "f16", B: "f16", C: "f16" } } as const;
const product = (constants: Record<string, number> = {}): Promise<Inspection> =>
  inspectKernel(matmulKernel, "sm_80", { ...types, constants, ...withoutAssembler });

function pictureOf(inspection: Inspection, id: string): string[] {
  return textsOf(inspectionFiles(inspection).find(({ name }) => name === `${id}.svg`)!.text);
}

describe("the picture of a tile", () => {
  it("of an accumulator shows the owners of the PTX ISA's table for mma.m16n8k16", async () => {
    const inspection = await product();
    const accumulator = inspection.tiles.find(({ opcode }) => opcode === "dot")!;
    const texts = pictureOf(inspection, accumulator.layout);
    expect(accumulator.threadBytes).toBe((64 * 64 * 4) / 128);
    expect(texts[0]).toContain("accumulator of mma m16n8, warps 2 x 2");
    expect(texts).toContain("and so on: row + 16 is register + 16; row + 32 is warp + 2; column + 32 is warp + 1");
    const labels = texts.filter((text) => /^T\d+:\d/.test(text) && !text.includes(" "));
    // 16 rows of 32 columns, two columns a cell. In the ISA's words: groupID = lane >> 2, threadID_in_group = lane % 4;
    // row = groupID for c0 and c1, groupID + 8 for c2 and c3; column = threadID_in_group * 2 + (i & 1).
    const expected: string[] = [];
    for (let row = 0; row < 16; row++)
      for (let column = 0; column < 32; column += 2) {
        const lane = ((row % 8) << 2) + ((column % 8) >> 1);
        const first = 4 * (column >> 3) + (row >= 8 ? 2 : 0);
        expected.push(`T${lane}:${first}-${first + 1}`);
      }
    expect(labels).toEqual(expected);
  });

  it("of operand b shows the owners of the PTX ISA's table", async () => {
    const inspection = await product();
    const operand = inspection.layouts.find(({ title }) => title.startsWith("operand b of mma m16n8k16"))!;
    const labels = pictureOf(inspection, operand.id).filter((text) => /^T\d+:\d+$/.test(text));
    // row = threadID_in_group * 2 + (i & 1) for b0 and b1, + 8 for b2 and b3; column = groupID.
    const owner = (row: number, column: number): string =>
      `T${((column % 8) << 2) + ((row % 8) >> 1)}:${(row & 1) + (row % 16 >= 8 ? 2 : 0)}`;
    expect(labels.slice(0, 8)).toEqual(Array.from({ length: 8 }, (_, column) => owner(0, column)));
    const columns = labels.length / 16;
    for (let row = 0; row < 16; row++)
      for (let column = 0; column < 8; column++) expect(labels[row * columns + column]).toBe(owner(row, column));
  });

  it("leaves nothing out silently, wraps a row, and says who holds copies", () => {
    const draw = (bases: Record<string, number[][]>, extents: Record<string, number>): string[] =>
      textsOf(drawTile({ id: "layout-1", title: "", bases, extents }));
    const powers = (count: number, from = 1): number[][] => Array.from({ length: count }, (_, bit) => [from << bit]);
    const row = draw({ warp: [[0]], lane: powers(5), register: powers(5, 32) }, { dim0: 1024 });
    expect(row).toContain("tile [1024]; drawn: elements 0 to 255");
    expect(row).toContain("and so on: element + 256, 512 is register + 8, 16");
    expect(row).toContain("copies: warp + 1 holds the same again");
    expect(row.filter((text) => /^T\d+:\d+$/.test(text)).length).toBe(256);
    const lanes = Array.from({ length: 12 }, (_, bit) => [(1 << bit) | (bit < 11 ? 2 << bit : 0)]);
    const mixed = draw({ thread: lanes, register: [] }, { dim0: 4096 });
    expect(mixed[1]).toBe("tile [4096]; drawn: elements 0 to 1023, the rest is cut off");
    const cube = draw(
      {
        lane: [
          [1, 0, 0],
          [0, 1, 0],
        ],
        register: [[0, 0, 1]],
      },
      { dim0: 2, dim1: 2, dim2: 2 },
    );
    expect(cube).toContain("tile [2, 2, 2], all axes but the last one as rows");
    expect(cube.filter((text) => /^T\d+:\d-\d$/.test(text))).toEqual(["T0:0-1", "T2:0-1", "T1:0-1", "T3:0-1"]);
  });
});

it("colours are those of CSS's hsl()", () => {
  expect([colour(0, 100, 50), colour(120, 100, 25), colour(240, 50, 75), colour(60, 0, 100)]).toEqual([
    "#ff0000",
    "#008000",
    "#9f9fdf",
    "#ffffff",
  ]);
});

describe("the picture of shared memory", () => {
  it("shows the XOR swizzle, and that ldmatrix's eight rows lie in different banks", async () => {
    const inspection = await product({ BLOCK_K: 64 });
    const tile = inspection.shared.find(({ parameter }) => parameter === "a")!;
    const texts = pictureOf(inspection, tile.id);
    expect(texts[0]).toBe(`${tile.id}: ${tile.name} (a), f16 in shared memory`);
    const places = texts.filter((text) => /^\(\d+, \d+\)$/.test(text));
    // A row of 64 halves is 128 bytes, a line; row r has its 16-byte vector v in place v ^ (r % 8).
    const expected = Array.from({ length: 64 }, (_, i) => `(${i >> 3}, ${8 * ((i & 7) ^ (i >> 3))})`);
    expect(places).toEqual(expected);
    const reads = tile.accesses.findIndex(({ kind }) => kind === "read");
    const letter = String.fromCharCode(65 + reads);
    const marks = texts.flatMap((text) => text.split(" ").filter((word) => new RegExp(`^${letter}\\d$`).test(word)));
    expect(marks.sort()).toEqual(Array.from({ length: 8 }, (_, lane) => `${letter}${lane}`));
    expect(texts).toContain(
      `${letter} read ldmatrix.x4, 16 bytes a lane, at kernel.ts:${tile.accesses[reads]!.location!.line}: 4 wavefronts, no bank conflict`,
    );
  });

  it("shows bank conflicts where rows are not swizzled", () => {
    const memory = swizzledShared({ shape: [64, 64] });
    const bases = { offset: memory.columns.map((_, bit) => memory.basis("offset", bit)) };
    const lanes = [128, 256, 512];
    const tile: SharedTileReport = {
      ...{ id: "shared-1", purpose: "operand", name: "%x", location: undefined, dtype: "f16", elementBytes: 2 },
      ...{ bytes: 8192, offset: 0, places: 1, extents: { dim0: 64, dim1: 64 }, bases },
      accesses: [
        {
          ...{ kind: "read", instruction: "ldmatrix.x1", bytes: 16, lanes, location: undefined },
          conflicts: { wavefronts: 8, ideal: 1, conflicts: 7 },
        },
      ],
    };
    const texts = textsOf(drawMemory(tile));
    expect(texts.some((text) => text.endsWith("8 wavefronts instead of 1: bank conflicts"))).toBe(true);
    // All rows in the first place: places 0, 8, 16, ...
    const places = texts.filter((text) => /^\(\d+, \d+\)$|^A\d$/.test(text));
    expect(places.filter((text) => text.startsWith("A"))).toEqual(["A0", "A1", "A2", "A3", "A4", "A5", "A6", "A7"]);
    for (let lane = 0; lane < 8; lane++) expect(places[places.indexOf(`A${lane}`) - 1]).toBe(`(${lane}, 0)`);
    expect(LinearLayout.fromBases(bases, tile.extents).equals(memory)).toBe(true);
  });
});

describe("what is said of the machine", () => {
  it("without ptxas: that it is missing, what it would tell and how to get it; and the rest", async () => {
    const inspection = await product();
    expect(inspection.machine).toEqual(withoutAssembler.assembler);
    const text = renderInspection(inspection);
    expect(text).toMatch(/registers +unknown, and so are spills, occupancy and machine instructions: they need ptxas/);
    expect(text).toContain("ptxas is not on the PATH");
    expect(text).toContain("developer.nvidia.com/cuda-downloads");
    expect(text).toMatch(/PTX instructions of each loop[\s\S]*\$loop_0[\s\S]*mma +16 /);
    expect(text).toMatch(
      /ahead +loop at kernel.ts:\d+, 3 stages\n +%\d+ \(a\) at kernel.ts:\d+: 4 KiB x 3, 2 turns ahead/,
    );
  });

  it("refuses a GPU that it does not know, and one for WGSL", async () => {
    await expect(inspectKernel(matmulKernel, "sm_80", { ...types, gpu: "sm_70" })).rejects.toThrow(/"sm_70".*sm_80/);
    await expect(inspectKernel(matmulKernel, "wgsl", { ...types, gpu: "sm_80" })).rejects.toThrow(/"sm_80" is for PTX/);
  });

  it("of a kernel without tiles there is nothing to draw", async () => {
    const setOne = kernel({
      name: "set_one",
      params: { x: tl.pointer("f32") },
      grid: () => [1],
      body: (p) => tl.store(p.x, tl.full([], 1, "f32")),
    });
    const inspection = await inspectKernel(setOne, "sm_80", withoutAssembler);
    expect([inspection.tiles, inspection.layouts, inspection.shared]).toEqual([[], [], []]);
    expect(inspectionFiles(inspection).map(({ name }) => name)).toEqual(["index.html", "inspection.json"]);
  });
});

describeWithAssembler("with ptxas", () => {
  it("registers and spills are those that ptxas reports, occupancy is worked out from them", async () => {
    const inspection = await inspectKernel(matmulKernel, "sm_80", types);
    if (!inspection.machine || "reason" in inspection.machine) throw new Error("ptxas was not found");
    const { registers, spills, occupancy, code } = inspection.machine.value;
    const assembled = await assemble(compile(matmulKernel, "sm_80", types).source);
    expect({ registers, spills }).toEqual({ registers: assembled.registers, spills: noSpills });
    // 4 warps of a multiple of 8 registers; a scheduler has 16384 of them, and 16 warps at most. 24 KiB and 1 KiB: 6 blocks.
    const ofWarp = Math.ceil(registers / 8) * 8 * 32;
    const blocks = Math.min(Math.floor(16384 / ofWarp), 16, Math.floor((164 * 1024) / (24576 + 1024)));
    expect(occupancy.blocks).toBe(blocks);
    // A turn multiplies 64 x 64 x 32, in products of 16 x 8 x 16 that 4 warps share out; all come from the line of the dot.
    const main = code!.loops[code!.mainLoop!]!;
    expect(main.classes.mma).toBe((64 * 64 * 32) / (16 * 8 * 16) / 4);
    const [dot] = inspection.tiles.filter(({ opcode }) => opcode === "dot");
    const ofDot = main.lines.find(({ file, line }) => file === dot!.location!.file && line === dot!.location!.line)!;
    expect(ofDot.classes.mma).toBe(main.classes.mma);
    expect(renderInspection(inspection)).toContain(`${registers} a thread, no spill, 0 bytes of stack`);
  });

  it("another GPU's limits count, and machine code that is not read is not guessed", async () => {
    const { machine } = await inspectKernel(matmulKernel, "sm_80", { ...types, gpu: "sm_90" });
    expect(machine).toMatchObject({ value: { gpu: "sm_90" } });
    expect((machine as { value: object }).value).not.toHaveProperty("code");
  });
});
