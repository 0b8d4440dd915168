/**
 * @file load, store and atomics on tiles of addresses. Atomics take their elements in row-major order, programs run one after the
 * other: one of the orders that a parallel machine may choose.
 */
import type { AtomicKind } from "../ir/index.ts";
import { Access } from "./access.ts";
import type { TileArray } from "./arrays.ts";
import type { Plan } from "./operation.ts";
import { checkStoredNan } from "./results.ts";
import { gatherInto, scatterFrom } from "./transfers.ts";

/** Sets all of `out` to `other`, or 0. */
export function clear(out: TileArray, other?: TileArray): void {
  if (other) (out as Float64Array).set(other as Float64Array);
  else if (out instanceof BigInt64Array) out.fill(0n);
  else out.fill(0);
}

export const load: Plan = ({ operation, operands, result, machine }) => {
  const [addresses, mask, other] = operands as [Float64Array, Uint8Array?, TileArray?];
  const out = result();
  const gather = gatherInto(operation.results[0]!.type.dtype, out);
  const access = new Access(machine, operation, out.length, "reads");
  return () => {
    if (mask) clear(out, other);
    access.forEachRegion(addresses, mask, (region) => {
      access.noteRead(region);
      gather(region.data, access.elements);
    });
  };
};

export const store: Plan = ({ operation, operands, machine }) => {
  const [addresses, value, mask] = operands as [Float64Array, TileArray, Uint8Array?];
  const scatter = scatterFrom(operation.operands[1]!.type.dtype, value);
  const access = new Access(machine, operation, value.length, "writes");
  return () =>
    access.forEachRegion(addresses, mask, (region) => {
      checkStoredNan(machine, operation, value, access.elements);
      access.noteWrite(region, () => scatter(region.data, access.elements));
    });
};

/** What an atomic leaves in memory; the typed array wraps integers and rounds f32. */
const atomicCombine: Readonly<Record<AtomicKind, (old: number, value: number) => number>> = {
  add: (old, value) => old + value,
  max: Math.max,
  min: Math.min,
  and: (old, value) => old & value,
  or: (old, value) => old | value,
  xor: (old, value) => old ^ value,
  exchange: (_, value) => value,
};

export const atomicRmw: Plan = ({ operation, operands, result, machine }) => {
  const [addresses, value, mask] = operands as [Float64Array, Int32Array, Uint8Array?];
  const out = result() as Int32Array;
  const combine = atomicCombine[operation.attributes.kind as AtomicKind];
  const access = new Access(machine, operation, out.length, "writes");
  return () => {
    clear(out);
    access.forEachRegion(addresses, mask, (region) => {
      access.noteAtomic(region);
      const data = region.data as Int32Array;
      for (let i = 0; i < out.length; i++) {
        const element = access.elements[i]!;
        if (element < 0) continue;
        out[i] = data[element]!;
        data[element] = combine(data[element]!, value[i]!);
      }
    });
  };
};

export const atomicCas: Plan = ({ operation, operands, result, machine }) => {
  const [addresses, expected, value] = operands as [Float64Array, Int32Array, Int32Array];
  const out = result() as Int32Array;
  const access = new Access(machine, operation, out.length, "writes");
  return () =>
    access.forEachRegion(addresses, undefined, (region) => {
      access.noteAtomic(region);
      const data = region.data as Int32Array;
      for (let i = 0; i < out.length; i++) {
        const element = access.elements[i]!;
        if (element < 0) continue;
        out[i] = data[element]!;
        if (data[element] === expected[i]) data[element] = value[i]!;
      }
    });
};
