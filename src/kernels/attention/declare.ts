/** @file What the declarations of all attention kernels share: name, constants, operands, hints. */
import {
  type BodyParameters,
  type Constants,
  type GridOperand,
  type GridParameters,
  type KernelDefinition,
  kernel,
  type ParameterSpecs,
  tl,
} from "../../dsl/index.ts";
import { dense } from "./dense.ts";
import type { Context } from "./scores.ts";
import { type BlockConstants, blockConstants, operandNames, type Variant } from "./variant.ts";

const commonParameters = { v: tl.tensor("T", 4), scale: tl.scalar("f32") };
type Common = typeof commonParameters;

interface AttentionKernelSpec<P extends ParameterSpecs> {
  /** The kernel's name for plain attention. */
  readonly name: string;
  /** Besides the operands, "v" and "scale", and the variant's own. */
  readonly params: P;
  readonly grid: (p: GridParameters<P & Common>, c: BlockConstants) => readonly GridOperand[];
  body(p: BodyParameters<P & Common>, context: Context): void;
}

/** A kernel over a variant, with the operands of its terms and with the constants of both. */
export function attentionKernel<C extends Constants, P extends ParameterSpecs>(
  variant: Variant<any, C>,
  { name, params, grid, body }: AttentionKernelSpec<P>,
): KernelDefinition<typeof blockConstants & C, P & Common> {
  const operands = [...operandNames(variant, "queries"), ...operandNames(variant, "keys")];
  const definition: KernelDefinition<any, any> = kernel({
    name: variant === (dense as Variant) ? name : `${name}_${variant.name}`,
    constants: { ...blockConstants, ...variant.constants } as typeof blockConstants,
    params: {
      ...(Object.fromEntries(operands.map((operand) => [operand, tl.tensor("T", 4)])) as ParameterSpecs),
      ...commonParameters,
      ...(variant.parameters as ParameterSpecs),
      ...params,
    } as P & Common,
    grid,
    hints: ({ NUM_WARPS }) => ({ numWarps: NUM_WARPS }),
    body: (p, c) => body(p, { variant, p, c }),
  });
  return definition;
}
