import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { byteSourceOf, modelFilesOf, modelFilesOfDirectory } from "../../src/models/aquila2/byte-source.ts";
import { openCheckpoint } from "../../src/models/aquila2/checkpoint.ts";
import { openSafetensors, readTensorBytes } from "../../src/models/aquila2/safetensors.ts";
import { TilewrightError } from "../../src/support/errors.ts";
import { assemble, errorOf, safetensorsFile, type TestTensor } from "./files.ts";

const floats = new Float32Array([1, -2.5, 3.25, 0, -0, 1e-30]);
const tensors: TestTensor[] = [
  { name: "a.weight", dtype: "F32", shape: [2, 3], data: new Uint8Array(floats.buffer) },
  { name: "b.weight", dtype: "BF16", shape: [2], data: new Uint8Array([0x80, 0x3f, 0x20, 0xc0]) },
  { name: "odd", dtype: "U8", shape: [3], data: new Uint8Array([7, 8, 9]) },
  { name: "c.weight", dtype: "F16", shape: [1, 1], data: new Uint8Array([0x00, 0x3c]) },
  { name: "scalar", dtype: "I64", shape: [], data: new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]) },
  { name: "empty", dtype: "F32", shape: [0, 4], data: new Uint8Array(0) },
];
const valid = safetensorsFile(tensors, { format: "pt" });

const open = (file: Uint8Array) => openSafetensors(byteSourceOf("model.safetensors", file));
const header = (value: unknown, dataLength: number) => assemble(JSON.stringify(value), new Uint8Array(dataLength));

describe("a valid file", () => {
  test("gives every tensor's dtype, shape and bytes, and the metadata", async () => {
    const file = await open(valid);
    expect(file.metadata).toEqual({ format: "pt" });
    expect([...file.entries.keys()].sort()).toEqual(tensors.map(({ name }) => name).sort());
    for (const { name, dtype, shape, data } of tensors) {
      const entry = file.entries.get(name)!;
      expect(entry).toMatchObject({ name, dtype, shape });
      expect(await readTensorBytes(file, entry)).toEqual(data);
    }
  });

  test("may have tensors listed in another order than stored, and a padded header", async () => {
    const file = await open(
      assemble(
        '{"late":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"early":{"shape":[1],"dtype":"U8","data_offsets":[0,1]}}   ',
        new Uint8Array([5, 6, 7]),
      ),
    );
    expect(await readTensorBytes(file, file.entries.get("late")!)).toEqual(new Uint8Array([6, 7]));
  });

  test("may be empty", async () => {
    expect((await open(assemble("{}", new Uint8Array(0)))).entries.size).toBe(0);
  });

  test("gives weights as stored bits, whatever their alignment; other dtypes are refused by name", async () => {
    const checkpoint = await openCheckpoint(modelFilesOf(new Map([["model.safetensors", valid]])));
    for (let shift = 0; shift < 4; shift++) {
      const buffer = Buffer.concat([new Uint8Array(shift), valid]).subarray(shift); // Node's Buffer.slice copies nothing
      const shifted = await openCheckpoint(modelFilesOf(new Map([["model.safetensors", buffer]])));
      expect(await shifted.readFloats("a.weight")).toEqual({ dtype: "f32", data: floats });
      expect(await shifted.readFloats("b.weight")).toEqual({ dtype: "bf16", data: new Uint16Array([0x3f80, 0xc020]) });
      expect(await shifted.readFloats("c.weight")).toEqual({ dtype: "f16", data: new Uint16Array([0x3c00]) });
    }
    const error = await errorOf(() => checkpoint.readFloats("scalar"));
    expect(error).toMatchObject({
      code: "DTYPE_UNSUPPORTED",
      message: expect.stringMatching(/"scalar".*I64.*F32, F16 and BF16/),
    });
    const missing = await errorOf(() => checkpoint.readFloats("absent"));
    expect(missing).toMatchObject({ code: "TENSOR_MISSING", message: expect.stringContaining('"absent"') });
  });
});

describe("a wrong file is refused, naming the tensor", () => {
  const u8 = (shape: number[], begin: number, end: number) => ({ dtype: "U8", shape, data_offsets: [begin, end] });
  const cases: [what: string, file: Uint8Array, code: string, message: RegExp][] = [
    ["an empty file", new Uint8Array(0), "FILE_TRUNCATED", /header length.*truncated/],
    [
      "a header longer than the file",
      assemble("{}", new Uint8Array(0), 999n),
      "FILE_TRUNCATED",
      /header of 999 bytes.*ends at 10/,
    ],
    [
      "a header longer than the format allows",
      assemble("{}", new Uint8Array(0), 100_000_001n),
      "CHECKPOINT_MALFORMED",
      /100000001.*allows 100000000/,
    ],
    [
      "a header length of 2^64 - 1",
      assemble("{}", new Uint8Array(0), 2n ** 64n - 1n),
      "CHECKPOINT_MALFORMED",
      /18446744073709551615/,
    ],
    ["a header of no bytes", assemble("", new Uint8Array(4)), "CHECKPOINT_MALFORMED", /begin with '\{'/],
    ["a header that is a list", assemble("[]", new Uint8Array(0)), "CHECKPOINT_MALFORMED", /begin with '\{'/],
    ["a header behind a space", assemble(" {}", new Uint8Array(0)), "CHECKPOINT_MALFORMED", /begin with '\{'/],
    ["a header that is not JSON", assemble('{"a":', new Uint8Array(0)), "CHECKPOINT_MALFORMED", /not JSON/],
    [
      "a header that is not UTF-8",
      assemble(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), new Uint8Array(0)),
      "CHECKPOINT_MALFORMED",
      /UTF-8/,
    ],
    [
      "metadata that is not strings",
      header({ __metadata__: { n: 1 } }, 0),
      "CHECKPOINT_MALFORMED",
      /__metadata__.*strings/,
    ],
    ["a tensor described by a number", header({ a: 1 }, 0), "CHECKPOINT_MALFORMED", /"a" is described by 1/],
    [
      "an unknown dtype",
      header({ a: { ...u8([1], 0, 1), dtype: "F128" } }, 1),
      "CHECKPOINT_MALFORMED",
      /"a".*dtype "F128".*BF16/,
    ],
    [
      "a dtype that is a property of every object",
      header({ a: { ...u8([1], 0, 1), dtype: "constructor" } }, 1),
      "CHECKPOINT_MALFORMED",
      /"a".*unknown dtype/,
    ],
    [
      "no shape",
      header({ a: { dtype: "U8", data_offsets: [0, 1] } }, 1),
      "CHECKPOINT_MALFORMED",
      /"a".*shape undefined/,
    ],
    ["a negative size", header({ a: u8([-1, -1], 0, 1) }, 1), "CHECKPOINT_MALFORMED", /"a".*shape \[-1,-1\]/],
    ["a size that is not an integer", header({ a: u8([0.5, 2], 0, 1) }, 1), "CHECKPOINT_MALFORMED", /"a".*shape/],
    ["offsets backwards", header({ a: u8([1], 1, 0) }, 1), "CHECKPOINT_MALFORMED", /"a".*data_offsets \[1,0\]/],
    [
      "one offset",
      header({ a: { dtype: "U8", shape: [1], data_offsets: [0] } }, 1),
      "CHECKPOINT_MALFORMED",
      /"a".*data_offsets \[0\]/,
    ],
    [
      "offsets that do not match shape and dtype",
      header({ a: { dtype: "F32", shape: [2, 2], data_offsets: [0, 8] } }, 8),
      "CHECKPOINT_MALFORMED",
      /"a" is F32 \[2, 2\], which takes 16 bytes.*hold 8/,
    ],
    [
      "a product of sizes beyond 2^64",
      header({ a: u8([2 ** 40, 2 ** 40], 0, 1) }, 1),
      "CHECKPOINT_MALFORMED",
      /"a".*takes/,
    ],
    [
      "a tensor beyond the end",
      header({ a: u8([2], 0, 2), b: u8([8], 2, 10) }, 6),
      "FILE_TRUNCATED",
      /"b".*2 to 10.*6 bytes of data.*truncated/,
    ],
    [
      "overlapping tensors",
      header({ a: u8([4], 0, 4), b: u8([4], 2, 6) }, 6),
      "CHECKPOINT_MALFORMED",
      /"b" overlaps tensor "a" by 2/,
    ],
    [
      "the same bytes twice",
      header({ a: u8([4], 0, 4), b: u8([4], 0, 4) }, 4),
      "CHECKPOINT_MALFORMED",
      /"b" overlaps tensor "a" by 4/,
    ],
    [
      "a hole between tensors",
      header({ a: u8([2], 0, 2), b: u8([2], 3, 5) }, 5),
      "CHECKPOINT_MALFORMED",
      /"b" begins 1 bytes after tensor "a": a hole/,
    ],
    [
      "a hole before the first tensor",
      header({ a: u8([2], 1, 3) }, 3),
      "CHECKPOINT_MALFORMED",
      /"a" begins 1 bytes after the header/,
    ],
    [
      "bytes after the last tensor",
      header({ a: u8([2], 0, 2) }, 5),
      "CHECKPOINT_MALFORMED",
      /3 bytes after tensor "a"/,
    ],
    [
      "a tensor listed twice",
      assemble(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a" \n:{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        new Uint8Array(1),
      ),
      "CHECKPOINT_MALFORMED",
      /key "a" twice/,
    ],
    [
      "a tensor listed twice, once with an escape",
      assemble(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        new Uint8Array(1),
      ),
      "CHECKPOINT_MALFORMED",
      /key "a" twice/,
    ],
    [
      "two shapes for a tensor",
      assemble('{"a":{"dtype":"U8","shape":[2],"shape":[1],"data_offsets":[0,1]}}', new Uint8Array(1)),
      "CHECKPOINT_MALFORMED",
      /key "shape" twice/,
    ],
  ];
  test.each(cases)("%s", async (_, file, code, message) => {
    const error = await errorOf(() => open(file));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^model\.safetensors: /);
    expect(error.message).toMatch(message);
  });

  test("the same key in two tensors is no duplicate", async () => {
    expect((await open(valid)).entries.size).toBe(tensors.length);
  });

  test("a damaged header of any depth or length is refused with a short message", async () => {
    const deep = `{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`;
    const long = `{"a":"${"x".repeat(1_000_000)}"}`;
    for (const text of [deep, long]) {
      expect((await errorOf(() => open(assemble(text, new Uint8Array(0))))).message.length).toBeLessThan(400);
    }
  });

  test("a file cut short after it was opened", async () => {
    const directory = await mkdtemp(join(tmpdir(), "tilewright-"));
    try {
      const path = join(directory, "model.safetensors");
      await writeFile(path, valid);
      const checkpoint = await openCheckpoint(await modelFilesOfDirectory(directory));
      expect(await checkpoint.readFloats("c.weight")).toEqual({ dtype: "f16", data: new Uint16Array([0x3c00]) });
      await truncate(path, valid.length - 9);
      const error = await errorOf(() => checkpoint.readBytes("c.weight"));
      expect(error).toMatchObject({ code: "FILE_TRUNCATED", message: expect.stringContaining('tensor "c.weight"') });
      await checkpoint.close();
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe("damage (property)", () => {
  /** Reads everything. Every read that the source sees must lie inside the file. */
  async function readAll(bytes: Uint8Array): Promise<Map<string, Uint8Array>> {
    const source = byteSourceOf("damaged", bytes);
    const file = await openSafetensors({
      ...source,
      read: (offset, length) => {
        if (offset < 0 || length < 0 || offset + length > bytes.length)
          throw new Error(`read of ${length} at ${offset}`);
        return source.read(offset, length);
      },
    });
    const contents = new Map<string, Uint8Array>();
    for (const [name, entry] of file.entries) contents.set(name, await readTensorBytes(file, entry));
    return contents;
  }

  test("no proper prefix of a file loads", async () => {
    for (let length = 0; length < valid.length; length++) {
      expect(await errorOf(() => readAll(valid.slice(0, length)))).toBeInstanceOf(TilewrightError);
    }
  });

  test("flipped bytes either load, with tensors that tile the file, or throw a TilewrightError", async () => {
    const dataBegin = 8 + Number(new DataView(valid.buffer).getBigUint64(0, true));
    const flip = fc.record({ at: fc.nat(valid.length - 1), xor: fc.integer({ min: 1, max: 255 }) });
    let loaded = 0;
    let refused = 0;
    const property = fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 4 }), async (flips) => {
      const damaged = valid.slice();
      for (const { at, xor } of flips) damaged[at]! ^= xor;
      let contents: Map<string, Uint8Array>;
      try {
        contents = await readAll(damaged);
      } catch (error) {
        refused++;
        expect(error).toBeInstanceOf(TilewrightError);
        return;
      }
      loaded++;
      const total = [...contents.values()].reduce((sum, bytes) => sum + bytes.length, 0);
      expect(total).toBe(damaged.length - 8 - Number(new DataView(damaged.buffer).getBigUint64(0, true)));
      // An undamaged header means: the same tensors, and only the flipped bytes differ.
      if (flips.some(({ at }) => at < dataBegin)) return;
      let position = dataBegin;
      for (const { name, data } of tensors) {
        expect(contents.get(name)).toEqual(damaged.slice(position, position + data.length));
        position += data.length;
      }
    });
    await fc.assert(property, { numRuns: 3000 });
    expect(loaded).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
  });

  test("arbitrary bytes behind a true header length throw a TilewrightError or are a safetensors file", async () => {
    const property = fc.asyncProperty(fc.json(), fc.uint8Array({ maxLength: 16 }), async (json, data) => {
      try {
        await readAll(assemble(json, data));
      } catch (error) {
        expect(error).toBeInstanceOf(TilewrightError);
      }
    });
    await fc.assert(property, { numRuns: 300 });
  });
});
