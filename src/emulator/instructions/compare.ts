/**
 * @file Comparison and choice: setp and set, selp and slct, testp.
 */

import { type Relation, relations } from "../../support/index.ts";
import { shortFormats } from "../arithmetic/formats.ts";
import { flush32 } from "../arithmetic/rounding.ts";
import { LANES, type Registers } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import type { PtxType } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { setPredicate, writing, writing32 } from "../translate/lanes.ts";
import { read64 } from "./integer64.ts";

/** Bits of the lanes for which something holds. */
type Test = (registers: Registers) => number;

/** What holds of two numbers; `unordered` forms hold when one is a NaN too. */
const comparisons: Readonly<Record<string, readonly [Relation, unordered?: boolean]>> = {
  eq: ["eq"],
  ne: ["ne"],
  lt: ["lt"],
  le: ["le"],
  gt: ["gt"],
  ge: ["ge"],
  lo: ["lt"],
  ls: ["le"],
  hi: ["gt"],
  hs: ["ge"],
  equ: ["eq", true],
  neu: ["ne", true],
  ltu: ["lt", true],
  leu: ["le", true],
  gtu: ["gt", true],
  geu: ["ge", true],
};
const names = [...Object.keys(comparisons), "num", "nan"];
const comparable = [
  "b16",
  "b32",
  "b64",
  "u16",
  "u32",
  "u64",
  "s16",
  "s32",
  "s64",
  "f16",
  "bf16",
  "f32",
  "f64",
] as const;

/** A view of the registers and the distance between lanes in it, from which `relation` compares. */
type Lanes = (registers: Registers) => Int32Array | Uint32Array | Float32Array | Float64Array;

const tests: Readonly<Record<Relation, (view: Lanes, a: number, b: number) => Test>> = {
  eq: (view, a, b) => (registers) => {
    const from = view(registers);
    let bits = 0;
    for (let lane = 0; lane < LANES; lane++) if (from[a + lane]! === from[b + lane]!) bits |= 1 << lane;
    return bits;
  },
  ne: (view, a, b) => (registers) => {
    const from = view(registers);
    let bits = 0;
    for (let lane = 0; lane < LANES; lane++) if (from[a + lane]! !== from[b + lane]!) bits |= 1 << lane;
    return bits;
  },
  lt: (view, a, b) => (registers) => {
    const from = view(registers);
    let bits = 0;
    for (let lane = 0; lane < LANES; lane++) if (from[a + lane]! < from[b + lane]!) bits |= 1 << lane;
    return bits;
  },
  le: (view, a, b) => (registers) => {
    const from = view(registers);
    let bits = 0;
    for (let lane = 0; lane < LANES; lane++) if (from[a + lane]! <= from[b + lane]!) bits |= 1 << lane;
    return bits;
  },
  gt: (view, a, b) => tests.lt(view, b, a),
  ge: (view, a, b) => tests.le(view, b, a),
};

const perLane =
  (holds: (registers: Registers, lane: number) => boolean): Test =>
  (registers) => {
    let bits = 0;
    for (let lane = 0; lane < LANES; lane++) if (holds(registers, lane)) bits |= 1 << lane;
    return bits;
  };

/** How a lane's value is read as a number, for the types that no view shows. */
function reader(type: PtxType, flush: boolean): (registers: Registers, row: number, lane: number) => number {
  switch (type.name) {
    case "f16":
    case "bf16": {
      const { values } = shortFormats[type.name];
      return ({ u }, row, lane) => values[u[row + lane]! & 0xffff]!;
    }
    case "f32":
      return flush ? ({ f }, row, lane) => flush32(f[row + lane]!) : ({ f }, row, lane) => f[row + lane]!;
    case "f64":
      return ({ d }, row, lane) => d[row / 2 + lane]!;
    case "s16":
      return ({ i }, row, lane) => (i[row + lane]! << 16) >> 16;
    default:
      return ({ u }, row, lane) => u[row + lane]! & 0xffff;
  }
}

function comparison(decoder: Decoder, name: string, type: PtxType, flush: boolean, first: number): Test {
  const [a, b] = [decoder.source(first, type), decoder.source(first + 1, type)];
  const isFloat = type.kind === "float";
  if (name === "num" || name === "nan") {
    if (!isFloat) decoder.fail(`.${name} compares floats`);
    const read = reader(type, flush);
    return perLane((registers, lane) => {
      const unordered = Number.isNaN(read(registers, a, lane)) || Number.isNaN(read(registers, b, lane));
      return unordered === (name === "nan");
    });
  }
  const [relation, unordered = false] = comparisons[name]!;
  if (unordered && !isFloat) decoder.fail(`.${name} compares floats`);
  if (type.bits === 64 && !isFloat) {
    const signed = type.kind === "signed";
    if (relation === "eq" || relation === "ne")
      return perLane(({ i }, lane) => {
        const at = 2 * lane;
        return (i[a + at] === i[b + at] && i[a + at + 1] === i[b + at + 1]) === (relation === "eq");
      });
    return perLane(({ u }, lane) =>
      relations[relation](read64(u, a + 2 * lane, signed), read64(u, b + 2 * lane, signed)),
    );
  }
  // ne is false of a NaN in its ordered form, unlike in JavaScript.
  const orderedNe = isFloat && relation === "ne" && !unordered;
  if (!unordered && !orderedNe && !flush) {
    if (type.name === "f32") return tests[relation](({ f }) => f, a, b);
    if (type.name === "f64") return tests[relation](({ d }) => d, a / 2, b / 2);
    if (type.bits === 32) return tests[relation](type.kind === "signed" ? ({ i }) => i : ({ u }) => u, a, b);
  }
  const read = reader(type, flush);
  const holds = relations[relation];
  return perLane((registers, lane) => {
    const [x, y] = [read(registers, a, lane), read(registers, b, lane)];
    if (Number.isNaN(x) || Number.isNaN(y)) return unordered;
    return holds(x, y);
  });
}

const combine: Readonly<Record<"and" | "or" | "xor", (a: number, b: number) => number>> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
};

/** setp: a predicate, and its complement (`p|q`), perhaps combined with a third. */
export function setPredicates(decoder: Decoder): Operation {
  const name = decoder.require("comparison", ...names);
  const boolean = decoder.take("and", "or", "xor");
  const flush = decoder.flag("ftz");
  const type = decoder.type(...comparable);
  decoder.done(boolean ? 4 : 3);
  const test = comparison(decoder, name, type, flush, 1);
  const result = decoder.operand(0);
  const target = decoder.predicateTarget(result.kind === "pair" ? result.first : result);
  const complement = result.kind === "pair" ? decoder.predicateTarget(result.second) : -1;
  if (!boolean && complement < 0)
    return ({ registers }, mask) => setPredicate(registers, target, mask, test(registers));
  const other = boolean ? decoder.predicate(3) : () => -1;
  const both = combine[boolean ?? "and"];
  return ({ registers }, mask) => {
    const bits = test(registers);
    const with_ = other(registers.predicates);
    setPredicate(registers, target, mask, both(bits, with_));
    setPredicate(registers, complement, mask, both(~bits, with_));
  };
}

/** set: all ones or 1.0 where the comparison holds. */
export function setValue(decoder: Decoder): Operation {
  const name = decoder.require("comparison", ...names);
  const boolean = decoder.take("and", "or", "xor");
  const flush = decoder.flag("ftz");
  const result = decoder.type("u32", "s32", "f32");
  const type = decoder.type(...comparable);
  decoder.done(boolean ? 4 : 3);
  const test = comparison(decoder, name, type, flush, 1);
  const target = decoder.target(0, result);
  const other = boolean ? decoder.predicate(3) : () => -1;
  const both = combine[boolean ?? "and"];
  const yes = result.name === "f32" ? 0x3f800000 : -1;
  return writing32(target, (registers, to) => {
    const bits = both(test(registers), other(registers.predicates));
    for (let lane = 0; lane < LANES; lane++) registers.i[to + lane] = (bits >>> lane) & 1 ? yes : 0;
  });
}

/** selp: the first where the predicate holds, else the second. */
export function select(decoder: Decoder): Operation {
  const type = decoder.type(...comparable);
  decoder.done(4);
  const target = decoder.target(0, type);
  const [a, b] = [decoder.source(1, type), decoder.source(2, type)];
  const predicate = decoder.predicate(3);
  const words = type.bits === 64 ? 1 : 0;
  return writing(target, type.bits, ({ i, predicates }, to) => {
    const bits = predicate(predicates);
    for (let word = 0; word < LANES << words; word++)
      i[to + word] = (bits >>> (word >> words)) & 1 ? i[a + word]! : i[b + word]!;
  });
}

/** slct: the first where the third operand is not negative, else the second. */
export function selectBySign(decoder: Decoder): Operation {
  decoder.flag("ftz");
  const type = decoder.type(...comparable);
  const sign = decoder.type("s32", "f32");
  decoder.done(4);
  const target = decoder.target(0, type);
  const [a, b, c] = [decoder.source(1, type), decoder.source(2, type), decoder.source(3, sign)];
  const words = type.bits === 64 ? 1 : 0;
  return writing(target, type.bits, ({ i, f }, to) => {
    const from = sign.name === "f32" ? f : i;
    for (let word = 0; word < LANES << words; word++)
      i[to + word] = from[c + (word >> words)]! >= 0 ? i[a + word]! : i[b + word]!;
  });
}

const properties: Readonly<Record<string, (value: number, least: number) => boolean>> = {
  finite: (value) => Number.isFinite(value),
  infinite: (value) => Math.abs(value) === Number.POSITIVE_INFINITY,
  number: (value) => !Number.isNaN(value),
  notanumber: (value) => Number.isNaN(value),
  normal: (value, least) => Number.isFinite(value) && Math.abs(value) >= least,
  subnormal: (value, least) => value !== 0 && Math.abs(value) < least,
};

/** testp: what kind of float it is. */
export function testFloat(decoder: Decoder): Operation {
  const property = properties[decoder.require("property", ...Object.keys(properties))]!;
  const type = decoder.type("f32", "f64");
  decoder.done(2);
  const target = decoder.predicateTarget(0);
  const row = decoder.source(1, type);
  const read = reader(type, false);
  const least = type.bits === 64 ? 2 ** -1022 : 2 ** -126;
  const test = perLane((registers, lane) => property(read(registers, row, lane), least));
  return ({ registers }, mask) => setPredicate(registers, target, mask, test(registers));
}
