/**
 * @file `interpreter`: the meaning of every Tile IR operation, executed on typed arrays, tile by tile, program by program. It is the
 * oracle of the tests, the debugger (bounds, undefined values, NaN, broken promises, races: each with kernel, program, source line and
 * element) and the CPU back end. May import `support` and `ir`.
 */
export type { Argument, Arguments, TensorArgument } from "./arguments.ts";
export type { StorageArray } from "./arrays.ts";
export {
  type Execution,
  type InterpretOptions,
  interpret,
  type Launch,
  type OperationCount,
  type PreparedKernel,
  prepare,
} from "./interpret.ts";
export { type Checks, checksOf, defaultChecks } from "./machine.ts";
export { type Finding, InterpreterError } from "./report.ts";
