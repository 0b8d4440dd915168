/**
 * @file From Tile IR with layouts to the instruction tree: one case for each operation of the table.
 */
import { type Block, elementBytes, type Operation, shapeOf } from "../../ir/index.ts";
import { bitcastTile, castTile, multipleOf } from "./casts.ts";
import { lowerIf, lowerLoop } from "./control.ts";
import { convertTile } from "./convert.ts";
import { lowerAssert, lowerPrint } from "./debug.ts";
import { lowerConvert, lowerDot } from "./dot.ts";
import type { Element } from "./element.ts";
import { lowerElementwise } from "./elementwise.ts";
import { lowerGather } from "./gather.ts";
import { lowerHistogram } from "./histogram.ts";
import { address } from "./instruction.ts";
import { widen } from "./integers.ts";
import type { Lowered, Lowering } from "./lowering.ts";
import { lowerAddPointer, lowerAtomic, lowerLoad, lowerStore } from "./memory.ts";
import { lowerReduce } from "./reduce.ts";
import { lowerScan } from "./scan.ts";
import { lowerArange, lowerConstant, lowerGrid, lowerJoin, lowerShape, lowerSplit } from "./shapes.ts";
import { transposeStaged } from "./shared.ts";
import { Tile, type View } from "./tile.ts";
import { shareAmongThreads } from "./uniform.ts";
import { lowerUpdate } from "./updates.ts";
import { lowerViewLoad, lowerViewStore } from "./views.ts";

/** Lowers the body of the kernel. `parameterNames` maps `q.stride.0` to the name of the entry's parameter. */
export function lowerKernel(lowering: Lowering, parameterNames: ReadonlyMap<string, string>): void {
  lowering.lowerBlock = (block) => lowerBlock(lowering, block);
  lowering.lowerOperation = (operation) => lowerAndHold(lowering, operation);
  bindParameters(lowering, parameterNames);
  lowerBlock(lowering, lowering.kernel.body);
}

function bindParameters(lowering: Lowering, names: ReadonlyMap<string, string>): void {
  const { emitter, kernel } = lowering;
  kernel.parameters.forEach(({ name, kind, dtype, rank, facts }, i) => {
    const parameter = (what: string, type: "u64" | "u32", divisor: number): Element =>
      emitter.pure(type === "u64" ? "b64" : "b32", `ld.param.${type}`, [address(names.get(what)!)], divisor);
    const value = kernel.body.parameters[i]!;
    if (kind === "scalar") {
      lowering.values.set(value, scalarParameter(lowering, names.get(name)!, dtype, facts.divisibleBy ?? 1));
      return;
    }
    const bytes = elementBytes[dtype];
    const alignment = Math.max(bytes, facts.alignment ?? 1);
    const pointer = parameter(name, "u64", alignment);
    if (kind === "pointer") {
      lowering.values.set(value, Tile.ofElements("pointer", undefined, [pointer]));
      return;
    }
    const axes = Array.from({ length: rank }, (_, axis) => axis);
    const sizes = axes.map((axis) => parameter(`${name}.shape.${axis}`, "u32", 1));
    const strides = axes.map((axis) =>
      facts.unitStride && axis === rank - 1
        ? 1
        : parameter(`${name}.stride.${axis}`, "u64", strideDivisor(facts, bytes)),
    );
    lowering.values.set(value, { kind: "view", dtype, pointer, sizes, strides, root: name });
  });
}

/** Without a unit stride nothing is promised of strides: the alignment then is the base address's alone. */
const strideDivisor = (facts: { alignment?: number; unitStride?: boolean }, bytes: number): number =>
  facts.unitStride ? Math.max(1, (facts.alignment ?? 1) / bytes) : 1;

function scalarParameter(lowering: Lowering, name: string, dtype: Tile["kind"], divisibleBy: number): Tile {
  const { emitter } = lowering;
  const from = [address(name)];
  const divisor = divisibleBy & -divisibleBy;
  const element = ((): Element => {
    switch (dtype) {
      case "bool":
        return emitter.pure("pred", "setp.ne.s32", [emitter.pure("b32", "ld.param.u8", from), 0]);
      case "i8":
        return emitter.pure("b32", "ld.param.s8", from, divisor);
      case "f16":
      case "bf16":
        return emitter.pure("b16", "ld.param.b16", from);
      case "f32":
        return emitter.pure("f32", "ld.param.f32", from);
      case "i64":
        return emitter.pure("b64", "ld.param.b64", from, divisor);
      default:
        return emitter.pure("b32", "ld.param.b32", from, divisor);
    }
  })();
  return Tile.ofElements(dtype, undefined, [element]);
}

function lowerBlock(lowering: Lowering, block: Block): void {
  for (const operation of block.operations) {
    if (operation.opcode === "yield") continue;
    // (Copies are issued before the operation that first reads what they bring, which is never skipped.)
    if (lowering.skipped.has(operation)) continue;
    lowering.emitter.operation = operation;
    if (lowering.options.lineInfo) lowering.emitter.line(operation.location);
    lowering.before.get(operation)?.();
    // What waits in shared memory is read here: when the select comes, the next copy may have taken its place.
    if (lowering.updates.has(operation)) for (const operand of operation.operands) lowering.tile(operand);
    else lowerAndHold(lowering, operation);
  }
}

function lowerAndHold(lowering: Lowering, operation: Operation): void {
  lowerOperation(lowering, operation).forEach((lowered, i) => {
    const result = operation.results[i]!;
    const wanted = lowering.layoutOf(result);
    // Whatever the lowering found natural, the result is held as it was assigned.
    const converts = lowered instanceof Tile && wanted && !lowered.layout?.equals(wanted);
    if (converts) lowering.values.set(result, convertTile(lowering.emitter, lowered, wanted));
    else
      lowering.values.set(result, lowered instanceof Tile ? shareAmongThreads(lowering, operation, lowered) : lowered);
  });
}

/** Gives the results; those of control flow are set by control.ts. */
function lowerOperation(lowering: Lowering, operation: Operation): readonly Lowered[] {
  const { emitter } = lowering;
  const { opcode, operands, attributes } = operation;
  const tile = (index = 0): Tile => lowering.tile(operands[index]!);
  const staged = lowering.staged.get(operation);
  if (staged) return [staged];
  switch (opcode) {
    case "constant":
      return [lowerConstant(lowering, operation)];
    case "program_id":
    case "num_programs":
      return [lowerGrid(lowering, operation)];
    case "arange":
      return [lowerArange(lowering, operation)];
    case "trans": {
      const source = lowering.lowered(operands[0]!);
      const permutation = attributes.permutation as number[];
      return [source.kind === "staged" ? transposeStaged(source, permutation) : lowerShape(lowering, operation)];
    }
    case "splat":
    case "broadcast":
    case "expand_dims":
    case "reshape":
      return [lowerShape(lowering, operation)];
    case "join":
      return [lowerJoin(lowering, operation)];
    case "split":
      return lowerSplit(lowering, operation);
    case "cast":
      return [castTile(emitter, tile(), attributes.dtype as "f32", lowering.wideningOf(operands[0]!))];
    case "bitcast":
      return [bitcastTile(emitter, tile(), attributes.dtype as "f32")];
    case "multiple_of":
      return [multipleOf(emitter, tile(), attributes.divisor as number)];
    case "convert_layout":
      return [lowerConvert(lowering, operation)];
    case "dot":
      return [lowerDot(lowering, operation)];
    case "reduce":
      return [lowerReduce(lowering, operation)];
    case "scan":
      return [lowerScan(lowering, operation)];
    case "gather":
      return [lowerGather(lowering, operation)];
    case "histogram":
      return [lowerHistogram(lowering, operation)];
    case "add_pointer":
      return [lowerAddPointer(lowering, operation)];
    case "load":
      return [lowerLoad(lowering, operation)];
    case "store":
      lowerStore(lowering, operation);
      return [];
    case "atomic_rmw":
    case "atomic_cas":
      return lowerAtomic(lowering, operation);
    case "make_view":
      return [makeView(lowering, operation)];
    case "view_pointer":
      return [Tile.ofElements("pointer", undefined, [lowering.view(operands[0]!).pointer])];
    case "view_size":
      return [Tile.ofElements("i32", undefined, [lowering.view(operands[0]!).sizes[attributes.axis as number]!])];
    case "view_stride":
      return [Tile.ofElements("i64", undefined, [lowering.view(operands[0]!).strides[attributes.axis as number]!])];
    case "view_load":
      return [lowerViewLoad(lowering, operation)];
    case "view_store":
      lowerViewStore(lowering, operation);
      return [];
    case "print":
      lowerPrint(lowering, operation);
      return [];
    case "assert":
      lowerAssert(lowering, operation);
      return [];
    case "loop":
      lowerLoop(lowering, operation);
      return [];
    case "if":
      lowerIf(lowering, operation);
      return [];
    case "select": {
      const update = lowering.updateOf(operation);
      return [(update && lowerUpdate(lowering, update)) ?? lowerAny(lowering, operation)];
    }
    default:
      return [lowerAny(lowering, operation)];
  }
}

/** Any elementwise operation. */
function lowerAny(lowering: Lowering, operation: Operation): Tile {
  const { operands, results } = operation;
  const layout = results[0] && shapeOf(results[0].type).length > 0 ? lowering.layoutOf(results[0]) : undefined;
  const tiles = operands.map((value) => lowering.tile(value));
  return lowerElementwise(lowering.emitter, operation, tiles, layout, lowering.options);
}

function makeView(lowering: Lowering, operation: Operation): View {
  const { emitter } = lowering;
  const [pointer, ...rest] = operation.operands;
  const rank = operation.attributes.rank as number;
  const strides = rest.slice(rank).map((stride) => {
    const element = lowering.scalar(stride);
    return stride.type.dtype === "i64" ? element : widen(emitter, element, "i32");
  });
  return {
    kind: "view",
    dtype: pointer!.type.dtype,
    pointer: lowering.scalar(pointer!),
    sizes: rest.slice(0, rank).map((size) => lowering.scalar(size)),
    strides,
    root: lowering.roots.rootOf(pointer!),
  };
}
