/**
 * @file The builder: the only way to make operations. It checks every operation against the op table while it is made, so IR that
 * exists is well-typed IR.
 */
import { IrError } from "../support/errors.ts";
import type { Attributes, Block, Location, Operation, Value } from "./ir.ts";
import { inferTypes, type Opcode } from "./ops/index.ts";
import type { DType, ValueType } from "./types.ts";
import { shapeOf } from "./types.ts";

export interface OperationOptions {
  readonly blocks?: readonly Block[];
  readonly location?: Location | undefined;
  /** Names of the results, as the author knows them. */
  readonly names?: readonly (string | undefined)[];
}

/** A block parameter (also: a kernel parameter's value). */
export const blockParameter = (type: ValueType, name?: string): Value => ({ type, name, definition: undefined });

/** Makes one operation without placing it. Throws `IrError`, its message opened by the opcode. */
export function makeOperation(
  opcode: Opcode,
  operands: readonly Value[],
  attributes: Attributes = {},
  options: OperationOptions = {},
): Operation {
  const { blocks = [], location, names = [] } = options;
  let types: readonly ValueType[];
  try {
    types = inferTypes(
      opcode,
      operands.map((value) => value.type),
      attributes,
      blocks,
    );
  } catch (error) {
    if (error instanceof IrError) throw new IrError(error.code, `${opcode}: ${error.message}`);
    throw error;
  }
  const results: Value[] = [];
  const operation: Operation = { opcode, operands, attributes, results, blocks, location };
  for (const [i, type] of types.entries()) results.push({ type, name: names[i], definition: operation });
  return operation;
}

/** Appends operations to a stack of open blocks. */
export class Builder {
  readonly #open: Operation[][] = [[]];
  /** Called for the location of each new operation; the DSL sets it to find the author's line. */
  locate: () => Location | undefined = () => undefined;

  /** Appends an operation to the innermost open block and returns it. */
  create(
    opcode: Opcode,
    operands: readonly Value[],
    attributes: Attributes = {},
    options: OperationOptions = {},
  ): Operation {
    return this.append(makeOperation(opcode, operands, attributes, { location: this.locate(), ...options }));
  }

  /** As `create`, for an operation with one result: gives the result. */
  value(
    opcode: Opcode,
    operands: readonly Value[],
    attributes: Attributes = {},
    options: OperationOptions = {},
  ): Value {
    return this.create(opcode, operands, attributes, options).results[0]!;
  }

  constant(value: number | bigint | boolean, dtype: DType, shape: readonly number[] = []): Value {
    return this.value("constant", [], { value: dtype === "i64" ? BigInt(value) : value, dtype, shape });
  }

  /** `value`, a scalar, repeated to the shape of `like`. */
  splatLike(value: Value, like: ValueType): Value {
    const shape = shapeOf(like);
    return shape.length === 0 ? value : this.value("splat", [value], { shape });
  }

  append(operation: Operation): Operation {
    this.#open.at(-1)!.push(operation);
    return operation;
  }

  /** Runs `fill` with a fresh innermost block and gives that block. */
  block(parameters: readonly Value[], fill: () => void): Block {
    const operations: Operation[] = [];
    this.#open.push(operations);
    try {
      fill();
    } finally {
      this.#open.pop();
    }
    return { parameters, operations };
  }

  /** The operations appended at the outermost level. */
  finish(parameters: readonly Value[]): Block {
    if (this.#open.length !== 1) throw new IrError("BUILDER", "finish was called inside an open block");
    return { parameters, operations: this.#open[0]! };
  }
}
