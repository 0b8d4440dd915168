/**
 * @file The verifier: what the builder cannot see because it makes one operation at a time. Every value is defined once, before its
 * use and in a block that encloses it; blocks end where they must; types still are what the op table infers; the body's parameters
 * are the kernel's. Passes are tested with it; the compiler runs it on IR that it did not make.
 */
import { IrError } from "../support/errors.ts";
import { type Block, type Kernel, locationToString, type Operation, type Value } from "./ir.ts";
import { inferTypes, ops } from "./ops/index.ts";
import { pointerType, sameType, tileType, typeToString, type ValueType, viewType } from "./types.ts";

export interface VerifyOptions {
  /** Accept `convert_layout`, which only layout assignment may make. */
  readonly layoutsAssigned?: boolean;
}

/** Throws `IrError` for the first broken rule; the message names the operation and the author's line. */
export function verifyKernel(kernel: Kernel, options: VerifyOptions = {}): void {
  const visible = new Set<Value>();
  const seen = new Set<Operation | Value>();

  const fail = (operation: Operation | undefined, code: string, message: string): never => {
    const where = operation
      ? `${operation.opcode} at ${locationToString(operation.location)} in kernel "${kernel.name}"`
      : `kernel "${kernel.name}"`;
    throw new IrError(code, `${where}: ${message}`);
  };
  const once = (what: Operation | Value, operation: Operation | undefined): void => {
    if (seen.has(what)) fail(operation, "DEFINED_TWICE", "the same operation or block parameter occurs twice");
    seen.add(what);
  };

  const visitBlock = (block: Block, owner: Operation | undefined): void => {
    const own: Value[] = [];
    const define = (value: Value): void => {
      own.push(value);
      visible.add(value);
    };
    for (const parameter of block.parameters) {
      once(parameter, owner);
      if (parameter.definition) fail(owner, "DEFINED_TWICE", "a block parameter is the result of an operation");
      define(parameter);
    }
    for (const [i, operation] of block.operations.entries()) {
      const last = i === block.operations.length - 1;
      const terminator = ops[operation.opcode].effect === "terminator";
      if (terminator && (!owner || !last))
        fail(operation, "TERMINATOR", "a terminator may only end a block of loop or if");
      if (owner && last && !terminator) fail(operation, "TERMINATOR", `a block of ${owner.opcode} must end with yield`);
      visitOperation(operation);
      operation.results.forEach(define);
    }
    if (owner && block.operations.length === 0)
      fail(owner, "TERMINATOR", `a block of ${owner.opcode} must end with yield`);
    for (const value of own) visible.delete(value);
  };

  const visitOperation = (operation: Operation): void => {
    once(operation, operation);
    for (const [i, value] of operation.operands.entries())
      if (!visible.has(value))
        fail(
          operation,
          "NOT_VISIBLE",
          `operand ${i} (${value.name ?? value.definition?.opcode ?? "a block parameter"}) is not defined before this use in an enclosing block`,
        );
    if (operation.opcode === "convert_layout" && !options.layoutsAssigned)
      fail(operation, "LAYOUT", "convert_layout stands before layouts are assigned");
    for (const block of operation.blocks) visitBlock(block, operation);
    verifyTypes(operation);
  };

  const verifyTypes = (operation: Operation): void => {
    let types: readonly ValueType[] = [];
    try {
      const operands = operation.operands.map((value) => value.type);
      types = inferTypes(operation.opcode, operands, operation.attributes, operation.blocks);
    } catch (error) {
      if (!(error instanceof IrError)) throw error;
      fail(operation, error.code, error.message);
    }
    const actual = operation.results.map((value) => value.type);
    if (actual.length !== types.length || !actual.every((type, i) => sameType(type, types[i]!)))
      fail(
        operation,
        "TYPE_MISMATCH",
        `results are (${actual.map(typeToString).join(", ")}), but the op table infers (${types.map(typeToString).join(", ")})`,
      );
    if (operation.results.some((value) => value.definition !== operation))
      fail(operation, "DEFINITION", "a result does not name this operation as its definition");
  };

  verifyParameters(kernel, fail);
  visitBlock(kernel.body, undefined);
}

function verifyParameters(kernel: Kernel, fail: (at: undefined, code: string, message: string) => never): void {
  const values = kernel.body.parameters;
  if (values.length !== kernel.parameters.length)
    fail(undefined, "PARAMETERS", `${kernel.parameters.length} parameters, but ${values.length} values for them`);
  const names = new Set<string>();
  for (const [i, { name, kind, dtype, rank }] of kernel.parameters.entries()) {
    if (name === "" || names.has(name)) fail(undefined, "PARAMETERS", `the parameter name "${name}" is empty or taken`);
    names.add(name);
    const type = kind === "tensor" ? viewType(dtype, rank) : kind === "pointer" ? pointerType(dtype) : tileType(dtype);
    if (!sameType(values[i]!.type, type))
      fail(
        undefined,
        "PARAMETERS",
        `parameter "${name}" is ${typeToString(type)}, but its value is ${typeToString(values[i]!.type)}`,
      );
  }
}
