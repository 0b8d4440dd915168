/**
 * @file Tables of cosines and sines: f32, from angles in f64. At position 2^20 the angle of the fastest pair is off by about 2^-32
 * radians, far below half a unit of f32 (2^-25); an angle in f32 would be off by up to 2^-4.
 */
import type { Device, Tensor } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import { refuseUnknownNames } from "../../support/names.ts";
import { type RopeFrequencies, ropeFrequencies } from "./frequencies.ts";
import { plainRope, type RopeLayout, type RopeSections } from "./variants.ts";

/** Cosines and sines of every row's angles. */
export interface RopeTable {
  /** f32 [positions, D/2], D the turned channels. */
  readonly cos: Tensor;
  /** f32 [positions, D/2] */
  readonly sin: Tensor;
  /** Which channels make a pair. Default "half". */
  readonly layout?: RopeLayout;
}

/** The same on the host, row-major. */
export interface RopeTableData {
  readonly rows: number;
  /** D/2 */
  readonly pairs: number;
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/** One position (any real number) a row; with sections, of each of the three kinds. */
export type RopePositions =
  | ArrayLike<number>
  | {
      readonly time: ArrayLike<number>;
      readonly height: ArrayLike<number>;
      readonly width: ArrayLike<number>;
    };

export interface RopeTableDataOptions {
  /** A number n: 0 to n - 1. */
  readonly positions: number | RopePositions;
  /** Only xPos tells queries from keys. Default "query". */
  readonly side?: "query" | "key";
  /** Multiplies the rows one by one, such as a scale of logits by the query's position. Default: 1. */
  readonly rowScale?: ArrayLike<number>;
}

/** Tables on the host. @throws ArgumentError `ARGUMENT_VALUE`. */
export function ropeTableData(frequencies: RopeFrequencies, options: RopeTableDataOptions): RopeTableData {
  refuseUnknownNames("ropeTable", options, { positions: true, side: true, rowScale: true });
  const { positions, side = "query", rowScale } = options;
  const { inverseFrequencies, attentionFactor, sections, decay } = frequencies;
  const kinds = positionKinds(positions, sections);
  const rows = kinds[0].length;
  if (rowScale && rowScale.length !== rows)
    throw new ArgumentError(
      "ARGUMENT_VALUE",
      `ropeTable: rowScale has ${rowScale.length} numbers for ${rows} positions`,
    );
  const pairs = inverseFrequencies.length;
  const kindOfPair = Uint8Array.from({ length: pairs }, (_, pair) => (sections ? sectionOf(pair, sections) : 0));
  const [cos, sin] = [new Float32Array(rows * pairs), new Float32Array(rows * pairs)];
  for (let row = 0; row < rows; row++) {
    const scale = attentionFactor * (rowScale ? rowScale[row]! : 1);
    for (let pair = 0; pair < pairs; pair++) {
      const position = kinds[kindOfPair[pair]!]![row]!;
      const angle = position * inverseFrequencies[pair]!;
      let radius = scale;
      if (decay) {
        const power = (position - decay.center) / decay.scaleBase;
        radius *= decay.zeta[pair]! ** (side === "query" ? power : -power);
      }
      cos[row * pairs + pair] = radius * Math.cos(angle);
      sin[row * pairs + pair] = radius * Math.sin(angle);
    }
  }
  return { rows, pairs, cos, sin };
}

/** Plain RoPE by its base, or any variant by its frequencies. */
export type RopeTableOptions = RopeTableDataOptions &
  (
    | {
        readonly frequencies: RopeFrequencies;
      }
    | {
        readonly frequencies?: undefined;
        /** D, even. */
        readonly headDim: number;
        /** theta_i = base^(-2i/D). Default 10000. */
        readonly base?: number;
      }
  );

/** Tables on a device, for `rope`. @throws ArgumentError `ARGUMENT_VALUE`. */
export function ropeTable(device: Device, options: RopeTableOptions): RopeTable {
  const {
    frequencies: given,
    headDim,
    base,
    ...rest
  } = options as RopeTableDataOptions & {
    readonly frequencies?: RopeFrequencies;
    readonly headDim?: number;
    readonly base?: number;
  };
  const frequencies = given ?? plainFrequencies({ headDim: headDim!, base });
  const { rows, pairs, cos, sin } = ropeTableData(frequencies, rest);
  const upload = (table: Float32Array) => device.tensor(table, { shape: [rows, pairs], dtype: "f32" });
  return { cos: upload(cos), sin: upload(sin), layout: frequencies.layout };
}

function plainFrequencies({ headDim, base = 10000 }: { headDim: number; base: number | undefined }): RopeFrequencies {
  if (!Number.isInteger(headDim) || headDim < 2 || headDim % 2 !== 0 || !(base > 0))
    throw new ArgumentError(
      "ARGUMENT_VALUE",
      `ropeTable: headDim (${headDim}) must be even and at least 2, base (${base}) positive`,
    );
  return ropeFrequencies(plainRope(base), { headDim });
}

function positionKinds(
  positions: number | RopePositions,
  sections: RopeSections | undefined,
): readonly [ArrayLike<number>, ...ArrayLike<number>[]] {
  const wrong = (rule: string): never => {
    throw new ArgumentError("ARGUMENT_VALUE", `ropeTable: ${rule}`);
  };
  if (typeof positions === "number") {
    if (!Number.isInteger(positions) || positions < 1)
      wrong(`positions (${positions}) must be a positive integer, or the positions themselves`);
    const all = Float64Array.from({ length: positions }, (_, position) => position);
    return [all, all, all];
  }
  if ("length" in positions)
    return positions.length > 0 ? [positions, positions, positions] : wrong("there are no positions");
  const { time, height, width } = positions;
  if (!sections) wrong("positions of time, height and width need a variant with sections (mrope_section)");
  if (time.length === 0 || time.length !== height.length || time.length !== width.length)
    wrong(`time, height and width have ${time.length}, ${height.length} and ${width.length} positions; one each a row`);
  return [time, height, width];
}

/** Which of time (0), height (1) and width (2) turns a pair. */
function sectionOf(pair: number, { sizes, interleaved }: RopeSections): number {
  if (!interleaved) return pair < sizes[0] ? 0 : pair < sizes[0] + sizes[1] ? 1 : 2;
  const kind = pair % 3;
  return kind > 0 && pair < 3 * sizes[kind]! ? kind : 0;
}
