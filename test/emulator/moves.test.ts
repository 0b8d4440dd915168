/** Loads, stores, parameters and ldmatrix of nvcc, by every name that kernels use: bytes arrive where they belong. */
import { describe, expect, it } from "vitest";
import { EmulatedGpu } from "../../src/emulator/index.ts";
import { launchFixture, readFixture } from "./fixture.ts";
import { formsOf } from "./forms.ts";

const threads = 64;
const bytes = Uint8Array.from({ length: threads * 16 }, (_, i) => (i * 151 + (i >> 4)) & 255);
const view = new DataView(bytes.buffer);

describe("loads and stores of nvcc", () => {
  it("from global to shared memory and back, one to four numbers at a time", () => {
    const widths = [1, 2, 4, 8, 1, 1, 2, 4, 4, 8, 4, 8, 16, 8, 16, 16];
    const out = new Uint8Array(widths.length * bytes.length);
    launchFixture("moves", "between", { threads }, out, bytes);
    widths.forEach((width, row) => {
      // The neighbour's bytes, as many as are moved.
      const expected = bytes.map((_, at) => (at % 16 < width ? bytes[at ^ 16]! : 0));
      expect([...out.subarray(row * bytes.length, (row + 1) * bytes.length)]).toEqual([...expected]);
    });
  });

  it("bytes and halves extended, constants and local memory", () => {
    const read: Readonly<Record<string, (at: number) => number>> = {
      u8: (at) => view.getUint8(at),
      s8: (at) => view.getInt8(at),
      u16: (at) => view.getUint16(at, true),
      s16: (at) => view.getInt16(at, true),
    };
    const forms = formsOf("moves", "extended");
    expect(forms.length).toBe(8);
    const out = new Int32Array((forms.length + 3) * threads);
    launchFixture("moves", "extended", { threads }, out, bytes);
    const row = (at: number): number[] => [...out.subarray(at * threads, (at + 1) * threads)];
    const upTo = Array.from({ length: threads }, (_, i) => i);
    forms.forEach((form, at) => {
      expect([form, row(at)]).toEqual([form, upTo.map((i) => read[form.split(".").at(-1)!]!(16 * i))]);
    });
    const constants = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7, 9, 5];
    expect(row(8)).toEqual(upTo.map(() => constants[4]));
    expect(row(9)).toEqual(upTo.map((i) => constants[(i * 7) & 31]));
    expect(row(10)).toEqual(upTo.map((i) => (i * 77) ^ (i << 20)));
  });

  it("parameters of every type", () => {
    const gpu = new EmulatedGpu();
    const module = gpu.loadModule(readFixture("moves"));
    const { parameters, parameterBytes } = module.entries.get("parameters")!;
    const values = new DataView(new ArrayBuffer(parameterBytes));
    const out = gpu.allocate(8 * 11, "out");
    const at = parameters.map(({ offset }) => offset);
    values.setBigUint64(at[0]!, out, true);
    values.setUint8(at[1]!, 200);
    values.setInt8(at[2]!, -100);
    values.setUint16(at[3]!, 60000, true);
    values.setInt32(at[4]!, -(2 ** 31), true);
    values.setUint32(at[5]!, 2 ** 32 - 1, true);
    values.setFloat32(at[6]!, 0.375, true);
    values.setBigInt64(at[7]!, -(2n ** 50n), true);
    values.setBigUint64(at[8]!, 2n ** 63n, true);
    values.setFloat64(at[9]!, 1 / 3, true);
    gpu.launch(module, "parameters", {
      grid: [1, 1, 1],
      block: [1, 1, 1],
      parameters: new Uint8Array(values.buffer),
    });
    const given = [200, -100, 60000, -(2 ** 31), 2 ** 32 - 1, 0.375, -(2 ** 50), 2 ** 63, 1 / 3];
    const got = new Float64Array(gpu.read(out, 8 * 11).slice().buffer);
    expect([...got]).toEqual([0, ...given, given.reduce((a, b) => a + b)]);
  });

  it("one and two matrices of 8 by 8, transposed too", () => {
    const elements = Uint16Array.from({ length: 128 }, (_, i) => i * 509);
    const out = new Uint32Array(7 * 32);
    launchFixture("moves", "few_matrices", { threads: 32 }, out, new Uint32Array(elements.slice().buffer));
    const element = (matrix: number, row: number, column: number): number => elements[matrix * 64 + row * 8 + column]!;
    const lanes = Array.from({ length: 32 }, (_, lane) => [lane >> 2, 2 * (lane & 3)] as const);
    const plain = (m: number) =>
      lanes.map(([row, at]) => (element(m, row, at) | (element(m, row, at + 1) << 16)) >>> 0);
    const turned = (m: number) =>
      lanes.map(([row, at]) => (element(m, at, row) | (element(m, at + 1, row) << 16)) >>> 0);
    expect([...out]).toEqual([plain(0), turned(0), plain(0), plain(1), turned(0), turned(1), turned(0)].flat());
  });
});
