/**
 * @file histogram: counters in shared memory, to which each thread adds its elements one by one.
 */
import type { Operation } from "../../ir/index.ts";
import { registerParts, swizzledShared } from "../../layout/index.ts";
import { guardOf } from "./access.ts";
import { ownerGuard } from "./coordinates.ts";
import { registerOf } from "./element.ts";
import { address } from "./instruction.ts";
import { addIntegers, multiplyIntegers } from "./integers.ts";
import type { Lowering } from "./lowering.ts";
import { bufferFor, readShared, sharedStart, writeShared } from "./shared.ts";
import { Tile } from "./tile.ts";

const BYTES = 4;

export function lowerHistogram(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  const source = lowering.tile(operation.operands[0]!);
  const layout = lowering.layoutOf(operation.results[0]!)!;
  const bins = operation.attributes.bins as number;
  const memory = swizzledShared({ shape: [bins] });
  const buffer = bufferFor(emitter, "histogram", "i32", layout);
  const zeros = new Array<number>(layout.sizeOf("register")).fill(0);
  writeShared(emitter, Tile.ofElements("i32", layout, zeros), memory, buffer);
  // Additions of one operation do not wait for each other.
  const access = { kind: "write", place: buffer, group: emitter.accessGroup() } as const;
  const owner = ownerGuard(emitter, source.layout);
  const parts = registerParts(source.layout!);
  source.elements(emitter).forEach((element, register) => {
    if (parts.indexOf(parts[register]!) < register) return; // A copy.
    const bin = registerOf(emitter, element, "i32");
    const inside = emitter.op("pred", "setp.lt.u32", bin, bins);
    const place = addIntegers(emitter, sharedStart(emitter), multiplyIntegers(emitter, bin, BYTES, "i32"), "i32");
    const at = address(registerOf(emitter, place, "i32"), 0, buffer);
    emitter.emit("red.relaxed.cta.shared.add.u32", [at, 1], { guard: guardOf(emitter, inside, owner), access });
  });
  return readShared(emitter, "i32", layout, memory, { buffer, offset: 0 });
}
