/** @file Safetensors files as tests make them: from scratch, by the format's own description, and deliberately wrong. */
import { expect } from "vitest";
import { TilewrightError } from "../../src/support/errors.ts";

export const fixtureDirectory = new URL("../fixtures/aquila2-tiny/", import.meta.url);

export interface TestTensor {
  name: string;
  dtype: string;
  shape: number[];
  data: Uint8Array;
}

/** `[8-byte little-endian length][header][data]`. */
export function assemble(header: string | Uint8Array, data: Uint8Array, headerLength?: bigint): Uint8Array {
  const headerBytes = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + headerBytes.length + data.length);
  new DataView(file.buffer).setBigUint64(0, headerLength ?? BigInt(headerBytes.length), true);
  file.set(headerBytes, 8);
  file.set(data, 8 + headerBytes.length);
  return file;
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(part, position);
    position += part.length;
  }
  return whole;
}

/** A valid file of `tensors`, stored one after another. */
export function safetensorsFile(tensors: readonly TestTensor[], metadata?: Record<string, string>): Uint8Array {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  let position = 0;
  for (const { name, dtype, shape, data } of tensors) {
    header[name] = { dtype, shape, data_offsets: [position, position + data.length] };
    position += data.length;
  }
  return assemble(JSON.stringify(header), concatenate(tensors.map((tensor) => tensor.data)));
}

/** The `TilewrightError` that `action` throws; fails when it throws none, or anything else. */
export async function errorOf(action: () => unknown): Promise<TilewrightError> {
  const thrown = await (async () => action())().then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(TilewrightError);
  return thrown as TilewrightError;
}
