/** @file The angles by which attention over raw queries and keys turns them: the public `ropeAngles`, and the operators' checks of it. */
import type { Device, Tensor } from "../../runtime/index.ts";
import { refuseUnknownNames } from "../../support/names.ts";
import type { RopeFrequencies } from "../rope/frequencies.ts";
import { mappedPositions, type PositionMap } from "../rope/position-maps.ts";
import { ropeTableData } from "../rope/table.ts";
import type { RopeLayout } from "../rope/variants.ts";
import type { ArgumentChecker } from "../support/arguments.ts";
import { tileExtent } from "./configuration.ts";
import type { Call } from "./launch.ts";
import { termsOf } from "./variant.ts";

/** Options of `ropeAngles`. */
export interface RopeAnglesOptions {
  /** d/2 of them, of any RoPE variant; d at most the head dim. The channels after the first d do not turn. */
  readonly frequencies: RopeFrequencies;
  /** Near and far positions, for PiecewiseAttention. Default: every token stands at its own position, for plain attention. */
  readonly map?: PositionMap;
  /** How many tokens: at least the longest context. */
  readonly length: number;
}

/** Cosines and sines of every token, for operators that turn raw queries and keys while they load them. Made once for a model. */
export interface RopeAngles extends Disposable {
  /**
   * f32 [2, terms, 2, length, d/2]: for queries, then for keys; of one term, or of near and far; cosines, then sines; row n is that of the token
   * at n, so key n has row n and query m of M row N - M + m.
   */
  readonly angles: Tensor<"f32">;
  /** Which channels make a pair. */
  readonly layout: RopeLayout;
}

/**
 * The tables of a RoPE variant, with the positions of a map if one is given. Angles are computed in f64; a scale of logits (of the map, or the
 * variant's attention factor) is in the tables.
 * @throws ArgumentError `POSITION_MAP`, `ARGUMENT_VALUE`, `ARGUMENT_UNKNOWN`.
 */
export function ropeAngles(device: Device, options: RopeAnglesOptions): RopeAngles {
  refuseUnknownNames("ropeAngles", options, { frequencies: true, map: true, length: true });
  const { frequencies, map, length } = options;
  const mapped = map && mappedPositions(map, length);
  const [queries, keys] = mapped
    ? [
        [mapped.nearQuery, mapped.farQuery],
        [mapped.nearKey, mapped.farKey],
      ]
    : [[length], [length]];
  const rowScale = mapped?.queryScale;
  const tables = [
    ...queries.map((positions) =>
      ropeTableData(frequencies, { positions, side: "query", ...(rowScale && { rowScale }) }),
    ),
    ...keys.map((positions) => ropeTableData(frequencies, { positions, side: "key" })),
  ];
  const { rows, pairs } = tables[0]!;
  const data = new Float32Array(2 * tables.length * rows * pairs);
  for (const [i, { cos, sin }] of tables.entries()) {
    data.set(cos, 2 * i * rows * pairs);
    data.set(sin, (2 * i + 1) * rows * pairs);
  }
  const angles = device.tensor(data, { shape: [2, queries.length, 2, rows, pairs], dtype: "f32" });
  return { angles, layout: frequencies.layout, [Symbol.dispose]: () => angles.dispose() };
}

/** What the kernels of a rotated variant take besides its tensors. */
export interface Rotation {
  readonly values: { readonly angles: Tensor };
  readonly constants: Readonly<Record<string, number | boolean>>;
}

/**
 * Checks the argument "rope", for a variant with so many terms and at most `longest` keys. `check` must know the head dim as "D".
 * @throws ArgumentError
 */
export function rotationOf(check: ArgumentChecker, rope: RopeAngles, terms: number, longest: number): Rotation {
  if (typeof rope !== "object" || rope === null)
    check.fail("ARGUMENT_MISSING", `"rope" must be what ropeAngles gives, got ${String(rope)}`);
  check.names(rope, { angles: true, layout: true }, "entry of rope");
  const { angles, layout } = rope;
  check.tensor("rope.angles", angles, [2, terms, 2, "positions", "d/2"], ["f32"]);
  check.oneOf("rope.layout", layout, ["half", "interleaved"]);
  const [dim, pairs, positions] = [check.size("D"), check.size("d/2"), check.size("positions")];
  const rest = dim - 2 * pairs;
  if (pairs < 1 || rest < 0)
    check.fail(
      "ARGUMENT_SHAPE",
      `"rope.angles" has shape [${angles.shape.join(", ")}]: it must turn at least 1 pair of the ${dim} channels and at most half as many`,
    );
  if (longest > positions)
    check.fail("ARGUMENT_SHAPE", `"rope.angles" has ${positions} positions, but there may be ${longest} keys`);
  const PAIRS = tileExtent(pairs);
  const REST = rest === 0 ? 0 : tileExtent(rest);
  return {
    values: { angles },
    constants: {
      PAIRS,
      PAD_PAIRS: PAIRS !== pairs,
      REST,
      PAD_REST: REST !== rest,
      INTERLEAVED: layout === "interleaved",
    },
  };
}

/** The call with rotation. @throws ArgumentError */
export function withRotation(call: Call, rope: RopeAngles): Call {
  const { check, kernels, queryShape, keyShape } = call;
  const [queries, keys] = [queryShape[2], keyShape[2]];
  if (queries > keys && keys > 0)
    check.fail(
      "ARGUMENT_SHAPE",
      `"q" has ${queries} queries, but "k" only ${keys} keys: with "rope", the last query stands at the last key, so the first ones would have no position`,
    );
  const { values, constants } = rotationOf(check, rope, termsOf(kernels.variant).length, keys);
  return { ...call, values: { ...call.values, ...values }, constants: { ...call.constants, ...constants } };
}
