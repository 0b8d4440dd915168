/**
 * @file What changes the course of a warp (branches, exit, barriers), and fences.
 */
import type { Flow, Operation } from "../machine/step.ts";
import { ptxTypes } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { synchronizeWarp } from "./warp-wide.ts";

const u32 = ptxTypes.get("u32")!;

export function branch(decoder: Decoder): Flow {
  const uniform = decoder.flag("uni");
  decoder.done(1);
  return { kind: "branch", target: decoder.instruction.targets![0]!, uniform };
}

/** brx.idx: to one of a table of labels. */
export function branchTable(decoder: Decoder): Flow {
  decoder.require("brx", "idx");
  decoder.flag("uni");
  decoder.done(2);
  return { kind: "table", row: decoder.source(0, u32), targets: decoder.instruction.targets! };
}

export function exit(decoder: Decoder): Flow {
  decoder.flag("uni");
  decoder.done(0);
  return { kind: "exit" };
}

/** bar and barrier: `.sync`, `.arrive` and `.red`, with all threads or a number of them. */
export function barrier(decoder: Decoder): Operation | Flow {
  if (decoder.flag("warp")) return synchronizeWarp(decoder);
  decoder.flag("cta");
  const action = decoder.require("action", "sync", "arrive", "red");
  decoder.flag("aligned");
  if (action === "red") {
    const kind = decoder.require("reduction", "popc", "and", "or");
    decoder.take("aligned");
    decoder.require("type", kind === "popc" ? "u32" : "pred");
    decoder.done(3, 4);
    const threads = decoder.operands.length === 4 ? decoder.source(2, u32) : undefined;
    const predicate = decoder.predicate(decoder.operands.length - 1);
    const target = kind === "popc" ? decoder.target(0, u32) : decoder.predicateTarget(0);
    return {
      kind: "barrier",
      barrier: decoder.source(1, u32),
      threads,
      arrive: false,
      reduce: { kind, predicate, target },
    };
  }
  if (action === "arrive") decoder.done(2);
  else decoder.done(1, 2);
  const threads = decoder.operands.length === 2 ? decoder.source(1, u32) : undefined;
  return { kind: "barrier", barrier: decoder.source(0, u32), threads, arrive: action === "arrive" };
}

/** membar and fence. */
export function fence(decoder: Decoder): Operation {
  decoder.take("sc", "acq_rel");
  const scope = decoder.require("scope", "cta", "cluster", "gpu", "gl", "sys") === "cta" ? "block" : "launch";
  decoder.done(0);
  return ({ block, index }) => {
    if (block.launch.check) block.releases.fence(index, scope);
  };
}

/** What may be left undone: prefetches, sleep, hints. */
export const nothing = (): Operation => () => {};

export function trap(decoder: Decoder): Operation {
  decoder.done(0);
  return (warp, mask) => warp.fault("PTX_TRAP", "the kernel stopped itself (trap)", 31 - Math.clz32(mask & -mask));
}
