/**
 * @file The registers of a warp, as rows of 32 lanes in one buffer with a view of each kind. A register of up to 32 bits is a row of 32
 * words; 16-bit values are zero-extended. A 64-bit register is a row of 64 words, low and high word of each lane side by side. A
 * predicate is one word with a bit for each lane.
 */
export const LANES = 32;
/** Of a block. */
export const MAX_WARPS = 32;
export const ALL_LANES = -1;

export class Registers {
  readonly i: Int32Array;
  readonly u: Uint32Array;
  readonly f: Float32Array;
  /** Lane `l` of the row at word `w` is element `w / 2 + l`. */
  readonly d: Float64Array;
  readonly predicates: Int32Array;

  constructor(words: number, predicates: number) {
    const buffer = new ArrayBuffer(words * 4);
    this.i = new Int32Array(buffer);
    this.u = new Uint32Array(buffer);
    this.f = new Float32Array(buffer);
    this.d = new Float64Array(buffer);
    this.predicates = new Int32Array(predicates);
  }
}

/** Where results go before those of active lanes are copied to their row: the first row. */
export const SCRATCH = 0;
export const SCRATCH_WORDS = 2 * LANES;
