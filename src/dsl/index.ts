/**
 * @file `dsl`: the language that a kernel author sees: `kernel` and `tl`, and the types `Tile`, `Scalar`, `Pointer`, `TensorView`. A body is
 * traced into Tile IR through the builder of `ir`. May import `support` and `ir` only.
 */
export { GridExpression, type GridOperand, type GridTensor } from "./grid.ts";
export {
  type BodyConstants,
  type Constants,
  type ConstantValues,
  type Hints,
  isKernelDefinition,
  type KernelDefinition,
  type KernelSpec,
  kernel,
  type Specialization,
  type TraceOptions,
} from "./kernel.ts";
export type {
  BodyParameters,
  DTypeVariables,
  GridParameters,
  ParameterSpec,
  ParameterSpecs,
  PointerSpec,
  ScalarSpec,
  TensorSpec,
} from "./parameters.ts";
export { Pointer } from "./pointer.ts";
export { type DotOptions, type Scalar, type ScanOptions, Tile } from "./tile.ts";
export * as tl from "./tl/index.ts";
export type {
  BitsDType,
  Broadcast,
  Dim,
  DTypeLike,
  OffsetDType,
  Shape,
  WideDType,
} from "./types.ts";
export { type Index, type Indices, TensorView, type WindowOptions } from "./view.ts";
