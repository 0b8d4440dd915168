/**
 * @file What the PTX back end wants of layouts: accumulators of a dot are mma fragments with the warps along the rows as far as there are
 * rows, operands are the fragments that go with them; memory is accessed by neighbouring lanes in vectors as wide as the facts allow.
 */
import {
  type DType,
  elementBytes,
  elementCount,
  type Kernel,
  type Operation,
  ops,
  type PointerType,
  shapeOf,
  type TileType,
  type Value,
  walk,
} from "../../ir/index.ts";
import {
  type Anchor,
  defaultBlocked,
  LANE,
  type LayoutPolicy,
  type LinearLayout,
  mmaLayout,
  vectorWidth,
} from "../../layout/index.ts";
import { analyzeAxes, boundedMask, pointerAccess, viewAccess } from "../../passes/index.ts";
import { fmaLayout, planDot, warpGrid } from "./dot-plan.ts";
import { type Access, sharedNeighbours, tileOf } from "./neighbours.ts";
import { scanLayout } from "./scan.ts";
import type { TargetInfo } from "./target.ts";

const DOT_WEIGHT = 3;
/** Global memory moves in sectors of so many bytes. */
const SECTOR_BYTES = 32;
/** And lies in cache lines of so many. */
const LINE_BYTES = 128;
/** Rows of up to so many elements are read again for each user rather than brought to it through shared memory. */
const SHORT_ROW = 256;

/** Bytes next to each other in a row (the last axis) that a warp's access reaches: vectors of neighbouring lanes. */
function contiguousBytes(layout: LinearLayout, dtype: DType): number {
  const bytes = elementBytes[dtype];
  const lanes = layout.basesOf(LANE);
  const row = layout.shape.at(-1)!;
  let width = vectorWidth(layout, layout.outs.length - 1, { elementBytes: bytes });
  while (width < row && lanes.includes(width)) width *= 2;
  return width * bytes;
}

function usersIn(kernel: Kernel): Map<Value, Operation[]> {
  const users = new Map<Value, Operation[]>();
  walk(kernel.body, (operation) => {
    for (const operand of operation.operands) {
      const list = users.get(operand);
      if (list) list.push(operation);
      else users.set(operand, [operation]);
    }
  });
  return users;
}

/** Whether the result of a dot goes into another dot as an operand, or into a reduction or scan: then all dots share out rows alike. */
function dotsMeet(kernel: Kernel, usersOf: (value: Value) => readonly Operation[]): boolean {
  /** What loops carry and branches give: a dot's result that is yielded counts as all of it, which is enough to tell. */
  const carried: Value[] = [];
  const dots: Value[] = [];
  walk(kernel.body, ({ opcode, results, blocks }) => {
    if (opcode === "dot") dots.push(...results);
    if (blocks.length > 0) carried.push(...results, ...blocks.flatMap(({ parameters }) => parameters.slice(1)));
  });
  const seen = new Set<Value>();
  const meets = (value: Value): boolean => {
    if (seen.has(value)) return false;
    seen.add(value);
    return usersOf(value).some((user) => {
      if (user.opcode === "reduce" || user.opcode === "scan") return true;
      if (user.opcode === "dot" && user.operands.indexOf(value) < 2) return true;
      return (user.opcode === "yield" ? carried : user.results).some(meets);
    });
  };
  return dots.some(meets);
}

export function ptxPolicy(kernel: Kernel, target: TargetInfo, numWarps: number): LayoutPolicy {
  const analysis = analyzeAxes(kernel);
  let users: ReadonlyMap<Value, readonly Operation[]> | undefined;
  const usersOf = (value: Value): readonly Operation[] => {
    users ??= usersIn(kernel);
    return users.get(value) ?? [];
  };
  let byRows: boolean | undefined;
  const coalesced = (shape: readonly number[], contiguous: number, axis: number, run?: number): LinearLayout => {
    const others = shape.map((_, i) => i).filter((i) => i !== axis);
    const order = shape.length === 0 ? [] : [axis, ...others.reverse()];
    return defaultBlocked({ shape, warps: numWarps, contiguous, order, ...(run && { run }) });
  };
  const plain = (type: TileType | PointerType): LinearLayout => {
    // Enough elements a thread that 16-bit and 8-bit values are moved in whole words.
    const contiguous = Math.max(1, 4 / (type.kind === "pointer" ? 8 : elementBytes[type.dtype]));
    return coalesced(type.shape, contiguous, type.shape.length - 1);
  };
  const widest = (dtype: DType): number => target.maxVectorBytes / elementBytes[dtype];

  /** Operations of loops are asked about several times (assign.ts). */
  const memoryLayouts = new Map<Operation, LinearLayout | undefined>();
  const tensorCoreAnchors = new Map<Operation, Anchor>();

  /** The coalesced layout of a tile in memory. */
  const memoryLayout = (operation: Operation): LinearLayout | undefined => {
    if (!memoryLayouts.has(operation)) memoryLayouts.set(operation, chooseMemoryLayout(operation));
    return memoryLayouts.get(operation);
  };
  const chooseMemoryLayout = (operation: Operation): LinearLayout | undefined => {
    const shape = shapeOf(
      operation.operands[0]!.type.kind === "view" ? tileOf(operation).type : operation.operands[0]!.type,
    );
    if (shape.length === 0) return undefined;
    const { axis, contiguous } = accessOf(operation);
    const run = runOf(operation);
    return coalesced(shape, run ? contiguous : neighboursOf(operation), axis ?? shape.length - 1, run);
  };
  /** A dot does not care which thread loads what. More in one row, then: in whole lines, but with fewer addresses a thread. */
  const runOf = ({ operands, results: [result] }: Operation): number | undefined =>
    result && isOnlyMultiplied(result) ? LINE_BYTES / elementBytes[operands[0]!.type.dtype] : undefined;
  const accessOf = (operation: Operation): Access => {
    const { opcode, operands } = operation;
    const dtype = operands[0]!.type.dtype;
    if (opcode === "view_load" || opcode === "view_store") {
      const { axis, alignment } = viewAccess(operation, analysis);
      // Where the last size is unknown the code checks it and has a version with vectors.
      const contiguous = axis === null ? 1 : Math.min(widest(dtype), Math.max(1, alignment / elementBytes[dtype]));
      return { axis, contiguous };
    }
    const mask = opcode === "load" ? operands[1] : operands[2];
    // What a dot alone reads is copied, for which a bound makes no difference (bounded-mask.ts).
    const bounded = runOf(operation) && mask ? boundedMask(mask) : undefined;
    const masks = bounded?.rest ?? (mask ? [mask] : []);
    const { axis, width } = pointerAccess(operands[0]!, masks, analysis);
    return { axis, contiguous: Math.min(width, widest(dtype)) };
  };
  const neighboursOf = sharedNeighbours(accessOf, usersOf);

  return {
    anchor(operation, primaryOf): Anchor | undefined {
      const { opcode, operands, attributes } = operation;
      switch (opcode) {
        case "view_load":
        case "load": {
          const own = isScattered(operation) ? primaryOf(operands[0]!) : undefined;
          const layout = own ?? memoryLayout(operation);
          return layout && { operands: opcode === "load" ? operands.map(() => layout) : [], results: [layout] };
        }
        case "view_store":
        case "store": {
          const layout = memoryLayout(operation);
          const value = operands[1]!;
          if (!layout) return undefined;
          const own = isScattered(operation) ? (primaryOf(operands[0]!) ?? primaryOf(value)) : undefined;
          const chosen = own ?? storeFrom(primaryOf(value), layout, value.type.dtype);
          return { operands: opcode === "store" ? operands.map(() => chosen) : [undefined, chosen] };
        }
        case "scan": {
          const layout = scanLayout(shapeOf(operands[0]!.type), attributes.axis as number, numWarps, target.warpSize);
          return { operands: [layout], results: [layout] };
        }
        case "dot":
          return dotAnchor(operation, primaryOf);
        default:
          return undefined;
      }
    },
    // A row or column that is spread over tiles: in the layouts of those a thread reads little, and what others read as well. Where it has other
    // users too, that pays while it is short. And what is gathered for the result of a dot is gathered where that is.
    isRepeated(operation) {
      const {
        opcode,
        results: [result],
      } = operation;
      if (opcode !== "view_load" && opcode !== "load") return false;
      if (isScattered(operation) && meetsDot(result!)) return true;
      const shape = shapeOf(result!.type);
      const extent = Math.max(...shape);
      return elementCount(shape) === extent && isSpread(result!, extent <= SHORT_ROW ? "some" : "every");
    },
    default: plain,
  };

  /** Whether an access goes to addresses in no order: then no layout is better than the one that they are computed in. */
  function isScattered({ opcode, operands: [pointer] }: Operation): boolean {
    return (opcode === "load" || opcode === "store") && analysis.of(pointer!).contiguity.every((run) => run === 1);
  }

  /** Whether the value, or what is computed from it element by element, is computed with the result of a dot. */
  function meetsDot(value: Value): boolean {
    return usersOf(value).some(
      ({ opcode, operands, results }) =>
        ops[opcode].elementwise === true &&
        (operands.some(({ definition }) => definition?.opcode === "dot") || results.some(meetsDot)),
    );
  }

  function isOnlyMultiplied(value: Value): boolean {
    const all = usersOf(value);
    const multiplies = (user: Operation): boolean =>
      (user.opcode === "trans" && isOnlyMultiplied(user.results[0]!)) ||
      (user.opcode === "dot" && user.operands.indexOf(value) < 2 && planDot(user, target).kind === "mma");
    return all.length > 0 && all.every(multiplies);
  }

  /** Whether a row or column, or what is computed from it element by element, is put beside tiles by all or some of its users. */
  function isSpread(value: Value, users: "every" | "some"): boolean {
    const all = usersOf(value);
    const spreads = (user: Operation): boolean =>
      user.opcode === "expand_dims" ||
      user.opcode === "broadcast" ||
      (ops[user.opcode].elementwise === true && isSpread(user.results[0]!, users));
    return all.length > 0 && all[users](spreads);
  }

  /** A store writes from where the value is, when the lanes of a warp together fill sectors there as well. */
  function storeFrom(own: LinearLayout | undefined, best: LinearLayout, dtype: DType): LinearLayout {
    const wanted = Math.min(SECTOR_BYTES, contiguousBytes(best, dtype));
    return own && contiguousBytes(own, dtype) >= wanted ? own : best;
  }

  function dotAnchor(operation: Operation, primaryOf: (value: Value) => LinearLayout | undefined): Anchor {
    const known = tensorCoreAnchors.get(operation);
    if (known) return known;
    const plan = planDot(operation, target);
    const [a, b] = operation.operands;
    const [m, k] = shapeOf(a!.type) as [number, number];
    const n = shapeOf(b!.type)[1]!;
    if (plan.kind === "fma") {
      const accumulator = fmaLayout([m, n], numWarps, target.warpSize);
      const own = (value: Value): LinearLayout => primaryOf(value) ?? plain(value.type as TileType);
      return { operands: [own(a!), own(b!), accumulator], results: [accumulator], weight: DOT_WEIGHT };
    }
    const { instruction, contraction } = plan;
    byRows ??= dotsMeet(kernel, usersOf);
    const warpsPerCta = warpGrid([m, n], numWarps, byRows);
    // Bytes that lie next to each other across the contraction are loaded in pairs.
    const held = primaryOf(b!);
    const paired =
      b!.type.dtype === "i8" &&
      n / warpsPerCta[1] >= 16 &&
      held !== undefined &&
      vectorWidth(held, 1, { elementBytes: 1 }) > vectorWidth(held, 0, { elementBytes: 1 });
    const accumulator = mmaLayout({
      instruction,
      contraction,
      warpsPerCta,
      role: "accumulator",
      shape: [m, n],
      paired,
    });
    const anchor: Anchor = {
      operands: [
        mmaLayout({ instruction, contraction, warpsPerCta, role: "a", shape: [m, k] }),
        mmaLayout({ instruction, contraction, warpsPerCta, role: "b", shape: [k, n], paired }),
        accumulator,
      ],
      results: [accumulator],
      weight: DOT_WEIGHT,
    };
    tensorCoreAnchors.set(operation, anchor);
    return anchor;
  }
}
