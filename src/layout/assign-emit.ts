/**
 * @file The last step of layout assignment: rebuilds the kernel so that every value exists in each layout that is asked of it. See
 * assign.ts for the whole.
 */
import { type Block, Builder, blockParameter, type Kernel, type Operation, type Value } from "../ir/index.ts";
import type { Demands } from "./assign-demands.ts";
import { type LaidOutKernel, type Primary, ranked } from "./assign-policy.ts";
import type { LinearLayout } from "./linear-layout.ts";

export function emitLaidOut(kernel: Kernel, primaries: ReadonlyMap<Value, Primary>, demands: Demands): LaidOutKernel {
  const builder = new Builder();
  const layouts = new Map<Value, LinearLayout>();
  const scalars = new Map<Value, Value>();
  const tiles = new Map<Value, Map<string, Value>>();

  const lookup = (value: Value, layout: LinearLayout | undefined): Value => {
    const found = layout ? tiles.get(value)?.get(layout.key) : scalars.get(value);
    if (!found)
      throw new Error(
        `layout assignment lost ${value.name ?? value.definition?.opcode ?? "a block parameter"}: a bug in Tilewright`,
      );
    return found;
  };
  const define = (value: Value, made: Value, layout: LinearLayout): void => {
    let versions = tiles.get(value);
    if (!versions) {
      versions = new Map();
      tiles.set(value, versions);
    }
    versions.set(layout.key, made);
    layouts.set(made, layout);
  };
  /** Registers a value that exists in its primary layout and converts it to the others that are asked for. */
  const defineWithConversions = (value: Value, made: Value): void => {
    if (!ranked(value)) {
      scalars.set(value, made);
      return;
    }
    const { layout } = primaries.get(value)!;
    define(value, made, layout);
    for (const other of demands.of.get(value)?.values() ?? [])
      if (other.key !== layout.key)
        define(value, builder.value("convert_layout", [made], {}, { names: [value.name] }), other);
  };

  const copyBlock = (block: Block): Block => {
    const parameters = block.parameters.map((value) => blockParameter(value.type, value.name));
    return builder.block(parameters, () => {
      block.parameters.forEach((value, i) => {
        defineWithConversions(value, parameters[i]!);
      });
      block.operations.forEach(emit);
    });
  };
  const emit = (operation: Operation): void => {
    const { opcode, operands, results, attributes, location } = operation;
    builder.locate = () => location;
    const names = results.map((result) => result.name);
    if (demands.isFree(operation)) {
      const asked = new Map(results.flatMap((result) => [...(demands.of.get(result) ?? [])]));
      for (const layout of asked.values()) {
        const inputs = operands.map((operand, i) => lookup(operand, demands.layoutForFree(operation, i, layout)));
        const made = builder.create(opcode, inputs, attributes, { names });
        results.forEach((result, i) => {
          define(result, made.results[i]!, layout);
        });
      }
      return;
    }
    const wanted = demands.operands.get(operation)!;
    const inputs = operands.map((operand, i) => lookup(operand, wanted[i]));
    const blocks = operation.blocks.map(copyBlock);
    builder.locate = () => location;
    const made = builder.create(opcode, inputs, attributes, { blocks, names });
    results.forEach((result, i) => {
      defineWithConversions(result, made.results[i]!);
    });
  };

  kernel.body.parameters.forEach((value) => {
    scalars.set(value, value);
  });
  kernel.body.operations.forEach(emit);
  return { kernel: { ...kernel, body: builder.finish(kernel.body.parameters) }, layouts };
}
