/**
 * @file Keeps what the lowering decides about shared memory and copies ahead, where somebody asked for it (`PtxOptions.onDetails`).
 */
import type { Operation } from "../../ir/index.ts";
import {
  type BankConflicts,
  bankConflicts,
  LANE,
  type LdmatrixPlan,
  type LinearLayout,
  ldmatrixConflicts,
  sharedOffsets,
} from "../../layout/index.ts";
import type { PipelineDetails, SharedAccess, SharedTile, TextDetails } from "../details.ts";
import { bytesOf } from "./access.ts";
import type { ElementKind } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import type { Node, SharedBuffer } from "./instruction.ts";

/** Where a tile begins: in a buffer, of a ring in each of its places. */
interface Place {
  readonly buffer: SharedBuffer;
  readonly offset: number;
}

/** A tile that a pipeline copies ahead. */
export interface CopiedAhead {
  readonly load: Operation;
  readonly kind: ElementKind;
  readonly layout: LinearLayout;
  readonly memory: LinearLayout;
  readonly place: Place;
  readonly places: number;
  readonly turnsAhead: number;
  /** Of its widest copy. */
  readonly bytes: number;
}

interface LoggedTile extends Omit<SharedTile, "offset"> {
  readonly place: Place;
  readonly accesses: SharedAccess[];
}

export class CompilationLog {
  readonly pipelines: PipelineDetails[] = [];
  readonly #tiles: LoggedTile[] = [];
  readonly #emitter: Emitter;

  constructor(emitter: Emitter) {
    this.#emitter = emitter;
  }

  /** A loop whose tiles are copied ahead. */
  pipeline(loop: Operation, stages: number, copies: readonly CopiedAhead[]): void {
    this.pipelines.push({
      location: loop.location,
      stages,
      copies: copies.map(({ load, kind, layout, places, turnsAhead }) => ({
        value: load.results[0]!,
        bytes: bytesOf(kind) << layout.outBits,
        places,
        turnsAhead,
      })),
    });
    for (const { load, kind, layout, memory, place, places, bytes } of copies) {
      const tile = {
        purpose: place.buffer.name,
        value: load.results[0],
        dtype: kind,
        memory,
        place,
        places,
        accesses: [],
      };
      this.#tiles.push(tile);
      this.#add(tile, registerAccess("write", "cp.async", kind, layout, memory, bytes), load.location);
    }
  }

  /** Registers in `layout` that are written to, or read from, a tile that lies as `memory`, at most `width` elements an instruction. */
  registers(
    kind: "write" | "read",
    dtype: ElementKind,
    layout: LinearLayout,
    memory: LinearLayout,
    place: Place,
    width: number,
  ): void {
    const instruction = kind === "write" ? "st.shared" : "ld.shared";
    const access = registerAccess(kind, instruction, dtype, layout, memory, width * bytesOf(dtype));
    this.#add(this.#tileAt(place, dtype, memory), access);
  }

  fragments(
    instruction: string,
    plan: LdmatrixPlan,
    size: number,
    { kind, memory, place }: { readonly kind: ElementKind; readonly memory: LinearLayout; readonly place: Place },
  ): void {
    const conflicts = ldmatrixConflicts(plan, size);
    // Of fewer than four matrices the other lanes name no rows.
    const lanes = plan.address.basesOf(LANE).slice(0, 3 + Math.log2(plan.count));
    this.#add(this.#tileAt(place, kind, memory), {
      kind: "read",
      instruction,
      bytes: 16,
      lanes: lanes.map((offset) => offset * size),
      conflicts,
    });
  }

  #tileAt(place: Place, dtype: ElementKind, memory: LinearLayout): LoggedTile {
    const known = this.#tiles.find((tile) => tile.place.buffer === place.buffer && tile.place.offset === place.offset);
    if (known) return known;
    const { operation } = this.#emitter;
    // A dot of multiply-adds brings its operands to shared memory itself.
    const value =
      operation?.opcode === "dot" ? operation.operands[place.buffer.name === "left" ? 0 : 1] : operation?.results[0];
    const tile = { purpose: place.buffer.name, value, dtype, memory, place, places: 1, accesses: [] };
    this.#tiles.push(tile);
    return tile;
  }

  /** An operation may be lowered several times. */
  #add(tile: LoggedTile, access: Omit<SharedAccess, "location">, location = this.#emitter.operation?.location): void {
    const added = { ...access, location };
    const keyOf = (other: SharedAccess): string =>
      [other.instruction, other.bytes, other.lanes, other.location?.line].join();
    if (!tile.accesses.some((other) => keyOf(other) === keyOf(added))) tile.accesses.push(added);
  }

  /** What got a place. */
  tiles(): SharedTile[] {
    return this.#tiles
      .filter(({ place }) => place.buffer.offset >= 0)
      .map(({ place, ...tile }) => ({ ...tile, offset: place.buffer.offset + place.offset }));
  }
}

function registerAccess(
  kind: "write" | "read",
  instruction: string,
  dtype: ElementKind,
  layout: LinearLayout,
  memory: LinearLayout,
  bytes: number,
): Omit<SharedAccess, "location"> {
  const elementBytes = bytesOf(dtype);
  const conflicts: BankConflicts = bankConflicts(layout, memory, { elementBytes, width: bytes / elementBytes });
  const lanes = sharedOffsets(layout, memory).basesOf(LANE);
  return { kind, instruction, bytes, lanes: lanes.map((offset) => offset * elementBytes), conflicts };
}

/** Counts the instructions of a kernel, as print.ts and module.ts write them, and of each of its loops. */
export function countInstructions(nodes: readonly Node[]): Pick<TextDetails, "opcodes" | "loops"> {
  const all: Record<string, number> = { ret: 1 };
  const loops: TextDetails["loops"][number][] = [];
  const visit = (list: readonly Node[], depth: number, own: Record<string, number>): void => {
    for (const node of list) {
      const count = (opcode: string, into = own): void => {
        for (const counts of new Set([all, into])) counts[opcode] = (counts[opcode] ?? 0) + 1;
      };
      if (node.kind === "instruction") count(node.opcode);
      else if (node.kind === "if") {
        count(node.divergent ? "bra" : "bra.uni");
        if (node.whenFalse.length > 0) count("bra.uni");
        for (const arm of [node.whenTrue, node.whenFalse]) visit(arm, depth, own);
      } else if (node.kind === "loop") {
        const opcodes: Record<string, number> = {};
        if (node.enter) count("bra.uni");
        count("bra.uni", opcodes);
        loops.push({ label: node.label, location: node.location, depth: depth + 1, opcodes });
        visit(node.body, depth + 1, opcodes);
      }
    }
  };
  visit(nodes, 0, all);
  return { opcodes: all, loops };
}
