/**
 * @file How positions enter the model: a rotary embedding (of the checkpoint, or another in its place), and for texts longer than the
 * trained length a scheme that shows far keys nearer than they are. One sequence has one of each, from its first token to its last.
 */
import {
  intendedLength,
  mappedPositions,
  overrideRopeConfig,
  type PositionMap,
  type RopeAngles,
  type RopeConfig,
  type RopeParameters,
  type RopeTable,
  ropeAngles,
  ropeFrequencies,
  ropeTable,
} from "../../kernels/index.ts";
import type { Device } from "../../runtime/index.ts";
import { checkRope, type ModelConfig } from "./config.ts";

export interface PositionOptions {
  /**
   * Another rotary embedding than the checkpoint's, by the keys of Hugging Face's `rope_scaling`: `{ rope_type: "yarn", factor: 8 }`.
   * Types: default, linear, dynamic, ntk, ntk-by-parts, yarn, longrope, llama3, proportional, xpos.
   */
  readonly rope?: RopeParameters;
  /** Positions of far keys, through PiecewiseAttention: `reRope`, `leakyReRope`, `selfExtend` or a map of one's own. */
  readonly scheme?: PositionMap;
}

/** `PositionOptions`, read. */
export interface Positions {
  readonly rope: RopeConfig;
  readonly scheme?: PositionMap;
}

/** `options` on top of `defaults`: what they do not say stays. @throws ConfigError `CONFIG_VALUE`. */
export function resolvePositions(
  config: ModelConfig,
  defaults: Positions,
  { rope, scheme = defaults.scheme }: PositionOptions,
): Positions {
  if (rope === undefined) return { rope: defaults.rope, scheme };
  const resolved = overrideRopeConfig(config.rope, rope);
  checkRope(resolved, config.headDim, "rope");
  return { rope: resolved, scheme };
}

/**
 * The angles of one sequence, for attention over keys that are not turned. `length`: the tokens of the sequence at its end, by which some variants
 * (dynamic, longrope) choose their frequencies.
 */
export const rawRotation = (device: Device, headDim: number, { rope, scheme }: Positions, length: number): RopeAngles =>
  ropeAngles(device, {
    frequencies: ropeFrequencies(rope, { headDim, sequenceLength: length }),
    length,
    ...(scheme && { map: scheme }),
  });

/** The rotary tables of one sequence: rows are positions. */
export class RotaryTables implements Disposable {
  /** For keys less than `far.threshold` behind the query, or for all. */
  readonly near: { readonly query: RopeTable; readonly key: RopeTable };
  /** For the others, under a scheme. */
  readonly far: { readonly query: RopeTable; readonly key: RopeTable; readonly threshold: number } | undefined;

  /** `length`: as in `rawRotation`. */
  constructor(device: Device, headDim: number, { rope, scheme }: Positions, length: number) {
    const frequencies = ropeFrequencies(rope, { headDim, sequenceLength: length });
    const make = (positions: number | Float64Array, side: "query" | "key", rowScale?: Float64Array) =>
      ropeTable(device, { frequencies, positions, side, rowScale });
    if (scheme === undefined) {
      const query = make(length, "query");
      this.near = { query, key: frequencies.decay ? make(length, "key") : query };
      return;
    }
    const { nearQuery, nearKey, farQuery, farKey, queryScale } = mappedPositions(scheme, length);
    this.near = { query: make(nearQuery, "query", queryScale), key: make(nearKey, "key") };
    this.far = {
      query: make(farQuery, "query", queryScale),
      key: make(farKey, "key"),
      threshold: scheme.threshold,
    };
  }

  [Symbol.dispose](): void {
    const tables = new Set([this.near.query, this.near.key, ...(this.far ? [this.far.query, this.far.key] : [])]);
    for (const { cos, sin } of tables) {
      cos.dispose();
      sin.dispose();
    }
  }
}

/** What to say, once, before a text passes the length that its positions are meant for; undefined while it does not. */
export function beyondTrained({ rope, scheme }: Positions, length: number): string | undefined {
  const intended = intendedLength(rope);
  if (scheme !== undefined || length <= intended) return undefined;
  return (
    `Aquila2: ${length} tokens are more than the ${intended} that the model and its rotary embedding (rope_type ` +
    `"${rope.scaling.type}") are made for; its predictions get worse from there on. Give loadAquila2 a scheme, such as ` +
    `{ scheme: reRope({ window: ${Math.max(1, Math.floor(intended / 2))} }) }, or another rope_type, such as ` +
    `{ rope: { rope_type: "dynamic", factor: 1 } }.`
  );
}
