/**
 * @file cp.async and its groups. A copy is checked where it is started and takes place where it is waited for.
 */
import { LANES } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import { ptxTypes } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { access, forRegions, offsets } from "./access.ts";

const b32 = ptxTypes.get("b32")!;

/** All forms of cp.async that sm_80 has. */
export function asyncCopy(decoder: Decoder): Operation {
  decoder.require("cp.async", "async");
  switch (decoder.take("commit_group", "wait_group", "wait_all", "ca", "cg")) {
    case "commit_group":
      decoder.done(0);
      return ({ copies }, mask) => copies.commit(mask);
    case "wait_group": {
      decoder.done(1);
      const left = decoder.immediate(0);
      return (warp, mask) => warp.copies.wait(warp, mask, left);
    }
    case "wait_all":
      decoder.done(0);
      return (warp, mask) => warp.copies.waitAll(warp, mask);
    case "ca":
      return copy(decoder, [4, 8, 16]);
    case "cg":
      return copy(decoder, [16]);
    default:
      return decoder.unknown("commit_group, wait_group, wait_all, ca or cg");
  }
}

function copy(decoder: Decoder, sizes: readonly number[]): Operation {
  decoder.require("destination", "shared", "shared::cta");
  decoder.require("source", "global");
  decoder.skipHints();
  decoder.done(3, 4);
  const bytes = decoder.immediate(2);
  if (!sizes.includes(bytes)) decoder.fail(`copies of ${bytes} bytes; ${sizes.join(", ")} are possible`);
  // The fourth operand is a number of bytes to read, or a predicate that reads none where it holds.
  const fourth = decoder.operands[3];
  const skips = fourth?.kind === "register" && fourth.type.bits === 1 ? decoder.predicate(3) : undefined;
  const sizeRow = fourth === undefined || skips ? undefined : decoder.source(3, b32);
  const to = access(decoder, 0, "shared", bytes, "write");
  const from = access(decoder, 1, "global", bytes, "read");
  decoder.surroundings.noteSharedWidth(4);
  return (warp, mask) => {
    const { block, registers, step } = warp;
    const { shadow, races, clocks } = block;
    to.locate(warp, mask);
    const copies = warp.copies.start();
    const { targets, lengths, sources, regions } = copies;
    copies.mask = mask;
    copies.bytes = bytes;
    copies.line = step.line;
    targets.set(offsets);
    if (shadow)
      for (let lane = 0; lane < LANES; lane++)
        if ((mask >>> lane) & 1) shadow.beginCopy(warp, lane, targets[lane]!, bytes);
    block.countBanks(warp, mask, targets, bytes);
    let reading = 0;
    const skipped = skips?.(registers.predicates) ?? 0;
    for (let lane = 0; lane < LANES; lane++) {
      if (!((mask >>> lane) & 1)) continue;
      const wanted = sizeRow === undefined ? bytes : registers.u[sizeRow + lane]!;
      if (wanted > bytes) warp.fault("PTX_OUT_OF_BOUNDS", `a copy of ${bytes} bytes cannot read ${wanted}`, lane);
      lengths[lane] = (skipped >>> lane) & 1 ? 0 : wanted;
      // Nothing is read from the source where no bytes are wanted: any address will do.
      if (lengths[lane]! > 0) reading |= 1 << lane;
    }
    if (reading !== 0)
      forRegions(from, warp, reading, (region, lanes) => {
        for (let lane = 0; lane < LANES; lane++)
          if ((lanes >>> lane) & 1) {
            sources[lane] = offsets[lane]!;
            regions[lane] = region;
          }
        if (races)
          for (let lane = 0; lane < LANES; lane++)
            if ((lanes >>> lane) & 1)
              races.readLane(warp, region, lane, offsets[lane]!, lengths[lane]!, "weak", step.line);
        block.countSectors(warp, lanes, offsets, bytes);
      });
    if (races) {
      copies.began.set(clocks.of(warp.index));
      // What the warp does from now on may come before the copy.
      clocks.advance(warp.index);
    }
  };
}
