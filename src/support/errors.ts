/**
 * @file The errors of Tilewright. Every mistake that a user can make ends in a subclass of `TilewrightError` whose message says
 * what is wrong, where, and what to do, and whose `code` is stable: programs may switch on it, messages may improve.
 */

/** The base of all errors thrown on purpose. `code` is stable across versions, for example `"SHAPE_MISMATCH"`. */
export class TilewrightError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** A kernel author's mistake found while tracing: the message ends with the author's file, line and column. */
export class TraceError extends TilewrightError {}

/** Tile IR that breaks a rule of the op table, or text that is not Tile IR. */
export class IrError extends TilewrightError {}

/** A kernel that a target cannot express: shared memory, limits, an unsupported combination. */
export class CompileError extends TilewrightError {}

/** A launch whose arguments do not fit the kernel: the message names the argument, its shape and the rule. */
export class LaunchError extends TilewrightError {}

/** An operator called with arguments that do not fit each other: the message names the argument and the rule. */
export class ArgumentError extends TilewrightError {}

/** No adapter, a lost device, out of memory, a limit too small, a missing feature. */
export class DeviceError extends TilewrightError {}

/** Found while a kernel ran: out of bounds, an undefined value, NaN from finite values, a failed `tl.assert`. */
export class KernelError extends TilewrightError {}

/** A checkpoint file that is truncated, inconsistent or incomplete. */
export class CheckpointError extends TilewrightError {}

/** A model configuration with an unknown, missing or inconsistent key. */
export class ConfigError extends TilewrightError {}
