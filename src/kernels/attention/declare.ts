/** @file What the declarations of all attention kernels share: name, constants, operands, hints. */
import {
  type BodyConstants,
  type BodyParameters,
  type Constants,
  type GridOperand,
  type GridParameters,
  type KernelDefinition,
  kernel,
  type ParameterSpecs,
  tl,
} from "../../dsl/index.ts";
import { type NamesOf, refuseUnknownNames } from "../../support/index.ts";
import { dense } from "./dense.ts";
import type { Context } from "./scores.ts";
import { type BlockConstants, blockConstants, tensorNames, type Variant } from "./variant.ts";

const commonParameters = { v: tl.tensor("T", 4), scale: tl.scalar("f32") };
type Common = typeof commonParameters;

interface AttentionKernelSpec<P extends ParameterSpecs, O extends Constants> {
  /** The kernel's name for plain attention. */
  readonly name: string;
  /** Besides the operands, "v" and "scale", and the variant's own. */
  readonly params: P;
  /** Besides those of the blocks and the variant's own. */
  readonly constants?: O;
  readonly grid: (p: GridParameters<P & Common>, c: BlockConstants & BodyConstants<O>) => readonly GridOperand[];
  body(p: BodyParameters<P & Common>, context: Context, own: BodyConstants<O>): void;
}

const variantEntries: NamesOf<Variant> = {
  name: true,
  terms: true,
  tensors: true,
  parameters: true,
  constants: true,
  spans: true,
  logits: true,
  packs: true,
  sink: true,
  dropout: true,
  load: true,
  storeGradients: true,
  documents: true,
  keyCount: true,
};

/** A kernel over a variant, with the operands of its terms and with the constants of both. */
export function attentionKernel<
  C extends Constants,
  P extends ParameterSpecs,
  O extends Constants = Record<never, never>,
>(
  variant: Variant<any, C>,
  { name, params, constants, grid, body }: AttentionKernelSpec<P, O>,
): KernelDefinition<typeof blockConstants & C & O, P & Common> {
  refuseUnknownNames(`variant "${variant.name}"`, variant, variantEntries, "entry");
  const operands = [...tensorNames(variant, "queries"), ...tensorNames(variant, "keys")];
  const definition: KernelDefinition<any, any> = kernel({
    name: variant === (dense as Variant) ? name : `${name}_${variant.name}`,
    constants: { ...blockConstants, ...variant.constants, ...constants } as typeof blockConstants,
    params: {
      ...(Object.fromEntries(operands.map((operand) => [operand, tl.tensor("T", 4)])) as ParameterSpecs),
      ...commonParameters,
      ...(variant.parameters as ParameterSpecs),
      ...params,
    } as P & Common,
    grid: (p, c) => grid(p, c as never),
    hints: ({ NUM_WARPS, RESIDENT_WORDS }) => ({ numWarps: NUM_WARPS, residentWords: RESIDENT_WORDS }),
    body: (p, c) => body(p, { variant, p, c }, c as never),
  });
  return definition;
}
