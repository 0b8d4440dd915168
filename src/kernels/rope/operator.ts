/** @file The host operator `rope`. */
import type { Tensor } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { ropeKernel } from "./kernel.ts";
import type { RopeTable } from "./table.ts";

export interface RopeArguments extends RopeTable {
  /** [B, H, T, D], f16, bf16 or f32; any strides. */
  readonly x: Tensor;
  /** Position of the first row; row t has position startPosition + t. Default 0. */
  readonly startPosition?: number;
  /** Turn back: the gradient of `rope` is `rope({ x: dout, ..., inverse: true })`. Default false. */
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
  check.flag("inverse", inverse);
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
