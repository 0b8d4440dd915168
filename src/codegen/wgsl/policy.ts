/**
 * @file Which thread holds which elements, on WGSL: the number of threads, and the layouts that dots, loads and scans ask for.
 *
 * On a CPU a thread owns whole rows: the statistics of a row, the reductions along it and the left operand of the next dot then stay with
 * one thread, and nothing has to pass through workgroup memory. On a GPU a thread owns a small, roughly square block of an
 * accumulator, and neighbouring threads load neighbouring elements.
 */
import { type Kernel, type Operation, ops, shapeOf, type Value, walk } from "../../ir/index.ts";
import {
  axisName,
  defaultBlocked,
  flattenThreads,
  type LayoutPolicy,
  LinearLayout,
  REGISTER,
  THREAD,
} from "../../layout/index.ts";
import { isSoftware, type WgslCapabilities } from "./capabilities.ts";
import { dotTuning } from "./tuning.ts";

/** The number of threads of a workgroup, a power of two. */
export function chooseThreads(kernel: Kernel, capabilities: WgslCapabilities): number {
  let rows = 0;
  let elements = 1;
  walk(kernel.body, (operation) => {
    if (operation.opcode === "dot") rows = Math.max(rows, shapeOf(operation.results[0]!.type)[0]!);
    for (const { type } of [...operation.operands, ...operation.results])
      elements = Math.max(
        elements,
        shapeOf(type).reduce((product, extent) => product * extent, 1),
      );
  });
  const most = Math.min(2 ** Math.floor(Math.log2(capabilities.limits.maxComputeInvocationsPerWorkgroup)), 256);
  if (!isSoftware(capabilities)) return clamp(elements / (rows > 0 ? 16 : 4), Math.min(32, most), most);
  if (rows > 0) return clamp(rows / dotTuning(capabilities).rows, Math.min(rows, 8), most);
  return clamp(elements / 8, 1, Math.min(64, most));
}

const clamp = (value: number, least: number, most: number): number => Math.max(least, Math.min(value, most));

export function wgslPolicy(kernel: Kernel, capabilities: WgslCapabilities, threads: number): LayoutPolicy {
  const software = isSoftware(capabilities);
  const threadBits = Math.log2(threads);
  const accumulator = (shape: readonly number[]): LinearLayout =>
    software ? rowLayout(shape, threadBits) : blockLayout(shape, threadBits);
  const byDefault = (shape: readonly number[]): LinearLayout =>
    software
      ? rowLayout(shape, threadBits)
      : flattenThreads(defaultBlocked({ shape, warps: 1, lanes: threads, contiguous: 4 }));
  const preferred = software
    ? leftOperands(kernel, (shape) => rowLayout(shape, threadBits))
    : new Map<Operation, LinearLayout>();

  return {
    default: ({ shape }) => byDefault(shape),
    anchor(operation, primaryOf) {
      const { opcode, operands, results, attributes } = operation;
      const shape = (value: Value): readonly number[] => shapeOf(value.type);
      const own = (value: Value): LinearLayout => primaryOf(value) ?? byDefault(shape(value));
      switch (opcode) {
        case "dot": {
          const [a, b] = operands as [Value, Value, Value];
          const layout = accumulator(shape(results[0]!));
          // A thread that owns rows reads its own rows of a, again and again: it should have them.
          const left = software ? rowLayout(shape(a), threadBits) : own(a);
          return { operands: [left, own(b), layout], results: [layout], weight: 4 };
        }
        case "scan": {
          const layout = scanLayout(shape(results[0]!), attributes.axis as number, threadBits);
          return { operands: [layout], results: [layout], weight: 2 };
        }
        case "split":
          // Two scalars: every thread needs both.
          return shape(results[0]!).length === 0 ? { operands: [layoutWith([2], [], threadBits)] } : undefined;
        case "load":
        case "view_load": {
          const layout = preferred.get(operation);
          return layout && { results: [layout], weight: 2 };
        }
        default:
          return undefined;
      }
    },
  };
}

/** The loads whose values become the left operand of a dot, elementwise, with the layout of that. */
function leftOperands(
  kernel: Kernel,
  layoutOf: (shape: readonly number[]) => LinearLayout,
): Map<Operation, LinearLayout> {
  const loads = new Map<Operation, LinearLayout>();
  const follow = (value: Value): void => {
    const operation = value.definition;
    if (!operation) return;
    if (ops[operation.opcode].effect === "read") loads.set(operation, layoutOf(shapeOf(value.type)));
    else if (ops[operation.opcode].elementwise) for (const operand of operation.operands) follow(operand);
  };
  walk(kernel.body, (operation) => {
    if (operation.opcode === "dot") follow(operation.operands[0]!);
  });
  return loads;
}

/** The coordinate bits of a tile, each as its packed basis, in the order in which they are handed out. */
type Bases = (readonly number[])[];

const basis = (rank: number, axis: number, bit: number): number[] =>
  Array.from({ length: rank }, (_, i) => (i === axis ? 1 << bit : 0));

/** A layout with these coordinate bits for the thread's bits, lowest first (what is missing is copies), and all others in registers. */
function layoutWith(shape: readonly number[], ofThread: Bases, threadBits: number): LinearLayout {
  const taken = new Set(ofThread.map((bit) => bit.join()));
  const thread = [...ofThread];
  while (thread.length < threadBits) thread.push(shape.map(() => 0));
  const registers: Bases = [];
  for (let axis = shape.length - 1; axis >= 0; axis--)
    for (let bit = 0; bit < Math.log2(shape[axis]!); bit++) {
      const one = basis(shape.length, axis, bit);
      if (!taken.has(one.join())) registers.push(one);
    }
  const sizes = Object.fromEntries(shape.map((extent, axis) => [axisName(axis), extent]));
  return LinearLayout.fromBases({ [THREAD]: thread, [REGISTER]: registers }, sizes);
}

/**
 * Threads stand along the first axes; only what is left of them shares out the last axis, in pieces as large as can be. So a thread
 * owns whole rows where there are at least as many rows as threads.
 */
export function rowLayout(shape: readonly number[], threadBits: number): LinearLayout {
  const ofThread: Bases = [];
  for (let axis = Math.max(0, shape.length - 2); axis >= 0; axis--) {
    if (shape.length === 1) break;
    for (let bit = 0; bit < Math.log2(shape[axis]!) && ofThread.length < threadBits; bit++)
      ofThread.push(basis(shape.length, axis, bit));
  }
  const last = shape.length - 1;
  const bits = Math.log2(shape[last] ?? 1);
  const count = Math.min(bits, threadBits - ofThread.length);
  for (let bit = bits - count; bit < bits; bit++) ofThread.push(basis(shape.length, last, bit));
  return layoutWith(shape, ofThread, threadBits);
}

/** A roughly square block of the tile for each thread: neighbouring elements, so that operands are reused. */
function blockLayout(shape: readonly number[], threadBits: number): LinearLayout {
  const [rowBits, columnBits] = shape.map(Math.log2) as [number, number];
  const spare = Math.max(0, rowBits + columnBits - threadBits);
  // Of the register bits, columns get the larger half.
  const columns = Math.min(columnBits, Math.max(Math.ceil(spare / 2), spare - rowBits));
  const rows = Math.min(rowBits, spare - columns);
  const ofThread: Bases = [];
  for (let bit = columns; bit < columnBits; bit++) ofThread.push(basis(2, 1, bit));
  for (let bit = rows; bit < rowBits; bit++) ofThread.push(basis(2, 0, bit));
  return layoutWith(shape, ofThread, threadBits);
}

/** For a scan along `axis`: threads stand along the other axes first; of the scanned axis a thread holds neighbours. */
function scanLayout(shape: readonly number[], axis: number, threadBits: number): LinearLayout {
  const ofThread: Bases = [];
  for (let other = shape.length - 1; other >= 0; other--)
    for (let bit = 0; other !== axis && bit < Math.log2(shape[other]!) && ofThread.length < threadBits; bit++)
      ofThread.push(basis(shape.length, other, bit));
  const bits = Math.log2(shape[axis]!);
  const count = Math.min(bits, threadBits - ofThread.length);
  for (let bit = bits - count; bit < bits; bit++) ofThread.push(basis(shape.length, axis, bit));
  return layoutWith(shape, ofThread, threadBits);
}
