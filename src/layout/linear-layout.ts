/**
 * @file Linear layouts: linear maps over GF(2) from the bits of named input dimensions to the bits of named output dimensions,
 * after "Linear Layouts: Robust Code Generation of Efficient Tensor Computation Using F2" (arXiv 2505.23819). The inputs say
 * *where* a value is (warp, lane, register; or an offset in memory), the outputs say *which* element of the tile it is. A map
 * is given by its bases, the images of the single input bits; the image of any input is the XOR of the bases of its bits.
 *
 * Packed inputs and outputs are row-major (dims.ts), so `columns[i]` is the packed output of packed input bit `i`.
 */
import {
  describeDims,
  indexOfDim,
  joinDims,
  type LayoutDim,
  layoutError,
  log2Exact,
  type Point,
  packPoint,
  placements,
  repackColumns,
  sameDims,
  shiftOf,
  totalBits,
  unpackCoordinates,
} from "./dims.ts";
import { applyColumns, MAX_BITS, Span, spanOfColumns } from "./gf2.ts";

/** An immutable linear layout. Everything that derives another layout returns a new one. */
export class LinearLayout {
  /** Input dimensions, slowest first: for a tile held by threads `warp`, `lane`, `register`. */
  readonly ins: readonly LayoutDim[];
  /** Output dimensions, slowest first: for a tile `dim0`, `dim1`, ... */
  readonly outs: readonly LayoutDim[];
  /** The packed output of each packed input bit, lowest bit first. */
  readonly columns: readonly number[];
  #solver: Span | undefined;
  #solvers: Map<string, Span> | undefined;
  #freeMasks: Readonly<Record<string, number>> | undefined;
  #key: string | undefined;

  constructor(ins: readonly LayoutDim[], outs: readonly LayoutDim[], columns: readonly number[]) {
    this.ins = ins;
    this.outs = outs;
    this.columns = columns;
    if (totalBits(ins) !== columns.length || totalBits(ins) > MAX_BITS || totalBits(outs) > MAX_BITS)
      throw layoutError(
        "LAYOUT_SIZE",
        `${columns.length} bases given for ${describeDims(ins)} to ${describeDims(outs)}; at most ${MAX_BITS} bits a side`,
      );
    const outside = -1 << totalBits(outs);
    for (const column of columns)
      if ((column & outside) !== 0)
        throw layoutError("LAYOUT_OUT_OF_RANGE", `a basis lies outside the outputs ${describeDims(outs)}`);
  }

  /**
   * The layout with the given bases, each a list of output coordinates. The order of the keys is the order of the
   * dimensions, slowest first: `fromBases({ warp: [[16, 0]], lane: [...], register: [...] }, { dim0: 32, dim1: 8 })`.
   */
  static fromBases(
    bases: Readonly<Record<string, readonly (readonly number[])[]>>,
    outSizes: Readonly<Record<string, number>>,
  ): LinearLayout {
    const outs = Object.entries(outSizes).map(([name, size]) => ({ name, bits: log2Exact(size, name) }));
    const ins = Object.entries(bases).map(([name, images]) => ({ name, bits: images.length }));
    const columns: number[] = [];
    for (const images of Object.values(bases).reverse())
      for (const image of images)
        columns.push(packPoint(outs, Object.fromEntries(outs.map(({ name }, i) => [name, image[i]]))));
    return new LinearLayout(ins, outs, columns);
  }

  /** Value `i` of `input` is element `i` of `output`. */
  static identity1D(size: number, input: string, output: string): LinearLayout {
    const bits = log2Exact(size, input);
    const columns = Array.from({ length: bits }, (_, bit) => 1 << bit);
    return new LinearLayout([{ name: input, bits }], [{ name: output, bits }], columns);
  }

  /** All `size` values of `input` are element 0 of `output`: a broadcast. */
  static zeros1D(size: number, input: string, output: string, outputSize = 1): LinearLayout {
    const bits = log2Exact(size, input);
    const outs = [{ name: output, bits: log2Exact(outputSize, output) }];
    return new LinearLayout([{ name: input, bits }], outs, new Array<number>(bits).fill(0));
  }

  /** The layout without dimensions: the unit of `product`. */
  static empty(): LinearLayout {
    return new LinearLayout([], [], []);
  }

  // Sizes and names

  get inBits(): number {
    return this.columns.length;
  }

  get outBits(): number {
    return totalBits(this.outs);
  }

  /** The sizes of the output dimensions: the tile's shape. */
  get shape(): number[] {
    return this.outs.map((dim) => 1 << dim.bits);
  }

  hasIn(name: string): boolean {
    return this.ins.some((dim) => dim.name === name);
  }

  /** log2 of the size of an input dimension; 0 for one that the layout does not have. */
  bitsOf(input: string): number {
    return this.ins.find((dim) => dim.name === input)?.bits ?? 0;
  }

  /** The size of an input dimension; 1 for one that the layout does not have. */
  sizeOf(input: string): number {
    return 1 << this.bitsOf(input);
  }

  /** The packed outputs of the bits of one input dimension, lowest bit first; none for one that the layout does not have. */
  basesOf(input: string): readonly number[] {
    const index = this.ins.findIndex((dim) => dim.name === input);
    if (index < 0) return [];
    const shift = shiftOf(this.ins, index);
    return this.columns.slice(shift, shift + this.ins[index].bits);
  }

  /** The output coordinates of one bit of an input dimension. */
  basis(input: string, bit: number): number[] {
    return unpackCoordinates(this.outs, this.basesOf(input)[bit]);
  }

  /** The bits that an output dimension occupies in a packed output. */
  maskOfOut(output: string): number {
    const index = this.#outIndex(output);
    return ((1 << this.outs[index].bits) - 1) << shiftOf(this.outs, index);
  }

  // Application

  /** The packed output of a packed input. */
  applyFlat(packedInput: number): number {
    return applyColumns(this.columns, packedInput);
  }

  /** The output coordinates, in the order of `outs`, of an input; absent dimensions count as 0. */
  coordinates(point: Point): number[] {
    return unpackCoordinates(this.outs, this.applyFlat(packPoint(this.ins, point)));
  }

  /** The output coordinates by name. */
  apply(point: Point): Record<string, number> {
    const coordinates = this.coordinates(point);
    return Object.fromEntries(this.outs.map(({ name }, i) => [name, coordinates[i]]));
  }

  // Facts

  /** The dimension of the image. */
  get rank(): number {
    return this.#solve().dimension;
  }

  /** Every output is reached. */
  isSurjective(): boolean {
    return this.rank === this.outBits;
  }

  /** No output is reached twice. */
  isInjective(): boolean {
    return this.rank === this.inBits;
  }

  isBijective(): boolean {
    return this.isInjective() && this.isSurjective();
  }

  /**
   * For each input dimension the mask of its redundant bits. The inputs in which these bits are 0 reach every output of the
   * image exactly once. A bit is called redundant when it depends on faster bits: registers are kept before lanes,
   * lanes before warps.
   */
  freeVariableMasks(): Readonly<Record<string, number>> {
    if (this.#freeMasks !== undefined) return this.#freeMasks;
    const span = new Span();
    let free = 0;
    this.columns.forEach((column, bit) => {
      if (!span.insert(column)) free |= 1 << bit;
    });
    const masks = unpackCoordinates(this.ins, free);
    this.#freeMasks = Object.fromEntries(this.ins.map(({ name }, i) => [name, masks[i]]));
    return this.#freeMasks;
  }

  /** A packed input that is mapped to `packedOutput`, with redundant bits 0; undefined for an output that is not reached. */
  preimageFlat(packedOutput: number): number | undefined {
    return this.#solve().solve(packedOutput);
  }

  /** The bases of one input dimension as an equation system: what `solve` answers is a value of that dimension. Made once. */
  spanOf(input: string): Span {
    this.#solvers ??= new Map();
    let span = this.#solvers.get(input);
    if (span === undefined) {
      span = spanOfColumns(this.basesOf(input));
      this.#solvers.set(input, span);
    }
    return span;
  }

  // Algebra

  /** This map, then `outer`: `layout.compose(outer).apply(x)` is `outer.apply(layout.apply(x))`. Matches dimensions by name. */
  compose(outer: LinearLayout): LinearLayout {
    const toOuter = repackColumns(this.outs, outer.ins);
    return this.mapColumns(outer.outs, (column) => outer.applyFlat(applyColumns(toOuter, column)));
  }

  /**
   * The product: both maps side by side. Where the two share a dimension (of input or output), `slower` takes the bits
   * above those of this one; its own dimensions go before (slower than) this one's.
   */
  product(slower: LinearLayout): LinearLayout {
    const ins = joinDims(this.ins, slower.ins);
    const outs = joinDims(this.outs, slower.outs);
    const columns = new Array<number>(totalBits(ins)).fill(0);
    const place = (part: LinearLayout, below: LinearLayout | undefined): void => {
      const inBit = placements(part.ins, ins, below?.ins);
      const outBit = placements(part.outs, outs, below?.outs).map((bit) => 1 << bit);
      part.columns.forEach((column, bit) => {
        columns[inBit[bit]] = applyColumns(outBit, column);
      });
    };
    place(this, undefined);
    place(slower, this);
    return new LinearLayout(ins, outs, columns);
  }

  /** The inverse of a bijective layout. */
  invert(): LinearLayout {
    if (!this.isBijective())
      throw layoutError("LAYOUT_NOT_INVERTIBLE", `a layout that is not a bijection has no inverse:\n${this}`);
    return this.pseudoInvert();
  }

  /** The map from outputs to inputs that picks, for each output, the input whose redundant bits are 0. Needs a surjective layout. */
  pseudoInvert(): LinearLayout {
    const columns = Array.from({ length: this.outBits }, (_, bit) => {
      const input = this.preimageFlat(1 << bit);
      if (input === undefined)
        throw layoutError("LAYOUT_NOT_SURJECTIVE", `a layout that misses outputs cannot be inverted:\n${this}`);
      return input;
    });
    return new LinearLayout(this.outs, this.ins, columns);
  }

  /**
   * The map from this layout's inputs to `other`'s inputs that hold the same element: `other.apply(result.apply(x))` is
   * `this.apply(x)`. An input bit that has the same basis in both layouts is mapped to itself, so that copies stay with their
   * holder; all else lands where `other`'s redundant bits are 0. Needs the same output dimensions, and `other` must reach
   * all that this layout reaches.
   */
  invertAndCompose(other: LinearLayout): LinearLayout {
    const toOther = repackColumns(this.outs, other.outs);
    const columns = [...this.columns];
    for (let index = this.ins.length - 1; index >= 0; index--) {
      const { name, bits } = this.ins[index];
      const otherIndex = other.ins.findIndex((dim) => dim.name === name);
      const otherShift = otherIndex < 0 ? 0 : shiftOf(other.ins, otherIndex);
      const otherBits = otherIndex < 0 ? 0 : other.ins[otherIndex].bits;
      const shift = shiftOf(this.ins, index);
      for (let bit = 0; bit < bits; bit++) {
        const image = applyColumns(toOther, this.columns[shift + bit]);
        const same = bit < otherBits && other.columns[otherShift + bit] === image;
        const source = same ? 1 << (otherShift + bit) : other.preimageFlat(image);
        if (source === undefined)
          throw layoutError(
            "LAYOUT_NOT_SURJECTIVE",
            `the second layout misses elements of the first:\n${this}\n${other}`,
          );
        columns[shift + bit] = source;
      }
    }
    return new LinearLayout(this.ins, other.ins, columns);
  }

  // Dimensions

  /** The same bits under other output dimensions of the same total size: a row-major reshape of the tile. */
  reshapeOuts(outs: readonly LayoutDim[]): LinearLayout {
    if (totalBits(outs) !== this.outBits)
      throw layoutError("LAYOUT_SIZE", `${describeDims(this.outs)} cannot be reshaped to ${describeDims(outs)}`);
    return new LinearLayout(this.ins, outs, this.columns);
  }

  /** The same bits under other input dimensions of the same total size. */
  reshapeIns(ins: readonly LayoutDim[]): LinearLayout {
    return new LinearLayout(ins, this.outs, this.columns);
  }

  /** All outputs as one dimension: the row-major number of the element. */
  flattenOuts(name: string): LinearLayout {
    return this.reshapeOuts([{ name, bits: this.outBits }]);
  }

  flattenIns(name: string): LinearLayout {
    return this.reshapeIns([{ name, bits: this.inBits }]);
  }

  /** The output dimensions in another order, with their names and coordinates kept. */
  transposeOuts(order: readonly string[]): LinearLayout {
    const outs = order.map((name) => this.outs[this.#outIndex(name)]);
    const repack = repackColumns(this.outs, outs);
    return this.mapColumns(outs, (column) => applyColumns(repack, column));
  }

  /** The input dimensions in another order. */
  transposeIns(order: readonly string[]): LinearLayout {
    const ins = order.map((name) => this.ins[this.#inIndex(name)]);
    const from = repackColumns(ins, this.ins);
    return new LinearLayout(
      ins,
      this.outs,
      from.map((bit) => this.applyFlat(bit)),
    );
  }

  /** Only the inputs and outputs named, in this layout's order: other inputs count as 0, other outputs are forgotten. */
  sublayout(inputs: readonly string[], outputs: readonly string[]): LinearLayout {
    const ins = this.ins.filter((dim) => inputs.includes(dim.name));
    const outs = this.outs.filter((dim) => outputs.includes(dim.name));
    const keep = new Array<number>(this.outBits).fill(0);
    const from = placements(outs, this.outs);
    from.forEach((bit, i) => {
      keep[bit] = 1 << i;
    });
    const columns = placements(ins, this.ins).map((bit) => applyColumns(keep, this.columns[bit]));
    return new LinearLayout(ins, outs, columns);
  }

  /** The same inputs with every packed basis replaced by `map(basis)`, a packed value of `outs`. `map` must be linear. */
  mapColumns(outs: readonly LayoutDim[], map: (column: number) => number): LinearLayout {
    return new LinearLayout(this.ins, outs, this.columns.map(map));
  }

  /** Without those bits of an input dimension that are set in `mask`; the bits above move down. */
  removeInBits(input: string, mask: number): LinearLayout {
    if (mask === 0) return this;
    const index = this.#inIndex(input);
    const shift = shiftOf(this.ins, index);
    const removed = (bit: number): boolean => bit >= shift && ((mask >>> (bit - shift)) & 1) === 1;
    const columns = this.columns.filter((_, bit) => !removed(bit));
    const bits = this.ins[index].bits - (this.columns.length - columns.length);
    return new LinearLayout(this.ins.with(index, { name: input, bits }), this.outs, columns);
  }

  /** Without those bits of an input dimension that change nothing: registers that are plain copies of others, for example. */
  removeZeroBases(input: string): LinearLayout {
    return this.removeInBits(input, this.zeroBases(input));
  }

  /** The mask of those bits of an input dimension that change nothing. */
  zeroBases(input: string): number {
    let mask = 0;
    this.basesOf(input).forEach((basis, bit) => {
      if (basis === 0) mask |= 1 << bit;
    });
    return mask;
  }

  // Identity and text

  equals(other: LinearLayout): boolean {
    return (
      this === other ||
      (sameDims(this.ins, other.ins) &&
        sameDims(this.outs, other.outs) &&
        this.columns.every((column, i) => column === other.columns[i]))
    );
  }

  /** A text that two layouts share exactly when they are equal: for use in maps. */
  get key(): string {
    this.#key ??= `${describeDims(this.ins)}${describeDims(this.outs)}${this.columns.join()}`;
    return this.#key;
  }

  /** A table of bases: a line for each input dimension, with the coordinates that its bits 1, 2, 4, ... stand for. */
  toString(): string {
    const lines = [...this.ins].reverse().map(({ name, bits }) => {
      const bases = Array.from({ length: bits }, (_, bit) => `${1 << bit} → (${this.basis(name, bit).join(", ")})`);
      return `  ${name.padEnd(8)} ${bases.join("  ") || "-"}`;
    });
    return `${describeDims(this.ins)} → ${describeDims(this.outs)}\n${lines.join("\n")}`;
  }

  /** The columns as an equation system. Inserting the fast bits first makes them the preferred answer. */
  #solve(): Span {
    this.#solver ??= spanOfColumns(this.columns);
    return this.#solver;
  }

  #inIndex(name: string): number {
    return indexOfDim(this.ins, name);
  }

  #outIndex(name: string): number {
    return indexOfDim(this.outs, name);
  }
}
