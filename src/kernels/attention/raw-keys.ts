/**
 * @file Caches of keys before the rotary embedding: each term of a variant turns them by angles of its own while it loads them, so a cache holds a
 * key once whatever the number of terms, and its positions may change after it was written.
 */
import { type TensorView, tl } from "../../dsl/index.ts";
import { loadPaged, paged } from "./paged.ts";
import { loadOperand, operandNames, type Variant } from "./variant.ts";

/**
 * The variant over paged caches of raw keys, parameter "k". `angles` [terms, 2, positions, D/2] holds the cosines and sines of each term's keys.
 * Turned keys have the two channels of each pair side by side, (0, D/2), (1, D/2 + 1), ...; so must the channels of queries be.
 */
export function pagedRawKeys(variant: Variant): Variant {
  const base = paged(variant);
  const keys = operandNames(variant, "keys");
  return {
    ...base,
    name: `${base.name}_raw`,
    operands: [...operandNames(variant, "queries"), "k"],
    parameters: { ...base.parameters, angles: tl.tensor("f32", 4) },
    load(p, at, tile, { PAGE_SIZE }) {
      if (tile.side === "queries") return loadOperand(p, at, tile);
      if (tile.name === "v") return loadPaged(p, at, tile, PAGE_SIZE);
      const [rows, channels] = tile.shape;
      const half = { ...tile, name: "k", shape: [rows, channels / 2] } as const;
      // As a constant where it is one, so that the second half is seen to be aligned.
      const count = tile.inBounds[1] ? tl.full([], channels / 2, "i32") : (p.k as TensorView<"T", 4>).shape(3).div(2);
      const load = (from: typeof count) => loadPaged(p, at, half, PAGE_SIZE, { from, count }).to("f32");
      const angles = (p.angles as TensorView<"f32", 4>).at(keys.indexOf(tile.name));
      const [cos, sin] = [0, 1].map((i) =>
        angles.at(i).load([tile.first, 0], half.shape, { inBounds: [false, tile.inBounds[1]] }),
      ) as [ReturnType<typeof load>, ReturnType<typeof load>];
      const [first, second] = [load(tl.full([], 0, "i32")), load(count)];
      const turned = tl.join(first.mul(cos).sub(second.mul(sin)), second.mul(cos).add(first.mul(sin)));
      return turned.reshape(tile.shape).to((p.k as TensorView<"T", 4>).dtype) as never;
    },
  };
}
