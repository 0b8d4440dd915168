/**
 * @file gather: elements of a tile by indices that are only known at run time. The tile goes to shared memory row after row, where each thread
 * reads the elements that it is to hold.
 */
import type { Operation } from "../../ir/index.ts";
import { swizzledShared } from "../../layout/index.ts";
import { bytesOf, groupAccesses, loadGroups, loadTarget } from "./access.ts";
import { coordinatesAlong } from "./coordinates.ts";
import type { Element } from "./element.ts";
import { addIntegers, multiplyIntegers } from "./integers.ts";
import type { Lowering } from "./lowering.ts";
import { bytesToBool } from "./memory.ts";
import { bufferFor, sharedStart, writeShared } from "./shared.ts";
import type { Tile } from "./tile.ts";

export function lowerGather(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  const [source, indices] = operation.operands.map((value) => lowering.tile(value));
  const { kind } = source!;
  const { shape } = source!.layout!;
  const layout = indices!.layout!;
  const memory = swizzledShared({ shape });
  const buffer = bufferFor(emitter, "gather", kind, source!.layout!);
  writeShared(emitter, source!, memory, buffer);
  // Horner's scheme over the axes, one of which the indices stand for.
  const start: readonly Element[] = indices!.elements(emitter).map(() => 0);
  const places = shape.reduce((sums, extent, axis) => {
    const along =
      axis === operation.attributes.axis ? indices!.elements(emitter) : coordinatesAlong(emitter, layout, axis);
    return sums.map((sum, i) => addIntegers(emitter, multiplyIntegers(emitter, sum, extent, "i32"), along[i]!, "i32"));
  }, start);
  const addresses = places.map((place) =>
    addIntegers(emitter, sharedStart(emitter), multiplyIntegers(emitter, place, bytesOf(kind), "i32"), "i32"),
  );
  const groups = groupAccesses({ dtype: kind, addresses, masks: undefined }, bytesOf(kind));
  const target = loadTarget(emitter, kind, layout, addresses.length, false);
  loadGroups(emitter, kind, groups, target, { space: "shared", buffer });
  return kind === "bool" ? bytesToBool(emitter, target.tile) : target.tile;
}
