/**
 * @file Linear algebra over GF(2), the field of one bit, where addition is XOR. A vector is an integer whose bits are its
 * entries (at most 30, so that no sign bit is ever met); a linear map is the list of its columns, the images of the single bits.
 * A `Span` is an incrementally built row-echelon basis that remembers how each of its rows came about, so that it solves
 * equations as well as answering membership.
 */

/** The most bits a vector may have. */
export const MAX_BITS = 30;

/** The image of the vector `x` under the map whose column `i` is the image of bit `i`. */
export function applyColumns(columns: readonly number[], x: number): number {
  let image = 0;
  for (let rest = x; rest !== 0; rest &= rest - 1) image ^= columns[31 - Math.clz32(rest & -rest)];
  return image;
}

/** The images of 0, 1, 2, ...: of every vector that has as many bits as there are columns. */
export function imagesOf(columns: readonly number[]): number[] {
  const images = [0];
  for (const column of columns) for (let x = 0, known = images.length; x < known; x++) images.push(images[x]! ^ column);
  return images;
}

/** The subspace spanned by the vectors inserted so far. */
export class Span {
  /** For each leading bit, the row that starts with it (a hole where there is none) and the combination of inserted vectors that made it. */
  readonly #rows: number[] = [];
  readonly #combinations: number[] = [];
  #dimension = 0;

  constructor(vectors: Iterable<number> = []) {
    for (const vector of vectors) this.insert(vector);
  }

  get dimension(): number {
    return this.#dimension;
  }

  /**
   * Adds `vector` and says whether it was independent of those before; a dependent one changes nothing.
   * `combination` is the name of the vector in the answers of `solve`: usually the input bit whose image it is.
   */
  insert(vector: number, combination = 0): boolean {
    let rest = vector;
    let made = combination;
    while (rest !== 0) {
      const leading = 31 - Math.clz32(rest);
      const row = this.#rows[leading];
      if (row === undefined) {
        this.#rows[leading] = rest;
        this.#combinations[leading] = made;
        this.#dimension++;
        return true;
      }
      rest ^= row;
      made ^= this.#combinations[leading];
    }
    return false;
  }

  /** The XOR of the combinations of those inserted vectors that add up to `target`, or undefined where none do. */
  solve(target: number): number | undefined {
    let rest = target;
    let made = 0;
    while (rest !== 0) {
      const leading = 31 - Math.clz32(rest);
      const row = this.#rows[leading];
      if (row === undefined) return undefined;
      rest ^= row;
      made ^= this.#combinations[leading];
    }
    return made;
  }

  contains(vector: number): boolean {
    return this.solve(vector) !== undefined;
  }
}

/** The columns of a map as an equation system: `solve` answers with inputs, made of the first bits that do. */
export function spanOfColumns(columns: readonly number[]): Span {
  const span = new Span();
  columns.forEach((column, bit) => {
    span.insert(column, 1 << bit);
  });
  return span;
}

/** The dimension of the span of `vectors`. */
export function rankOf(vectors: Iterable<number>): number {
  return new Span(vectors).dimension;
}

/** A basis of the vectors that lie in both spans (Zassenhaus: a dependency across the two sides names a common vector). */
export function intersectSpans(left: readonly number[], right: readonly number[]): number[] {
  const span = new Span();
  for (const vector of left) span.insert(vector, vector);
  const common = new Span();
  const basis: number[] = [];
  for (const vector of right) {
    // Every row remembers its part in `left`; a vector of `right` that becomes 0 equals that part.
    const fromLeft = span.solve(vector);
    if (fromLeft === undefined) span.insert(vector, 0);
    else if (common.insert(fromLeft)) basis.push(fromLeft);
  }
  return basis;
}

/** Those of `candidates`, in order, that are independent of `vectors` and of the candidates taken before them. */
export function extendBasis(vectors: Iterable<number>, candidates: Iterable<number>): number[] {
  const span = new Span(vectors);
  const taken: number[] = [];
  for (const candidate of candidates) if (span.insert(candidate)) taken.push(candidate);
  return taken;
}
