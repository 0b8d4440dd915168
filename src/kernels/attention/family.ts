/** @file A variant with its modifications, and what is made of each, once: a call that asks for the same again finds it. */
import type { Modifier } from "./modifiers.ts";
import type { Variant } from "./variant.ts";

/** What is made of a variant, alone and modified. */
export interface VariantFamily<Made> {
  readonly plain: Made;
  /** Of the variant with the modifiers, which are added in this order. */
  with(modifiers: readonly Modifier[]): Made;
}

/** A variant under some modifiers, and the way to those under one more. */
interface Member<Made> {
  readonly variant: Variant;
  readonly made: Made;
  readonly next: Map<Modifier, Member<Made>>;
}

/** `make` only declares kernels, so what lies on the way to a modification may be made with it. */
export function variantFamily<Made>(variant: Variant, make: (variant: Variant) => Made): VariantFamily<Made> {
  const memberOf = (of: Variant): Member<Made> => ({ variant: of, made: make(of), next: new Map() });
  const plain = memberOf(variant);
  return {
    plain: plain.made,
    with: (modifiers) =>
      modifiers.reduce((member, modify) => {
        const known = member.next.get(modify) ?? memberOf(modify(member.variant));
        member.next.set(modify, known);
        return known;
      }, plain).made,
  };
}
