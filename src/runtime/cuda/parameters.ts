/**
 * @file Packs the parameters of a launch as the PTX entry declares them: in ABI order, each at the next multiple of its size, little-endian.
 */
import type { LaunchParameter } from "../../codegen/metadata.ts";
import type { DType } from "../../ir/index.ts";
import { elementBytes } from "../../ir/index.ts";
import { f32ToBf16Bits, f32ToF16Bits } from "../../support/float16.ts";

const sizeOf = ({ kind, dtype }: LaunchParameter): number => (kind === "pointer" ? 8 : elementBytes[dtype]);

/**
 * @param addresses Of the first element of each pointer parameter.
 * @param scalars As the kernel sees them, by parameter name.
 */
export function packParameters(
  parameters: readonly LaunchParameter[],
  addresses: ReadonlyMap<string, bigint>,
  scalars: Readonly<Record<string, number | bigint | boolean>>,
): Uint8Array {
  let end = 0;
  const places = parameters.map((parameter) => {
    const size = sizeOf(parameter);
    const offset = Math.ceil(end / size) * size;
    end = offset + size;
    return { parameter, offset };
  });
  const bytes = new Uint8Array(end);
  const view = new DataView(bytes.buffer);
  for (const { parameter, offset } of places) {
    if (parameter.kind === "pointer") view.setBigUint64(offset, addresses.get(parameter.name)!, true);
    else writers[parameter.dtype](view, offset, scalars[parameter.name]!);
  }
  return bytes;
}

type Scalar = number | bigint | boolean;

const writers: Readonly<Record<DType, (view: DataView, offset: number, value: Scalar) => void>> = {
  bool: (view, offset, value) => view.setUint8(offset, Number(value)),
  i8: (view, offset, value) => view.setInt8(offset, Number(value)),
  i32: (view, offset, value) => view.setInt32(offset, Number(value), true),
  u32: (view, offset, value) => view.setUint32(offset, Number(value), true),
  i64: (view, offset, value) => view.setBigInt64(offset, BigInt(value), true),
  f16: (view, offset, value) => view.setUint16(offset, f32ToF16Bits(Number(value)), true),
  bf16: (view, offset, value) => view.setUint16(offset, f32ToBf16Bits(Number(value)), true),
  f32: (view, offset, value) => view.setFloat32(offset, Number(value), true),
};
