/** What is the emulated device's own: what it is, and how a kernel's mistake is told. Its operators are tested in test/kernels/*ptx.test.ts. */
import { expect, it } from "vitest";
import { kernel, tl } from "../../../src/dsl/index.ts";
import { type LaunchReport, PtxFault } from "../../../src/emulator/index.ts";
import { createDevice } from "../../../src/runtime/index.ts";

const printed: string[] = [];
const reports: [kernel: string, report: LaunchReport][] = [];
const device = await createDevice({
  backend: "cuda",
  emulate: true,
  onPrint: (line) => printed.push(line),
  onReport: (...report) => reports.push(report),
});

const trusting = kernel({
  name: "trusting",
  params: { x: tl.pointer("f32"), out: tl.pointer("f32") },
  grid: () => [1],
  body(p) {
    const at = tl.arange(0, 64);
    tl.print("begins", tl.programId(0));
    tl.store(p.out.add(at), tl.load(p.x.add(at)));
  },
});

it("is a CUDA device", () => {
  expect([device.backend, device.computeCapability]).toEqual(["cuda", [8, 0]]);
});

it("throws at the launch what the kernel does wrong, after what it printed", () => {
  using x = device.zeros([60], "f32");
  using out = device.zeros([64], "f32");
  const launch = () => device.launch(trusting, { x, out });
  expect(launch).toThrow(PtxFault);
  expect(launch).toThrow(expect.objectContaining({ code: "PTX_OUT_OF_BOUNDS" }));
  expect(launch).toThrow(/from .*emulated\.test\.ts:\d+/);
  expect(printed).toEqual(new Array(3).fill("trusting[0,0,0] begins: 0"));
});

it("finds programs that write to one place, and says whose line and which tensor it is; a check can be left out", async () => {
  const last = kernel({
    name: "last",
    params: { out: tl.pointer("i32") },
    grid: () => [3],
    body(p) {
      tl.store(p.out.add(2), tl.programId(0));
    },
  });
  using out = device.zeros([4], "i32");
  let fault: unknown;
  try {
    device.launch(last, { out });
  } catch (error) {
    fault = error;
  }
  expect(fault).toMatchObject({
    code: "PTX_GLOBAL_RACE",
    place: { block: [1, 0, 0], other: { block: [0, 0, 0], source: expect.stringMatching(/emulated\.test\.ts:\d+/) } },
  });
  expect(String(fault)).toMatch(/byte 8 of a tensor\), of parameter \w*out/);

  using trusted = await createDevice({ backend: "cuda", emulate: { checkGlobalRaces: false } });
  using place = trusted.zeros([4], "i32");
  trusted.launch(last, { out: place });
  expect(await place.read()).toEqual(Int32Array.of(0, 0, 2, 0));
});

it("tells where accesses to memory conflict, by the author's line", () => {
  const strided = kernel({
    name: "strided",
    params: { x: tl.pointer("f32"), out: tl.pointer("f32") },
    grid: () => [1],
    body(p) {
      const at = tl.arange(0, 128);
      tl.store(p.out.add(at), tl.load(p.x.add(at.mul(16))));
    },
  });
  using x = device.zeros([2048], "f32");
  using out = device.zeros([128], "f32");
  device.launch(strided, { x, out });
  const [name, { globalAccesses, sharedAccesses, instructions }] = reports.at(-1)!;
  expect([name, sharedAccesses]).toEqual(["strided", []]);
  expect(instructions).toBeGreaterThan(0);
  // Rows of 64 bytes: each lane reads from a sector of its own; the stores lie side by side.
  expect(globalAccesses.map(({ sectors, leastSectors }) => [sectors, leastSectors])).toEqual([
    [128, 16],
    [16, 16],
  ]);
  for (const { source } of globalAccesses) expect(source).toMatch(/emulated\.test\.ts:\d+$/);
});
