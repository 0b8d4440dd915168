/**
 * @file Positions as one word of a command line: a RoPE type or a scheme, with options after colons: `yarn:factor=8`, `rerope:window=512`,
 * `leaky:window=512:factor=16:logn`. What is left out follows from the model: window L0/2 (Leaky ReRoPE and Self-Extend L0/4), factor and
 * group 16, `logn` L0, and for the types that need a factor T/L0, with L0 the trained length and T that of the text.
 */
import {
  leakyReRope,
  type PositionMap,
  type RopeConfig,
  reRope,
  ropeTypes,
  selfExtend,
  trainedLength,
} from "../../kernels/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import type { PositionOptions } from "./positions.ts";

/** Positions by their text. */
export interface NamedPositions {
  readonly name: string;
  /** Whether it gives `rope` or `scheme`. */
  readonly kind: "rope" | "scheme";
  /** For a checkpoint's own embedding, and a text of `length` tokens where that is known. @throws ConfigError, ArgumentError. */
  positions(rope: RopeConfig, length?: number): PositionOptions;
}

type Settings = ReadonlyMap<string, number | boolean | string>;

/** Schemes by name: the keys that they take, and the map. */
const schemes: Readonly<
  Record<string, { readonly keys: readonly string[]; map(read: Reader, trained: number): PositionMap }>
> = {
  rerope: {
    keys: ["window", "logn"],
    map: (read, trained) => reRope({ window: read("window", Math.floor(trained / 2)), ...logScale(read, trained) }),
  },
  leaky: {
    keys: ["window", "factor", "logn"],
    map: (read, trained) =>
      leakyReRope({
        window: read("window", Math.floor(trained / 4)),
        factor: read("factor", 16),
        ...logScale(read, trained),
      }),
  },
  selfextend: {
    keys: ["window", "group", "logn"],
    map: (read, trained) =>
      selfExtend({
        window: read("window", Math.floor(trained / 4)),
        group: read("group", 16),
        ...logScale(read, trained),
      }),
  },
};

type Reader = (key: string, fallback: number) => number;

/** A bare `logn` takes the trained length; without it there is no scale. */
function logScale(read: Reader, trained: number): { logScale?: number } {
  const length = read("logn", 0);
  return length === 0 ? {} : { logScale: length === 1 ? trained : length };
}

/** Types whose factor may be left out: the text's length over the trained one, at least 1. */
const stretched: readonly string[] = ["linear", "ntk", "ntk-by-parts", "yarn"];

/** @throws ArgumentError `POSITIONS_TEXT` for an unknown name or key, naming the accepted ones. */
export function parsePositions(text: string): NamedPositions {
  const [name = "", ...options] = text.split(":");
  const settings: Settings = new Map(options.map(parseOption));
  if (Object.hasOwn(schemes, name)) return { name: text, kind: "scheme", positions: schemeOf(text, name, settings) };
  if (!ropeTypes.includes(name))
    fail(text, `"${name}" is unknown; known are ${[...ropeTypes, ...Object.keys(schemes)].join(", ")}`);
  return {
    name: text,
    kind: "rope",
    positions: (rope, length) => ({
      rope: { rope_type: name, ...factorOf(name, rope, length), ...Object.fromEntries(settings) },
    }),
  };
}

function schemeOf(text: string, name: string, settings: Settings): NamedPositions["positions"] {
  const { keys, map } = schemes[name]!;
  for (const [key, value] of settings) {
    if (!keys.includes(key)) fail(text, `${name} has no option "${key}"; it has ${keys.join(", ")}`);
    const isBare = value === true && key === "logn";
    if (typeof value !== "number" && !isBare) fail(text, `${key} must be a number`);
  }
  return (rope) => ({ scheme: map((key, fallback) => Number(settings.get(key) ?? fallback), trainedLength(rope)) });
}

function factorOf(name: string, rope: RopeConfig, length: number | undefined): { factor?: number } {
  if (name === "dynamic") return { factor: 1 }; // the length alone decides
  if (length === undefined || !stretched.includes(name)) return {};
  return { factor: Math.max(1, length / trainedLength(rope)) };
}

function parseOption(option: string): [string, number | boolean | string] {
  const at = option.indexOf("=");
  if (at < 0) return [option, true];
  const [key, value] = [option.slice(0, at), option.slice(at + 1)];
  if (value === "true" || value === "false") return [key, value === "true"];
  const number = Number(value);
  return [key, value.trim() !== "" && Number.isFinite(number) ? number : value];
}

function fail(text: string, problem: string): never {
  throw new ArgumentError("POSITIONS_TEXT", `positions "${text}": ${problem}.`);
}
