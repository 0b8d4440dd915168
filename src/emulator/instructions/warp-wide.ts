/**
 * @file Exchange between the lanes of a warp: shfl, vote, match, redux, activemask, elect; and bar.warp.sync.
 */
import { LANES } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import type { Warp } from "../machine/warp.ts";
import { ptxTypes } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { setPredicate } from "../translate/lanes.ts";

const b32 = ptxTypes.get("b32")!;
const u32 = ptxTypes.get("u32")!;

/**
 * An operation of the lanes that name each other in the row `membership`, once for each such group: tiles of a warp may execute one
 * instruction together, each for itself. A group must be what its lanes name, exactly, among lanes that have not exited.
 */
function amongMembers(membership: number, operation: Operation): Operation {
  return (warp, mask) => {
    const { i } = warp.registers;
    for (let left = mask; left !== 0; ) {
      const named = i[membership + 31 - Math.clz32(left & -left)]!;
      let group = 0;
      for (let lane = 0; lane < LANES; lane++)
        if ((left >>> lane) & 1 && i[membership + lane] === named) group |= 1 << lane;
      checkMembers(warp, group, named);
      operation(warp, group);
      left &= ~group;
    }
  };
}

function checkMembers(warp: Warp, group: number, named: number): void {
  const absent = named & warp.live & ~group;
  if (absent !== 0)
    warp.fault(
      "PTX_WARP_SYNC",
      `lanes 0x${(absent >>> 0).toString(16)} are named as members but do not execute this with the same members`,
    );
  const strangers = group & ~named;
  if (strangers !== 0)
    warp.fault("PTX_WARP_SYNC", `lanes 0x${(strangers >>> 0).toString(16)} execute this but are not named as members`);
}

const received = new Int32Array(LANES);

/** shfl.sync: a value from another lane, and whether that lane was in range. */
export function shuffle(decoder: Decoder): Operation {
  decoder.require("shfl", "sync");
  const mode = decoder.require("mode", "up", "down", "bfly", "idx");
  decoder.type("b32");
  decoder.done(5);
  const result = decoder.operand(0);
  const target = decoder.target(result.kind === "pair" ? result.first : result, b32);
  const inRange = result.kind === "pair" ? decoder.predicateTarget(result.second) : -1;
  const [value, distance, clamp, membership] = [1, 2, 3, 4].map((at) => decoder.source(at, b32)) as [
    number,
    number,
    number,
    number,
  ];
  return amongMembers(membership, (warp, mask) => {
    const { registers } = warp;
    const { i } = registers;
    let valid = 0;
    for (let lane = 0; lane < LANES; lane++) {
      if (!((mask >>> lane) & 1)) continue;
      const by = i[distance + lane]! & 31;
      const bound = i[clamp + lane]!;
      const segment = (bound >> 8) & 31;
      const last = (lane & segment) | (bound & 31 & ~segment);
      const first = lane & segment;
      let from =
        mode === "up" ? lane - by : mode === "down" ? lane + by : mode === "bfly" ? lane ^ by : first | (by & ~segment);
      const fits = mode === "up" ? from >= last : from <= last;
      if (fits) valid |= 1 << lane;
      else from = lane;
      if (!((mask >>> from) & 1))
        warp.fault("PTX_WARP_SYNC", `the value of lane ${from} is read, which is not a member`, lane);
      received[lane] = i[value + from]!;
    }
    for (let lane = 0; lane < LANES; lane++) if ((mask >>> lane) & 1) i[target + lane] = received[lane]!;
    setPredicate(registers, inRange, mask, valid);
  });
}

/** vote.sync: what holds in all, any or the same in all lanes, or in which. */
export function vote(decoder: Decoder): Operation {
  decoder.require("vote", "sync");
  const mode = decoder.require("mode", "all", "any", "uni", "ballot");
  decoder.require("type", mode === "ballot" ? "b32" : "pred");
  decoder.done(3);
  const target = mode === "ballot" ? decoder.target(0, b32) : decoder.predicateTarget(0);
  const predicate = decoder.predicate(1);
  const membership = decoder.source(2, b32);
  return amongMembers(membership, (warp, mask) => {
    const { registers } = warp;
    const holds = predicate(registers.predicates) & mask;
    if (mode === "ballot") {
      for (let lane = 0; lane < LANES; lane++) if ((mask >>> lane) & 1) registers.i[target + lane] = holds;
      return;
    }
    const decided = mode === "any" ? holds !== 0 : mode === "all" ? holds === mask : holds === mask || holds === 0;
    setPredicate(registers, target, mask, decided ? -1 : 0);
  });
}

/** match.sync: which lanes have the same value; with `.all`, whether all have. */
export function match(decoder: Decoder): Operation {
  const mode = decoder.require("mode", "any", "all");
  decoder.require("match", "sync");
  const type = decoder.type("b32", "b64");
  decoder.done(3);
  const result = decoder.operand(0);
  const target = decoder.target(result.kind === "pair" ? result.first : result, b32);
  const all = result.kind === "pair" ? decoder.predicateTarget(result.second) : -1;
  const value = decoder.source(1, type);
  const membership = decoder.source(2, b32);
  const words = type.bits / 32;
  return amongMembers(membership, (warp, mask) => {
    const { registers } = warp;
    const { i } = registers;
    const equal = (a: number, b: number): boolean =>
      i[value + words * a] === i[value + words * b] &&
      i[value + words * a + words - 1] === i[value + words * b + words - 1];
    let same = true;
    for (let lane = 0; lane < LANES; lane++) {
      if (!((mask >>> lane) & 1)) continue;
      let bits = 0;
      for (let other = 0; other < LANES; other++) if ((mask >>> other) & 1 && equal(lane, other)) bits |= 1 << other;
      if (bits !== mask) same = false;
      received[lane] = bits;
    }
    for (let lane = 0; lane < LANES; lane++)
      if ((mask >>> lane) & 1) i[target + lane] = mode === "any" ? received[lane]! : same ? mask : 0;
    setPredicate(registers, all, mask, same ? -1 : 0);
  });
}

const reductions: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  min: Math.min,
  max: Math.max,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
};

/** redux.sync: one number from those of all members. */
export function reduce(decoder: Decoder): Operation {
  decoder.require("redux", "sync");
  const name = decoder.require("operation", ...Object.keys(reductions));
  const type = decoder.type("u32", "s32", "b32");
  decoder.done(3);
  const of = reductions[name]!;
  const target = decoder.target(0, type);
  const value = decoder.source(1, type);
  const membership = decoder.source(2, b32);
  return amongMembers(membership, (warp, mask) => {
    const { i, u } = warp.registers;
    const from = type.kind === "signed" ? i : u;
    let total: number | undefined;
    for (let lane = 0; lane < LANES; lane++)
      if ((mask >>> lane) & 1) total = total === undefined ? from[value + lane]! : of(total, from[value + lane]!);
    for (let lane = 0; lane < LANES; lane++) if ((mask >>> lane) & 1) i[target + lane] = total!;
  });
}

/** activemask: which lanes execute this. */
export function activeMask(decoder: Decoder): Operation {
  decoder.type("b32");
  decoder.done(1);
  const target = decoder.target(0, u32);
  return ({ registers }, mask) => {
    for (let lane = 0; lane < LANES; lane++) if ((mask >>> lane) & 1) registers.i[target + lane] = mask;
  };
}

/** bar.warp.sync: the lanes meet, and what they did to memory before is ordered. */
export function synchronizeWarp(decoder: Decoder): Operation {
  decoder.require("bar.warp", "sync");
  decoder.done(1);
  const membership = decoder.source(0, b32);
  return amongMembers(membership, (warp) => {
    warp.block.clocks.meet(warp.index);
  });
}
