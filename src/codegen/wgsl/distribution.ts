/**
 * @file How the threads of a workgroup share out a tile: a linear layout in the special form that this back end uses, in which every bit
 * of a coordinate is held by one thread bit or one register bit. Registers are numbered in row-major order of the coordinates they
 * stand for, whatever the layout's own order: two layouts that differ in that only are the same distribution.
 */
import { type LinearLayout, layoutError, REGISTER, THREAD } from "../../layout/index.ts";
import { type Expr, joinRuns, literal, takeBits } from "./expression.ts";

/** The owner of a coordinate bit that is spread over a thread's registers; other owners are bit numbers of the thread index. */
const IN_REGISTERS = -1;

export class Distribution {
  readonly shape: readonly number[];
  /** For each axis and each bit of its coordinate, lowest first: the thread bit that holds it, or IN_REGISTERS. */
  readonly owners: readonly (readonly number[])[];
  /** Registers of a thread along each axis. */
  readonly extents: readonly number[];
  /** Registers of a thread. */
  readonly registers: number;
  /** Mask of the thread bits that make no difference: threads that differ in them hold copies. */
  readonly copies: number;
  /** log2 of the number of threads. */
  readonly threadBits: number;
  readonly key: string;

  constructor(shape: readonly number[], owners: readonly (readonly number[])[], threadBits: number) {
    this.shape = shape;
    this.owners = owners;
    this.extents = owners.map((bits) => 1 << bits.filter((owner) => owner === IN_REGISTERS).length);
    this.registers = this.extents.reduce((product, extent) => product * extent, 1);
    this.threadBits = threadBits;
    let used = 0;
    for (const owner of owners.flat()) if (owner !== IN_REGISTERS) used |= 1 << owner;
    this.copies = ((1 << threadBits) - 1) & ~used;
    this.key = `${shape.join("x")}:${owners.map((bits) => bits.join()).join(";")}`;
  }

  /** A scalar, which every thread holds. */
  static scalar(threadBits: number): Distribution {
    return new Distribution([], [], threadBits);
  }

  static of(layout: LinearLayout): Distribution {
    const owners = layout.outs.map(({ bits }) => new Array<number>(bits).fill(Number.NaN));
    const place = (input: string, ownerOf: (bit: number) => number): void => {
      for (let bit = 0; bit < layout.bitsOf(input); bit++) {
        const basis = layout.basis(input, bit);
        const axis = basis.findIndex((coordinate) => coordinate !== 0);
        if (axis < 0) continue;
        const at = 31 - Math.clz32(basis[axis]!);
        if (basis.filter(Boolean).length > 1 || basis[axis] !== 1 << at || !Number.isNaN(owners[axis]![at]))
          throw layoutError(
            "LAYOUT_NOT_DISTRIBUTED",
            `WGSL needs one thread or register bit a coordinate bit:\n${layout}`,
          );
        owners[axis]![at] = ownerOf(bit);
      }
    };
    place(THREAD, (bit) => bit);
    place(REGISTER, () => IN_REGISTERS);
    if (owners.flat().some(Number.isNaN))
      throw layoutError("LAYOUT_NOT_SURJECTIVE", `a layout that misses elements cannot hold a tile:\n${layout}`);
    return new Distribution(layout.shape, owners, layout.bitsOf(THREAD));
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Whether each thread holds all of `axis` that it holds any of. */
  isLocal(axis: number): boolean {
    return this.owners[axis]!.every((owner) => owner === IN_REGISTERS);
  }

  /** Whether both share out their axis alike (of this, axis `axis`; of `other`, axis `otherAxis`). */
  sameAxis(axis: number, other: Distribution, otherAxis: number): boolean {
    return this.owners[axis]!.join() === other.owners[otherAxis]!.join();
  }

  /** The number of the register at `sub`, one index an axis. */
  register(sub: readonly Expr[]): Expr {
    let result = literal(0);
    let weight = this.registers;
    for (const [axis, index] of sub.entries()) {
      weight /= this.extents[axis]!;
      result = result.plus(index.times(weight));
    }
    return result;
  }

  /** The coordinate along `axis` at register index `sub` of that axis. `thread` is the thread's index. */
  coordinate(axis: number, sub: Expr, thread: Expr): Expr {
    const threadPart = this.threadPart(axis, thread);
    return threadPart.plus(this.registerPart(axis, sub));
  }

  /** What the thread contributes to the coordinate along `axis`. */
  threadPart(axis: number, thread: Expr): Expr {
    const runs = this.owners[axis]!.flatMap((owner, bit) =>
      owner === IN_REGISTERS ? [] : [{ from: owner, to: bit, count: 1 }],
    );
    return takeBits(thread, this.threadBits, joinRuns(runs));
  }

  registerPart(axis: number, sub: Expr): Expr {
    const runs = this.registerBits(axis).map((bit, index) => ({ from: index, to: bit, count: 1 }));
    return takeBits(sub, runs.length, joinRuns(runs));
  }

  /** Where the packed, row-major register bits of a thread stand: for each axis, the coordinate bits that are register bits. */
  registerBits(axis: number): number[] {
    return this.owners[axis]!.flatMap((owner, bit) => (owner === IN_REGISTERS ? [bit] : []));
  }
}
