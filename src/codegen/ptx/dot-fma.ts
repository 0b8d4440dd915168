/**
 * @file dot by fused multiply-adds in f32: each thread keeps a micro-tile of accumulators; for every k it reads a column of a and a row of b
 * from shared memory, where a lies column by column and b row by row, so that both are vectors. A loop over k keeps the code small.
 */
import type { Operation } from "../../ir/index.ts";
import { REGISTER, swizzledShared } from "../../layout/index.ts";
import { groupAccesses, loadGroups, loadTarget } from "./access.ts";
import { castTile } from "./casts.ts";
import { coordinatesAlong } from "./coordinates.ts";
import { type Element, elementKey, operandOf, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { type Register, type SharedBuffer, symbol } from "./instruction.ts";
import { addIntegers, multiplyIntegers } from "./integers.ts";
import type { Lowering } from "./lowering.ts";
import { bufferFor, SHARED_ALIGNMENT, SHARED_MEMORY, writeShared } from "./shared.ts";
import { Tile } from "./tile.ts";

/** Steps of k in one turn of the loop. */
const UNROLL = 8;

export function lowerFmaDot(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  const [a, b, c] = operation.operands.map((value) => lowering.tile(value));
  const layout = lowering.layoutOf(operation.results[0]!)!;
  const [rows, depth] = a!.layout!.shape as [number, number];
  const columns = b!.layout!.shape[1]!;
  const left = put(emitter, "left", castTile(emitter, a!, "f32"), [0, 1]);
  const right = put(emitter, "right", castTile(emitter, b!, "f32"), [1, 0]);

  const sums = c!.elements(emitter).map((element) => {
    const register = emitter.register("f32");
    emitter.emit("mov.f32", [register, operandOf(emitter, element, "f32")]);
    return register;
  });
  const rowOf = coordinatesAlong(emitter, layout, 0);
  const columnOf = coordinatesAlong(emitter, layout, 1);
  /** Multiplies and adds for the k from `first` on, whose vectors start `start` bytes into both buffers. */
  const steps = (count: number, startA: Element, startB: Element): void => {
    const accessA = emitter.accessGroup();
    const accessB = emitter.accessGroup();
    for (let k = 0; k < count; k++) {
      const own = vectorOf(emitter, left, rowOf, addIntegers(emitter, startA, k * rows * 4, "i32"), accessA);
      const other = vectorOf(emitter, right, columnOf, addIntegers(emitter, startB, k * columns * 4, "i32"), accessB);
      sums.forEach((sum, register) => {
        emitter.emit("fma.rn.f32", [sum, own[register]!, other[register]!, sum]);
      });
    }
  };
  if (depth <= 2 * UNROLL) steps(depth, 0, 0);
  else loopOverDepth(emitter, depth, rows, columns, steps);
  return Tile.ofElements("f32", layout, sums.slice(0, layout.sizeOf(REGISTER)));
}

function loopOverDepth(
  emitter: Emitter,
  depth: number,
  rows: number,
  columns: number,
  steps: (count: number, startA: Element, startB: Element) => void,
): void {
  const inside = emitter.depth + 1;
  const fresh = (stride: number) =>
    emitter.register("b32", { depth: inside, divisor: Math.min(SHARED_ALIGNMENT, stride * 4 * UNROLL) });
  const [atA, atB] = [fresh(rows), fresh(columns)];
  let again: Register | undefined;
  const body = emitter.block(() => {
    steps(UNROLL, atA, atB);
    emitter.emit("add.s32", [atA, atA, UNROLL * rows * 4]);
    emitter.emit("add.s32", [atB, atB, UNROLL * columns * 4]);
    again = emitter.op("pred", "setp.lt.s32", atA, depth * rows * 4);
  });
  emitter.emit("mov.b32", [atA, 0]);
  emitter.emit("mov.b32", [atB, 0]);
  emitter.push({ kind: "loop", label: emitter.label("dot"), enter: undefined, body, repeat: { predicate: again! } });
}

function put(emitter: Emitter, name: string, tile: Tile, order: readonly number[]): SharedBuffer {
  const buffer = bufferFor(emitter, name, "f32", tile.layout!);
  writeShared(emitter, tile, swizzledShared({ shape: tile.layout!.shape, order }), buffer);
  return buffer;
}

/** The f32 at `start` + 4 · coordinate for each register, one load for equal coordinates, vectors for neighbouring ones. */
function vectorOf(
  emitter: Emitter,
  buffer: SharedBuffer,
  coordinates: readonly Element[],
  start: Element,
  group: number,
): Register[] {
  const base = emitter.pure("b32", "mov.u32", [symbol(SHARED_MEMORY)], SHARED_ALIGNMENT);
  const distinct = new Map<string | number, number>();
  const addresses: Element[] = [];
  const index = coordinates.map((coordinate) => {
    const key = elementKey(coordinate);
    let known = distinct.get(key);
    if (known === undefined) {
      known = addresses.length;
      distinct.set(key, known);
      const thread = addIntegers(emitter, base, multiplyIntegers(emitter, coordinate, 4, "i32"), "i32");
      addresses.push(addIntegers(emitter, thread, start, "i32"));
    }
    return known;
  });
  const target = loadTarget(emitter, "f32", undefined, addresses.length, false);
  const groups = groupAccesses({ dtype: "f32", addresses, masks: undefined }, emitter.target.maxVectorBytes);
  loadGroups(emitter, "f32", groups, target, { space: "shared", buffer }, group);
  return index.map((i) => registerOf(emitter, target.registers[i]!, "f32"));
}
