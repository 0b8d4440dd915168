/**
 * @file Dropout of attention weights, added to any variant: the weight of query m and key n is kept iff
 * philox(seed, offset + ((b · Hq + h) · M + m) · N + n) > probability. Nothing is stored: the backward kernels make the same numbers.
 */
import { type Constants, type Index, type TensorView, tl } from "../../dsl/index.ts";
import { type RuntimeIndex, tensorNames, type Variant } from "./variant.ts";

const parameters = {
  probability: tl.scalar("f32"),
  seed: tl.scalar("i64"),
  offset: tl.scalar("i64"),
};

const constants = {
  /** Rounds of Philox. */
  DROPOUT_ROUNDS: 6,
  /** Count in 64 bits, with the 64-bit generator, as Triton does once the offset needs them; else in 32 bits, which wrap. */
  WIDE_OFFSET: false,
};

/** The variant with dropout: the weights that reach the values are the kept ones, times 1 / (1 - probability); lse is undropped. */
export function withDropout<C extends Constants>(variant: Variant<any, C>): Variant<any, C & typeof constants> {
  const dropout: Variant<typeof parameters, typeof constants>["dropout"] = (p, at, c) => {
    const dtype = c.WIDE_OFFSET ? "i64" : "i32";
    const wide = (x: RuntimeIndex) => x.to(dtype);
    // Numbers count in the tensors' axes, whatever part of them the sequence has.
    const operand = (name: string) => (p as any)[name] as TensorView<"T", 4>;
    const [queries, keys] = [operand(tensorNames(variant, "queries")[0]!).shape(2), operand("v").shape(2)];
    const ofSequence = (first: Index = 0) => (typeof first === "number" ? first : wide(first));
    const firstRow = wide(at.batch)
      .mul(wide(at.heads))
      .add(wide(at.head))
      .mul(wide(queries))
      .add(ofSequence(at.firstRow?.queries));
    const firstNumber = p.offset.to(dtype).add(ofSequence(at.firstRow?.keys));
    return {
      keep({ query, key }) {
        const rowStart = query.to(dtype).add(firstRow).mul(wide(keys)).add(firstNumber);
        return tl.rand(p.seed, rowStart.add(key.to(dtype)), c.DROPOUT_ROUNDS).gt(p.probability);
      },
      scale: tl.div(1, tl.sub(1, p.probability)),
    };
  };
  return {
    ...variant,
    name: `${variant.name}_dropout`,
    parameters: { ...variant.parameters, ...parameters },
    constants: { ...(variant.constants as C), ...constants },
    dropout,
  };
}
