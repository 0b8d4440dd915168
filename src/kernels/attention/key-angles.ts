/** @file Angles by which PiecewiseAttention turns the keys of a cache that holds them raw. */
import type { Device, Tensor } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import type { RopeFrequencies } from "../rope/frequencies.ts";
import { mappedPositions, type PositionMap } from "../rope/position-maps.ts";
import { ropeTableData } from "../rope/table.ts";

/** Options of `keyAngles`. */
export interface KeyAnglesOptions {
  /** Positions of near and of far keys. */
  readonly map: PositionMap;
  /** D/2 of them, of any RoPE variant that pairs channel i with D/2 + i. */
  readonly frequencies: RopeFrequencies;
  /** How many keys: the longest context. */
  readonly length: number;
}

/**
 * Cosines and sines f32 [2, 2, length, D/2]: of near keys, then of far ones. Made once for a model; the angles are computed in f64.
 * @throws ArgumentError `POSITION_MAP`, `ARGUMENT_VALUE`: among others, for frequencies of interleaved pairs.
 */
export function keyAngles(device: Device, { map, frequencies, length }: KeyAnglesOptions): Tensor<"f32"> {
  if (frequencies.layout !== "half")
    throw new ArgumentError(
      "ARGUMENT_VALUE",
      `keyAngles: "frequencies" must pair channel i with D/2 + i, got layout "${frequencies.layout}"`,
    );
  const { nearKey, farKey } = mappedPositions(map, length);
  const tables = [nearKey, farKey].map((positions) => ropeTableData(frequencies, { positions, side: "key" }));
  const { rows, pairs } = tables[0]!;
  const data = new Float32Array(4 * rows * pairs);
  for (const [term, { cos, sin }] of tables.entries()) {
    data.set(cos, 2 * term * rows * pairs);
    data.set(sin, (2 * term + 1) * rows * pairs);
  }
  return device.tensor(data, { shape: [2, 2, rows, pairs], dtype: "f32" });
}
