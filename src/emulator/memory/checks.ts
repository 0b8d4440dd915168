/**
 * @file What the checks are told of an access at `offsets`, before it takes place.
 */
import type { Suspect } from "../machine/global-races.ts";
import { LANES } from "../machine/registers.ts";
import type { StrongAccess } from "../machine/releases.ts";
import type { Strength } from "../machine/shadow.ts";
import type { Warp } from "../machine/warp.ts";
import type { Region } from "../region.ts";
import type { Decoder } from "../translate/decoder.ts";
import { type Access, type AccessSpace, offsets } from "./access.ts";

/** An access in a space may be as narrow as this. */
export function noteWidth({ surroundings }: Decoder, space: AccessSpace, bytes: number): void {
  if (space === "shared" || space === "generic") surroundings.noteSharedWidth(bytes);
  if (space === "global" || space === "generic") surroundings.noteGlobalWidth(bytes);
}

export function noteRead(access: Access, warp: Warp, region: Region, mask: number, strength: Strength): void {
  const { bytes, space } = access;
  const { block } = warp;
  if (access.isShared(warp, region)) {
    if (block.shadow === undefined) return;
    for (let lane = 0; lane < LANES; lane++)
      if ((mask >>> lane) & 1) block.shadow.read(warp, lane, offsets[lane]!, bytes, strength);
    block.countBanks(warp, mask, offsets, bytes);
  } else if (access.isGlobal(warp, region)) {
    block.countSectors(warp, mask, offsets, bytes);
    // Nobody writes to constants.
    if (space !== "const") block.races?.read(warp, region, mask, offsets, bytes, strength);
  }
}

/** Gives the writes that must not change what is there. */
export function noteWrite(
  access: Access,
  warp: Warp,
  region: Region,
  mask: number,
  strength: Strength,
): readonly Suspect[] | undefined {
  const { bytes } = access;
  const { block } = warp;
  if (access.isShared(warp, region)) {
    if (block.shadow === undefined) return undefined;
    for (let lane = 0; lane < LANES; lane++)
      if ((mask >>> lane) & 1) block.shadow.write(warp, lane, offsets[lane]!, bytes, strength);
    block.countBanks(warp, mask, offsets, bytes, access.intent === "atomic");
  } else if (access.isGlobal(warp, region)) {
    block.countSectors(warp, mask, offsets, bytes);
    return block.races?.write(warp, region, mask, offsets, bytes, strength);
  }
  return undefined;
}

/** A strong access, which may order others. */
export function noteOrder(access: Access, warp: Warp, region: Region, mask: number, how: StrongAccess): void {
  const { block, index } = warp;
  if (!block.launch.check) return;
  const shared = access.isShared(warp, region);
  if (!shared && !access.isGlobal(warp, region)) return;
  const scoped = shared ? ({ ...how, scope: "block" } as const) : how;
  for (let lane = 0; lane < LANES; lane++)
    if ((mask >>> lane) & 1) block.releases.access(index, region, offsets[lane]!, access.bytes, scoped);
}
