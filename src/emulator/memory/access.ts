/**
 * @file The addresses of one memory instruction: computed for all lanes, checked for alignment and bounds, and turned into offsets into
 * one region. Lanes that touch different regions are served one by one.
 */
import type { Allocation } from "../global-memory.ts";
import { SHARED_BASE } from "../machine/program.ts";
import { LANES } from "../machine/registers.ts";
import type { Warp } from "../machine/warp.ts";
import { spaceOf } from "../machine/windows.ts";
import type { Region } from "../region.ts";
import type { Space } from "../syntax/index.ts";
import type { Decoder, Place } from "../translate/decoder.ts";

export type AccessSpace = Space | "generic";
export type Intent = "read" | "write" | "atomic";

/** Where each lane's bytes start, in the region found last. */
export const offsets = new Int32Array(LANES);

/**
 * Fills `offsets` for the lanes of `mask`. Undefined if they do not touch one region (never for one lane); throws a fault for an
 * address that no lane may touch.
 */
export type Locate = (warp: Warp, mask: number) => Region | undefined;

export interface Access {
  readonly locate: Locate;
  readonly space: AccessSpace;
  readonly intent: Intent;
  /** Bytes that each lane touches. */
  readonly bytes: number;
  /** Whether a region is shared memory, or global memory (in which constants lie). */
  isShared(warp: Warp, region: Region): boolean;
  isGlobal(warp: Warp, region: Region): boolean;
}

/** Reads operand `index` as the place of an access of `bytes` bytes. */
export function access(decoder: Decoder, index: number, space: AccessSpace, bytes: number, intent: Intent): Access {
  const place = decoder.place(index);
  const { variable } = place;
  // A parameter of a call lives in local memory, but is accessed as .param.
  const actual = space === "param" && variable?.space === "local" ? "local" : space;
  if (variable && variable.space !== actual && !(actual === "global" && variable.space === "const"))
    decoder.fail(`${variable.name} lies in .${variable.space}, not in .${space}`);
  const locators: Readonly<Record<AccessSpace, () => Locate>> = {
    global: () => locateGlobal(decoder, place, bytes, intent),
    const: () => locateGlobal(decoder, place, bytes, intent),
    shared: () => locateWindow(place, bytes, intent, "shared", 0),
    local: () => locateWindow(place, bytes, intent, "local", 0),
    param: () => locateWindow(place, bytes, intent, "param", 0),
    generic: () => locateGeneric(decoder, place, bytes, intent),
  };
  return {
    locate: locators[actual](),
    space: actual,
    intent,
    bytes,
    isShared: (warp, region) => actual === "shared" || (actual === "generic" && region === warp.block.shared),
    isGlobal: ({ local, block }, region) =>
      actual === "global" ||
      actual === "const" ||
      (actual === "generic" && region !== block.shared && region !== local && region !== block.launch.parameters),
  };
}

/** Does `act` for the lanes of `mask`, with their offsets, in as few parts as regions allow. */
export function forRegions(
  { locate }: Access,
  warp: Warp,
  mask: number,
  act: (region: Region, mask: number) => void,
): void {
  const region = locate(warp, mask);
  if (region !== undefined) {
    act(region, mask);
    return;
  }
  for (let lane = 0; lane < LANES; lane++) if ((mask >>> lane) & 1) act(locate(warp, 1 << lane)!, 1 << lane);
}

/** Sums wrap as 32- or 64-bit numbers do; what would be beyond 2^63 comes out negative, where no memory is. */
const addressOf = ({ base, offset }: Place, warp: Warp, lane: number): number => {
  if (base === undefined) return offset;
  const { i, u } = warp.registers;
  if (base.bits === 32) return (i[base.row + lane]! + offset) >>> 0;
  return u[base.row + 2 * lane]! + i[base.row + 2 * lane + 1]! * 4294967296 + offset;
};

function misaligned(warp: Warp, lane: number, address: number, bytes: number, where: string): never {
  return warp.fault(
    "PTX_MISALIGNED",
    `access of ${bytes} bytes at ${where}, which is not a multiple of ${bytes}`,
    lane,
    address,
  );
}

function locateGlobal(decoder: Decoder, place: Place, bytes: number, intent: Intent): Locate {
  const { memory } = decoder.surroundings;
  let cached: Allocation | undefined;
  return (warp, mask) => {
    if (cached && !cached.live) cached = undefined;
    let first = true;
    for (let lane = 0; lane < LANES; lane++) {
      if (!((mask >>> lane) & 1)) continue;
      const address = addressOf(place, warp, lane);
      if (cached === undefined || address < cached.base || address + bytes > cached.end) {
        if (!first) return undefined;
        const found = memory.find(address, bytes);
        if (found === undefined)
          return warp.fault(
            "PTX_OUT_OF_BOUNDS",
            `${intent} of ${bytes} bytes out of bounds, at ${memory.describe(address)}`,
            lane,
            address,
          );
        cached = found;
      }
      const offset = address - cached.base;
      // Allocations are aligned to more than any access.
      if ((offset & (bytes - 1)) !== 0) misaligned(warp, lane, address, bytes, memory.describe(address));
      offsets[lane] = offset;
      if (first && intent !== "read" && cached.readOnly)
        warp.fault("PTX_READ_ONLY", `${intent} to constant memory at ${memory.describe(address)}`, lane, address);
      first = false;
    }
    return cached!.region;
  };
}

/** Shared, local and parameter memory, whose addresses begin at `window` among generic ones. */
function locateWindow(
  place: Place,
  bytes: number,
  intent: Intent,
  space: "shared" | "local" | "param",
  window: number,
): Locate {
  return (warp, mask) => {
    const { block } = warp;
    const region = space === "shared" ? block.shared : space === "local" ? warp.local : block.launch.parameters;
    const size = space === "local" ? block.program.localBytes : region.byteLength;
    const least = space === "shared" ? SHARED_BASE : 0;
    for (let lane = 0; lane < LANES; lane++) {
      if (!((mask >>> lane) & 1)) continue;
      const address = addressOf(place, warp, lane) - window;
      if (address < least || address + bytes > size) {
        const where = space === "shared" ? block.program.describeShared(address) : `0x${address.toString(16)}`;
        const extent = space === "shared" ? `0x${least.toString(16)} to 0x${size.toString(16)}` : `${size} bytes`;
        warp.fault(
          "PTX_OUT_OF_BOUNDS",
          `${intent} of ${bytes} bytes out of bounds, at ${space} address ${where}; the memory is ${extent}`,
          lane,
          address,
        );
      }
      if ((address & (bytes - 1)) !== 0)
        misaligned(warp, lane, address, bytes, `${space} address 0x${address.toString(16)}`);
      offsets[lane] = space === "local" ? lane * size + address : address;
    }
    return region;
  };
}

function locateGeneric(decoder: Decoder, place: Place, bytes: number, intent: Intent): Locate {
  const bySpace = new Map<string, Locate>();
  const locate = (space: "global" | "shared" | "local" | "param", window: number): Locate => {
    let found = bySpace.get(space);
    if (!found) {
      found =
        space === "global"
          ? locateGlobal(decoder, place, bytes, intent)
          : locateWindow(place, bytes, intent, space, window);
      bySpace.set(space, found);
    }
    return found;
  };
  return (warp, mask) => {
    let chosen: ReturnType<typeof spaceOf>["space"] | undefined;
    let window = 0;
    for (let lane = 0; lane < LANES; lane++) {
      if (!((mask >>> lane) & 1)) continue;
      const address = addressOf(place, warp, lane);
      const { space, offset } = spaceOf(address);
      if (chosen !== undefined && chosen !== space) return undefined;
      chosen = space;
      window = address - offset;
    }
    return locate(chosen!, window)(warp, mask);
  };
}
