/** @file The host operators `rope` and `ropeTable`. */
import type { Device, Tensor } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import { nextPowerOfTwo } from "../../support/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { ropeKernel } from "./kernel.ts";

/** Cosines and sines of every position's angles. */
export interface RopeTable {
  /** f32 [positions, D/2] */
  readonly cos: Tensor;
  /** f32 [positions, D/2] */
  readonly sin: Tensor;
}

export interface RopeTableOptions {
  /** Number of positions, from 0. */
  readonly positions: number;
  /** D, even. */
  readonly headDim: number;
  /** theta_i = base^(-2i/D). Default 10000. */
  readonly base?: number;
}

/** Tables in f32 from f64 angles, so that far positions lose nothing. @throws ArgumentError `ARGUMENT_VALUE`. */
export function ropeTable(device: Device, { positions, headDim, base = 10000 }: RopeTableOptions): RopeTable {
  if (
    !Number.isInteger(positions) ||
    positions < 1 ||
    !Number.isInteger(headDim) ||
    headDim < 2 ||
    headDim % 2 !== 0 ||
    !(base > 0)
  )
    throw new ArgumentError(
      "ARGUMENT_VALUE",
      `ropeTable: positions (${positions}) must be a positive integer, headDim (${headDim}) even, base (${base}) positive`,
    );
  const half = headDim / 2;
  const shape = [positions, half];
  const angle = (i: number): number => Math.floor(i / half) * base ** ((-2 * (i % half)) / headDim);
  const table = (of: (x: number) => number) =>
    device.tensor(
      Float32Array.from({ length: positions * half }, (_, i) => of(angle(i))),
      { shape, dtype: "f32" },
    );
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

export interface RopeArguments extends RopeTable {
  /** [B, H, T, D], f16, bf16 or f32; any strides. */
  readonly x: Tensor;
  /** Position of the first row; row t has position startPosition + t. Default 0. */
  readonly startPosition?: number;
  /** Turn back: undoes `rope`, and gives its gradient, `rope({ x: dout, ..., inverse: true })`. Default false. */
  readonly inverse?: boolean;
  /** Write here, [B, H, T, D] of x's dtype, in other memory than `x`. */
  readonly out?: Tensor;
}

/**
 * Rotary position embedding with half-split pairing (arXiv 2104.09864), rounded once.
 * @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE` (a position beyond the tables).
 */
export function rope({ x, cos, sin, startPosition = 0, inverse = false, out: given }: RopeArguments): Tensor {
  const check = new ArgumentChecker("rope");
  check.tensor("x", x, ["B", "H", "T", "D"], floatDTypes);
  if (x.shape[3]! % 2 !== 0)
    check.fail("ARGUMENT_SHAPE", `"x" has shape [${x.shape.join(", ")}]: the head dim must be even`);
  const half = x.shape[3]! / 2;
  check.tensor("cos", cos, ["positions", half], ["f32"]);
  check.tensor("sin", sin, ["positions", half], ["f32"]);
  check.integer("startPosition", startPosition);
  const last = startPosition + x.shape[2]!;
  if (last > check.size("positions"))
    check.fail(
      "ARGUMENT_VALUE",
      `the rows have positions up to ${last - 1}, but the tables end at ${check.size("positions") - 1}`,
    );
  const out = check.output("out", given, x.shape, x.dtype);
  if (out.size > 0)
    check.device.launch(
      ropeKernel,
      { x, cos, sin, out, start: startPosition },
      { constants: { HALF_DIM: nextPowerOfTwo(half), INVERSE: inverse } },
    );
  return out;
}
