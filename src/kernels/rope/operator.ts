/** @file The host operator `rope`. */
import type { Tensor } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { ropeGatheredInPlaceKernel, ropeGatheredKernel, ropeInPlaceKernel, ropeKernel } from "./kernel.ts";
import type { RopeTable } from "./table.ts";

export interface RopeArguments extends RopeTable {
  /** [B, H, T, D], f16, bf16 or f32; any strides. The tables turn the first d channels, d at most D; the others pass. */
  readonly x: Tensor;
  /** Position of the first row; row t has position startPosition + t. Default 0. */
  readonly startPosition?: number;
  /** i32 [B, T], in place of `startPosition`: the row of the tables for each row of x. One outside of them fails an assertion. */
  readonly positions?: Tensor;
  /** Turn back: the gradient of `rope` is `rope({ x: dout, ..., inverse: true })`. Default false. */
  readonly inverse?: boolean;
  /** Write here, [B, H, T, D] of x's dtype: `x` itself, which is then turned in place, or a tensor in other memory. */
  readonly out?: Tensor;
}

/**
 * Rotary position embedding (arXiv 2104.09864), computed in f32 and rounded once.
 * @throws ArgumentError `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE` (a position beyond the tables).
 */
export function rope(args: RopeArguments): Tensor {
  const check = ArgumentChecker.of("rope", args, {
    x: true,
    cos: true,
    sin: true,
    layout: true,
    startPosition: true,
    positions: true,
    inverse: true,
    out: true,
  });
  const { x, cos, sin, startPosition = 0, positions, layout = "half", inverse = false, out: given } = args;
  check.tensor("x", x, ["B", "H", "T", "D"], floatDTypes);
  check.tensor("cos", cos, ["positions", "d/2"], ["f32"]);
  check.tensor("sin", sin, ["positions", "d/2"], ["f32"]);
  const half = check.size("d/2");
  const rest = check.size("D") - 2 * half;
  if (half < 1 || rest < 0)
    check.fail(
      "ARGUMENT_SHAPE",
      `"x" has shape [${x.shape.join(", ")}] and the tables ${half} columns: they must have at least 1 and at most half the head dim`,
    );
  check.flag("inverse", inverse);
  check.oneOf("layout", layout, ["half", "interleaved"]);
  check.integer("startPosition", startPosition);
  if (positions) {
    check.tensor("positions", positions, ["B", "T"], ["i32"]);
    if (startPosition !== 0) check.fail("ARGUMENT_VALUE", '"startPosition" and "positions" exclude each other');
  } else if (startPosition + x.shape[2]! > check.size("positions"))
    check.fail(
      "ARGUMENT_VALUE",
      `the rows have positions up to ${startPosition + x.shape[2]! - 1}, but the tables end at ${check.size("positions") - 1}`,
    );
  const out = check.output("out", given, x.shape, x.dtype);
  if (out.size === 0) return out;
  const constants = {
    HALF_DIM: nextPowerOfTwo(half),
    REST_DIM: rest === 0 ? 0 : nextPowerOfTwo(rest),
    INVERSE: inverse,
    INTERLEAVED: layout === "interleaved",
  };
  const inPlace = isSame(x, out);
  const tensors = { x, cos, sin, ...(!inPlace && { out }) };
  const [atStart, gathered] = inPlace
    ? [ropeInPlaceKernel, ropeGatheredInPlaceKernel]
    : [ropeKernel, ropeGatheredKernel];
  if (positions) check.device.launch(gathered, { ...tensors, positions }, { constants });
  else check.device.launch(atStart, { ...tensors, start: startPosition }, { constants });
  return out;
}

/** Whether two tensors of one shape are the same elements. */
const isSame = (a: Tensor, b: Tensor): boolean =>
  a.storage === b.storage && a.offset === b.offset && a.strides.every((stride, axis) => stride === b.strides[axis]);
