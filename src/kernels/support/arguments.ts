/**
 * @file Checks of operator arguments, shared by every host operator. An error names the operator, the argument, its shape and the rule.
 */
import type { DType } from "../../ir/index.ts";
import type { Device, Tensor } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import { type NamesOf, unknownName } from "../../support/names.ts";

/** A pattern for a shape: a number must be equal, a name stands for one size wherever it occurs. */
export type ShapePattern = readonly (number | string)[];

/** Collects the checks of one call. Names bound by one tensor's shape hold for the next. Disposing of it frees what was uploaded for the call. */
export class ArgumentChecker implements Disposable {
  readonly #operator: string;
  readonly #uploaded: Tensor[] = [];
  readonly #sizes = new Map<string, { readonly size: number; readonly from: string }>();
  #device: { readonly device: Device; readonly name: string } | undefined;

  private constructor(operator: string) {
    this.#operator = operator;
  }

  /**
   * For one call of an operator. `names` are those of all its arguments; `refused` says why it has not those that callers may expect.
   * @throws ArgumentError `ARGUMENT_MISSING`, `ARGUMENT_UNKNOWN`, `ARGUMENT_VALUE`.
   */
  static of<A extends object>(
    operator: string,
    args: A,
    names: NamesOf<A>,
    refused: Readonly<Record<string, string>> = {},
  ): ArgumentChecker {
    const check = new ArgumentChecker(operator);
    if (typeof args !== "object" || args === null)
      check.fail("ARGUMENT_MISSING", `its arguments are one object, { ${Object.keys(names).join(", ")} }`);
    for (const [name, why] of Object.entries(refused))
      if ((args as Readonly<Record<string, unknown>>)[name] !== undefined)
        check.fail("ARGUMENT_VALUE", `"${name}" is no argument of ${operator}: ${why}`);
    check.names(args, names);
    return check;
  }

  /** That an object has no other names than these. @throws ArgumentError `ARGUMENT_UNKNOWN`. */
  names<A extends object>(given: A, names: NamesOf<A>, what = "argument"): void {
    const wrong = unknownName(given, names, what);
    if (wrong !== undefined) this.fail("ARGUMENT_UNKNOWN", wrong);
  }

  fail(code: string, message: string): never {
    throw new ArgumentError(code, `${this.#operator}: ${message}`);
  }

  /**
   * Checks that `tensor` has one of the dtypes, the shape of the pattern, and lives on the device of the tensors before.
   * @throws ArgumentError `ARGUMENT_MISSING`, `ARGUMENT_DTYPE`, `ARGUMENT_SHAPE`, `ARGUMENT_DEVICE`.
   */
  tensor(name: string, tensor: Tensor, pattern: ShapePattern, dtypes: readonly DType[]): Tensor {
    if (typeof tensor?.dtype !== "string")
      this.fail("ARGUMENT_MISSING", `"${name}" must be a tensor of a device, got ${String(tensor)}`);
    const shape = `[${tensor.shape.join(", ")}]`;
    const wanted = `[${pattern.join(", ")}]`;
    if (!dtypes.includes(tensor.dtype))
      this.fail("ARGUMENT_DTYPE", `"${name}" is ${tensor.dtype}, but must be ${dtypes.join(" or ")}`);
    if (tensor.shape.length !== pattern.length)
      this.fail("ARGUMENT_SHAPE", `"${name}" has shape ${shape}, but must be ${wanted}`);
    for (const [axis, extent] of pattern.entries()) {
      const size = tensor.shape[axis]!;
      const bound = typeof extent === "number" ? { size: extent, from: "" } : this.#sizes.get(extent);
      if (bound === undefined) this.#sizes.set(extent as string, { size, from: name });
      else if (bound.size !== size) {
        const why = bound.from === "" ? "" : ` (${extent} is ${bound.size} by "${bound.from}")`;
        this.fail("ARGUMENT_SHAPE", `"${name}" has shape ${shape}, but must be ${wanted}${why}`);
      }
    }
    if (this.#device && this.#device.device !== tensor.device)
      this.fail("ARGUMENT_DEVICE", `"${name}" lives on another device than "${this.#device.name}"`);
    this.#device ??= { device: tensor.device, name };
    return tensor;
  }

  /** Checks that an argument which is no tensor has as much of an axis as those before. @throws ArgumentError `ARGUMENT_SHAPE`. */
  extent(argument: string, axis: string, size: number): void {
    const bound = this.#sizes.get(axis);
    if (bound === undefined) this.#sizes.set(axis, { size, from: argument });
    else if (bound.size !== size)
      this.fail("ARGUMENT_SHAPE", `"${argument}" has ${size} entries, but ${axis} is ${bound.size} by "${bound.from}"`);
  }

  /** Numbers of the host as a tensor that lives as long as the call. */
  upload(values: Int32Array, shape: readonly number[]): Tensor {
    const tensor = this.device.tensor(values, { shape, dtype: "i32" });
    this.#uploaded.push(tensor);
    return tensor;
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#uploaded.splice(0)) tensor.dispose();
  }

  /** Lets `name` stand for a size that no tensor's shape says. */
  bind(name: string, size: number): void {
    this.#sizes.set(name, { size, from: "" });
  }

  /** The size that `name` was bound to by a tensor's shape. */
  size(name: string): number {
    return this.#sizes.get(name)!.size;
  }

  get device(): Device {
    return this.#device!.device;
  }

  /** A finite number within bounds: `above` and `below` are outside, `from` is inside. @throws ArgumentError `ARGUMENT_VALUE`. */
  number(
    name: string,
    value: number,
    { above, from, below }: { above?: number; from?: number; below?: number } = {},
  ): number {
    const inside =
      (above === undefined || value > above) &&
      (from === undefined || value >= from) &&
      (below === undefined || value < below);
    if (typeof value !== "number" || !Number.isFinite(value) || !inside) {
      const bounds = [
        above === undefined ? "" : ` above ${above}`,
        from === undefined ? "" : ` of at least ${from}`,
        below === undefined ? "" : ` below ${below}`,
      ].filter(Boolean);
      this.fail("ARGUMENT_VALUE", `"${name}" must be a finite number${bounds.join(" and")}, got ${String(value)}`);
    }
    return value;
  }

  /** An integer that is at least `from`. @throws ArgumentError `ARGUMENT_VALUE`. */
  integer(name: string, value: number, from = 0): number {
    if (!Number.isInteger(value) || value < from)
      this.fail("ARGUMENT_VALUE", `"${name}" must be an integer of at least ${from}, got ${String(value)}`);
    return value;
  }

  /** True or false. @throws ArgumentError `ARGUMENT_VALUE`. */
  flag(name: string, value: boolean): boolean {
    if (typeof value !== "boolean")
      this.fail("ARGUMENT_VALUE", `"${name}" must be true or false, got ${String(value)}`);
    return value;
  }

  /** One of the words. @throws ArgumentError `ARGUMENT_VALUE`. */
  oneOf<Word extends string>(name: string, value: Word, words: readonly Word[]): Word {
    if (!words.includes(value))
      this.fail(
        "ARGUMENT_VALUE",
        `"${name}" must be ${words.map((word) => `"${word}"`).join(" or ")}, got ${String(value)}`,
      );
    return value;
  }

  /** The given output, checked, or a new tensor of `dtype` on the call's device. A given one may have any of the dtypes `accepted`. */
  output(
    name: string,
    given: Tensor | undefined,
    shape: readonly number[],
    dtype: DType,
    accepted: readonly DType[] = [dtype],
  ): Tensor {
    return given === undefined ? this.device.empty(shape, dtype) : this.tensor(name, given, shape, accepted);
  }

  /** As `output`, of a float dtype: `outDtype` if one is asked for, else any that the given output has, else `otherwise`. */
  floatOutput(
    name: string,
    given: Tensor | undefined,
    shape: readonly number[],
    outDtype: DType | undefined,
    otherwise: DType,
  ): Tensor {
    if (outDtype === undefined) return this.output(name, given, shape, otherwise, floatDTypes);
    return this.output(name, given, shape, this.oneOf<DType>("outDtype", outDtype, floatDTypes));
  }
}

export const floatDTypes = ["f16", "bf16", "f32"] as const satisfies readonly DType[];
