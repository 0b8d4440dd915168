/**
 * @file What it takes to bring a tile from one layout to another: nothing, a renaming of registers, shuffles between the lanes of a
 * warp, or a trip through shared memory. The answer is a linear map from each place of the target to a place of the source that
 * holds the same element; of the many such maps, one is chosen that stays in the thread where it can, else in the warp.
 */
import { LANE, layoutError, REGISTER, repackColumns, shiftOf } from "./dims.ts";
import { applyColumns, Span } from "./gf2.ts";
import { LinearLayout } from "./linear-layout.ts";

/** From the cheapest to the dearest. */
export type ConversionKind = "identity" | "registers" | "shuffle" | "shared";

export interface Conversion {
  readonly kind: ConversionKind;
  /** From (warp, lane, register) of the target to (warp, lane, register) of the source. */
  readonly map: LinearLayout;
  /** For `"registers"` (and `"identity"`): the source register of each target register. */
  readonly registers?: readonly number[];
  /** For `"shuffle"`. */
  readonly shuffle?: ShufflePlan;
}

/**
 * Registers that trade places in some threads: where the parity of the bits selected by `masks` (by input dimension) is odd, register
 * `r` and register `r ^ registerMask` are exchanged, for all `r`.
 */
export interface ConditionalSwap {
  readonly masks: Readonly<Record<string, number>>;
  readonly registerMask: number;
}

/**
 * A conversion within warps, in three steps: `before` exchanges registers of the source within each thread; then round `r` reads
 * register `rounds[r].register` from lane `sourceLane(position) ^ rounds[r].lane` into register `r`; then `after` exchanges registers of
 * the result. A round with `stays` reads from the thread itself.
 */
export interface ShufflePlan {
  readonly before: readonly ConditionalSwap[];
  /** From the thread's position (every input dimension but the register) to the lane to read from. */
  readonly sourceLane: LinearLayout;
  readonly rounds: readonly { readonly register: number; readonly lane: number; readonly stays: boolean }[];
  readonly after: readonly ConditionalSwap[];
}

/**
 * Compares two layouts of one tile, held by the same threads. `source` must hold every element that `target` wants.
 * @throws CompileError LAYOUT_DIMS_DIFFER when the tiles or the threads differ, LAYOUT_NOT_SURJECTIVE when elements are missing
 */
export function conversionBetween(source: LinearLayout, target: LinearLayout): Conversion {
  const sourceBase = repackColumns(source.outs, target.outs);
  const images = source.columns.map((column) => applyColumns(sourceBase, column));
  const inThread = new Span();
  const inWarp = new Span();
  const anywhere = new Span();
  forEachInputBit(source, (name, _, place) => {
    if (name === REGISTER) inThread.insert(images[place], 1 << place);
    if (name === REGISTER || name === LANE) inWarp.insert(images[place], 1 << place);
    anywhere.insert(images[place], 1 << place);
  });

  const columns = new Array<number>(target.inBits).fill(0);
  let level = 0;
  forEachInputBit(target, (name, bit, place) => {
    const wanted = target.columns[place];
    const own = name === REGISTER ? 0 : 1 << placeOf(source, target, name, bit);
    const ownImage = own === 0 ? 0 : images[31 - Math.clz32(own)];
    /** Stays with its own thread position in all that the span does not move. */
    const attempts: [Span, number, number][] = [
      [inThread, own, ownImage],
      name === LANE ? [inWarp, 0, 0] : [inWarp, own, ownImage],
      [anywhere, 0, 0],
    ];
    const found = attempts.findIndex(([span, , image]) => span.contains(wanted ^ image));
    if (found < 0)
      throw layoutError(
        "LAYOUT_NOT_SURJECTIVE",
        `the source lacks elements that the target wants:\n${source}\n${target}`,
      );
    const [span, kept, image] = attempts[found];
    columns[place] = kept ^ span.solve(wanted ^ image)!;
    level = Math.max(level, found);
  });

  const map = new LinearLayout(target.ins, source.ins, columns);
  if (level === 0) {
    const registerMap = map.sublayout([REGISTER], [REGISTER]);
    const registers = Array.from({ length: target.sizeOf(REGISTER) }, (_, register) => registerMap.applyFlat(register));
    // Where threads find a value in a register that depends on the thread, lanes or warps would have to branch.
    const uniform = threadDims(target).every(({ name }) => map.sublayout([name], [REGISTER]).rank === 0);
    if (uniform) {
      const same = source.sizeOf(REGISTER) === registers.length && registers.every((from, to) => from === to);
      return { kind: same ? "identity" : "registers", map, registers };
    }
  }
  const shuffle = level <= 1 && target.hasIn(LANE) ? planShuffle(source, map) : undefined;
  return shuffle === undefined ? { kind: "shared", map } : { kind: "shuffle", map, shuffle };
}

/**
 * Makes rounds of a map that stays within warps. In round `r`, receiver `l` fills register `r ^ spread(l)`, where `spread` is chosen so
 * that the receivers read from different lanes, or from one that sends them all the same; so each lane sends one register a round.
 */
function planShuffle(source: LinearLayout, map: LinearLayout): ShufflePlan | undefined {
  const threads = threadDims(map);
  const part = (input: string, output: string): readonly number[] => map.sublayout([input], [output]).columns;
  const laneOfRegister = part(REGISTER, LANE);
  const registerOfRegister = part(REGISTER, REGISTER);
  const lanes = [...part(LANE, LANE)];
  const registers = [...part(LANE, REGISTER)];
  const spread = lanes.map(() => 0);

  // 1. Lanes that would read where others read get another target register, or a copy of the same element in another lane.
  const reads = new Span(lanes);
  const taken = new Span();
  const alternatives: { lane: number; register: number; spread: number }[] = laneOfRegister.map((lane, bit) => ({
    lane,
    register: registerOfRegister[bit],
    spread: 1 << bit,
  }));
  for (const copy of copiesInWarp(source)) alternatives.push({ ...copy, spread: 0 });
  for (let bit = 0; bit < lanes.length; bit++) {
    if (taken.insert(lanes[bit])) continue;
    const other = alternatives.find(({ lane }) => reads.insert(lane));
    if (other === undefined) continue;
    lanes[bit] ^= other.lane;
    registers[bit] ^= other.register;
    spread[bit] = other.spread;
    taken.insert(lanes[bit]);
  }

  // 2. The register that a lane sends, as a function of the lane: the one that its receivers want.
  const sends = new Span();
  for (let bit = 0; bit < lanes.length; bit++) {
    if (!sends.insert(lanes[bit], registers[bit]) && sends.solve(lanes[bit]) !== registers[bit]) return undefined;
  }
  const laneCount = source.bitsOf(LANE);
  for (let bit = 0; bit < laneCount; bit++) sends.insert(1 << bit, 0);
  const sentBy = (lane: number): number => sends.solve(lane)!;

  // 3. Everything in terms of the thread's own position.
  const sendColumns: Record<string, readonly number[]> = {};
  const spreadColumns: Record<string, readonly number[]> = {};
  const sourceLaneColumns: number[] = [];
  for (const { name, bits } of [...threads].reverse()) {
    const toLane = name === LANE ? lanes : part(name, LANE);
    const toRegister = part(name, REGISTER);
    sourceLaneColumns.push(...toLane);
    // A sender in another warp serves receivers whose lanes are shifted by what the warp adds.
    sendColumns[name] =
      name === LANE
        ? Array.from({ length: laneCount }, (_, bit) => sentBy(1 << bit))
        : Array.from({ length: bits }, (_, bit) => sentBy(toLane[bit]) ^ toRegister[bit]);
    spreadColumns[name] = name === LANE ? spread : new Array<number>(bits).fill(0);
  }
  const laneDim = { name: LANE, bits: laneCount };
  const sourceLane = new LinearLayout(threads, [laneDim], sourceLaneColumns);
  const unmoved = threads.every(({ name }) => {
    const moves = sourceLane.basesOf(name);
    return moves.every((lane, bit) => lane === (name === LANE ? 1 << bit : 0));
  });
  const rounds = Array.from({ length: map.sizeOf(REGISTER) }, (_, round) => {
    const lane = applyColumns(laneOfRegister, round);
    return { register: applyColumns(registerOfRegister, round) ^ sentBy(lane), lane, stays: unmoved && lane === 0 };
  });
  return { before: swaps(sendColumns), sourceLane, rounds, after: swaps(spreadColumns) };
}

/** A basis of the moves (lane, register) within a warp of `source` that lead to a copy of the same element. */
function copiesInWarp(source: LinearLayout): { lane: number; register: number }[] {
  const span = new Span();
  const copies: { lane: number; register: number }[] = [];
  const visit = (name: string, make: (bit: number) => number): void =>
    source.basesOf(name).forEach((basis, bit) => {
      const made = span.solve(basis);
      if (made === undefined) span.insert(basis, make(bit));
      else {
        const both = made ^ make(bit);
        copies.push({ lane: both >>> source.bitsOf(REGISTER), register: both & (source.sizeOf(REGISTER) - 1) });
      }
    });
  visit(REGISTER, (bit) => 1 << bit);
  visit(LANE, (bit) => 1 << (source.bitsOf(REGISTER) + bit));
  return copies;
}

/** A permutation `r → r ^ f(position)` with linear `f`, as one exchange for each dimension of the image of `f`. */
function swaps(columns: Readonly<Record<string, readonly number[]>>): ConditionalSwap[] {
  const span = new Span();
  const basis: number[] = [];
  for (const masks of Object.values(columns))
    for (const mask of masks) if (span.insert(mask, 1 << basis.length)) basis.push(mask);
  return basis.map((registerMask, index) => {
    const masks: Record<string, number> = {};
    for (const [input, images] of Object.entries(columns)) {
      let mask = 0;
      images.forEach((image, bit) => {
        if ((span.solve(image)! >>> index) & 1) mask |= 1 << bit;
      });
      if (mask !== 0) masks[input] = mask;
    }
    return { masks, registerMask };
  });
}

function threadDims(layout: LinearLayout): LinearLayout["ins"] {
  return layout.ins.filter(({ name }) => name !== REGISTER);
}

function forEachInputBit(layout: LinearLayout, visit: (name: string, bit: number, place: number) => void): void {
  // Registers first, then lanes: the spans prefer what was inserted early.
  for (let index = layout.ins.length - 1; index >= 0; index--) {
    const shift = shiftOf(layout.ins, index);
    for (let bit = 0; bit < layout.ins[index].bits; bit++) visit(layout.ins[index].name, bit, shift + bit);
  }
}

/** The packed place in `source` of a bit of the target's thread position. */
function placeOf(source: LinearLayout, target: LinearLayout, name: string, bit: number): number {
  const index = source.ins.findIndex((dim) => dim.name === name);
  if (index < 0 || source.ins[index].bits !== target.bitsOf(name))
    throw layoutError("LAYOUT_DIMS_DIFFER", `the layouts are held by different threads:\n${source}\n${target}`);
  return shiftOf(source.ins, index) + bit;
}
