/**
 * @file `tl`: loops and branches that stay loops and branches in the compiled kernel. (A plain TypeScript `for` unrolls, a plain `if` on a
 * constant specialises.) What they change is a record of named values: a tile is immutable, so the next state is returned.
 */
import { blockParameter, sameType, tileType, typeToString, type Value } from "../../ir/index.ts";
import { describeArgument, type Handle } from "../handle.ts";
import { indexValue } from "../operands.ts";
import { Pointer, pointerOf } from "../pointer.ts";
import { operandOf, type Scalar, Tile, tileOf, tileValue } from "../tile.ts";
import { checkOptions, currentTrace, emit, emitOperation, fail, nameValue } from "../trace-context.ts";
import type { DTypeLike, Shape } from "../types.ts";
import type { Index } from "../view.ts";

/** What loops carry and branches give. */
export type StateValue = Tile<DTypeLike, Shape> | Pointer<DTypeLike, Shape>;

/** Named values; flat, no records within. The names survive into generated code. */
export type State = Readonly<Record<string, StateValue>>;

/** What a body returns for a state S: all its fields, of the same dtypes and shapes; nothing for an empty state. */
export type NextState<S> = [keyof S] extends [never]
  ? // biome-ignore lint/suspicious/noConfusingVoidType: a body without state returns nothing.
    void | Readonly<Record<never, never>>
  : { readonly [K in keyof S]: NoInfer<S[K]> };

/** The indices of a loop: from, from + step, ... below to. Numbers or i32 scalars. */
export interface LoopRange {
  /** Default 0. */
  readonly from?: Index;
  readonly to: Index;
  /** Positive. Default 1. */
  readonly step?: Index;
}

/** The fields of a state as IR values, in the order of `keys` if given, else of the record. */
function stateValues(state: unknown, what: string): [string, Value][] {
  if (typeof state !== "object" || state === null || typeof (state as PromiseLike<unknown>).then === "function")
    fail("STATE", `${what} must be a record of tiles, such as { max, sum }, got ${describeArgument(state)}`);
  return Object.entries(state as object).map(([name, field]: [string, unknown]) => {
    if (!(field instanceof Tile || field instanceof Pointer))
      fail(
        "STATE",
        `${what}: "${name}" must be a tile, scalar or pointer, got ${describeArgument(field)}${typeof field === "number" ? ": make it a value with tl.full([], x, dtype)" : typeof field === "object" ? " (a state is flat: no records, arrays or views within)" : ""}`,
      );
    return [name, (field as Handle).value];
  });
}

/** The name that the author gave to the first parameter of a loop's body: it becomes the name of the index. */
function firstParameterName(body: unknown): string {
  const text = String(body);
  return (/^\s*([A-Za-z_$][\w$]*)\s*=>/.exec(text) ?? /^[^(]*\(\s*([A-Za-z_$][\w$]*)/.exec(text))?.[1] ?? "i";
}

const handleOf = (value: Value): Handle => (value.type.kind === "pointer" ? pointerOf(value) : tileOf(value));

/** A record of handles on `values`. */
const stateOf = (names: readonly string[], values: readonly Value[]): Record<string, Handle> =>
  Object.fromEntries(names.map((name, i) => [name, handleOf(values[i]!)]));

/** The values of `next`, field by field as `expected`. */
function fieldsOf(
  next: unknown,
  expected: readonly (readonly [string, Value])[],
  what: string,
  other: string,
): readonly Value[] {
  const given = new Map(next === undefined && expected.length === 0 ? [] : stateValues(next, what));
  const values = expected.map(([name, { type }]) => {
    const value = given.get(name);
    if (!value) return fail("STATE_FIELD", `${what} lacks "${name}" (${typeToString(type)}), which ${other} has`);
    if (!sameType(value.type, type))
      fail("STATE_TYPE", `${what}: "${name}" is ${typeToString(value.type)}, but in ${other} ${typeToString(type)}`);
    return value;
  });
  for (const name of given.keys())
    if (!expected.some(([known]) => known === name))
      fail("STATE_FIELD", `${what} has "${name}", which ${other} lacks: add it there too`);
  return values;
}

/**
 * A loop in the kernel: `for (i = from; i < to; i += step) state = body(i, state)`. The body is traced once, so it must treat `i` as a
 * scalar that is known at run time. Values made in the body are gone after it unless the returned state carries them.
 *
 * @param range `{ from, to, step }`: numbers or i32 scalars; `from` is 0 and `step` 1 by default.
 * @param state The named values before the first round (flat: tiles, scalars, pointers). `{}` for a loop that only stores.
 * @param body Gives the state after round `i`: every field, with unchanged dtype and shape.
 * @returns The state after the last round; the given one if there is none.
 * @throws TraceError `STATE_FIELD` (a field is missing or new), `STATE_TYPE` (its dtype or shape changed), `STATE` (not a record of
 * tiles), `ESCAPED_VALUE` (later: a value of the body used after the loop).
 */
export function loop<S extends State>(
  range: LoopRange,
  state: S,
  body: (i: Scalar<"i32">, state: S) => NextState<S>,
): S {
  return makeLoop(range, state, body, { index: firstParameterName(body) });
}

interface LoopDetails<S> {
  /** The name of the loop's index. */
  readonly index: string;
  /** Whether another turn follows a state. */
  readonly condition?: (state: S) => Value;
}

function makeLoop<S extends State>(
  range: LoopRange,
  state: S,
  body: (i: Scalar<"i32">, state: S) => NextState<S>,
  { index: indexName, condition }: LoopDetails<S>,
): S {
  checkOptions(range ?? {}, { from: true, to: true, step: true }, "loop");
  if (range?.to === undefined) fail("LOOP", "a loop needs its end: tl.loop({ to: n }, state, body)");
  if (typeof range.step === "number" && range.step <= 0)
    fail("LOOP", `the step of a loop must be positive, got ${range.step}`);
  const bound = (operand: Index, what: string): Value =>
    indexValue(operandOf(operand, `${what} of loop`), `${what} of loop`);
  const bounds = [bound(range.from ?? 0, "from"), bound(range.to, "to"), bound(range.step ?? 1, "step")];
  const initial = stateValues(state, "the state of the loop");
  const names = initial.map(([name]) => name);
  const index = blockParameter(tileType("i32"), indexName);
  const carried = initial.map(([name, value]) => blockParameter(value.type, name));
  const block = currentTrace("loop").region("a loop's body", [index, ...carried], () => {
    const next = body(tileOf(index), stateOf(names, carried) as S);
    const fields = fieldsOf(
      next,
      initial,
      "the state that the loop's body returns",
      "the state that the loop starts with",
    );
    const again = condition && [condition(stateOf(names, fields) as S)];
    emitOperation("yield", [...fields, ...(again ?? [])]);
  });
  for (const [name, value] of initial) nameValue(value, name);
  const operation = emitOperation(
    "loop",
    [...bounds, ...initial.map(([, value]) => value)],
    {},
    { blocks: [block], names },
  );
  return stateOf(names, operation.results) as S;
}

/** Options of `while`. */
export interface WhileOptions {
  /** After so many turns it ends in any case: a number or an i32 scalar. Default 2^31 - 1. */
  readonly most?: Index;
}

/**
 * A loop that goes on as long as a condition on its state is true: `while (condition(state)) state = body(state, turn)`. Where the number
 * of turns is known before the first, `loop` is faster: what it loads can be copied ahead. A program that waits in it for another one needs
 * that one to run at the same time, which only CUDA promises (and only for as many programs as the GPU holds).
 *
 * ```ts
 * const { x } = tl.while({ x, error }, (s) => s.error.gt(1e-6), (s) => newton(s.x), { most: 50 });
 * ```
 *
 * @param state The named values before the first turn, as in `loop`.
 * @param condition A bool scalar; traced twice. To ask of all elements of a tile: `tl.any(...)`, `tl.all(...)`.
 * @param body Gives the state after a turn; `turn` counts from 0.
 * @returns The first state for which the condition is false, or the one after `most` turns.
 * @throws TraceError as `loop`; `CONDITION` (the condition is no bool scalar).
 */
function repeat<S extends State>(
  state: S,
  condition: (state: S) => Scalar<"bool">,
  body: (state: S, turn: Scalar<"i32">) => NextState<S>,
  options: WhileOptions = {},
): S {
  checkOptions(options, { most: true }, "while");
  const { most = 2 ** 31 - 1 } = options;
  const what = "the condition of tl.while";
  const asked = (current: S): Value => {
    const answer: unknown = condition(current);
    if (typeof answer === "boolean") fail("CONDITION", `${what} is known while tracing: it must depend on the state`);
    const value = tileValue(answer, what);
    if (!sameType(value.type, tileType("bool")))
      fail("CONDITION", `${what} must be a bool scalar, got ${typeToString(value.type)}: use tl.any or tl.all`);
    return value;
  };
  stateValues(state, "the state of the loop");
  const limit = indexValue(operandOf(most, "most of tl.while"), "most of tl.while");
  const none = indexValue(0, "most of tl.while");
  const to = tileOf(emit("select", [asked(state), limit, none]));
  return makeLoop({ to }, state, (turn, current) => body(current, turn), { index: "turn", condition: asked });
}

/** What the else arm must be: it may be missing only where the then arm gives nothing. */
type OtherArm<R> = R extends State ? [otherwise: () => { readonly [K in keyof R]: R[K] }] : [otherwise?: () => void];

/**
 * A branch in the kernel on a bool scalar, which all threads of a program take together. Both arms are traced. For a choice
 * element by element use `tl.where`; for a choice while compiling, a plain `if` on a constant.
 *
 * @param condition A bool scalar.
 * @param then Gives a record of named values, or nothing.
 * @param otherwise Gives the same fields with the same dtypes and shapes; may be left out if `then` gives nothing.
 * @returns The record of the arm that ran.
 * @throws TraceError `STATE_FIELD`, `STATE_TYPE` (the arms differ), `CONDITION` (not a bool scalar).
 */
// biome-ignore lint/suspicious/noConfusingVoidType: an arm may return nothing.
function branch<R extends State | void>(condition: Scalar<"bool">, then: () => R, ...[otherwise]: OtherArm<R>): R {
  if (typeof condition === "boolean")
    fail(
      "CONDITION",
      "the condition of tl.if is known while tracing: use a plain if, which costs nothing in the kernel",
    );
  const chosen = tileValue(condition, "the condition of tl.if");
  if (!sameType(chosen.type, tileType("bool")))
    fail(
      "CONDITION",
      `the condition of tl.if must be a bool scalar, got ${typeToString(chosen.type)}: use tl.where for tiles`,
    );
  const trace = currentTrace("if");
  let fields: [string, Value][] = [];
  const first = trace.region("an arm of tl.if", [], () => {
    const result = then();
    fields = result === undefined ? [] : stateValues(result, "what the first arm of tl.if returns");
    for (const [name, value] of fields) nameValue(value, name);
    emitOperation(
      "yield",
      fields.map(([, value]) => value),
    );
  });
  if (!otherwise && fields.length > 0)
    fail(
      "STATE_FIELD",
      `the first arm of tl.if returns ${fields.map(([name]) => `"${name}"`).join(", ")}, so a second arm must too`,
    );
  const second = trace.region("an arm of tl.if", [], () => {
    const values = fieldsOf(
      otherwise?.(),
      fields,
      "what the second arm of tl.if returns",
      "what the first arm returns",
    );
    emitOperation("yield", values);
  });
  const names = fields.map(([name]) => name);
  const operation = emitOperation("if", [chosen], {}, { blocks: [first, second], names });
  return (fields.length === 0 ? undefined : stateOf(names, operation.results)) as R;
}

export { branch as if, repeat as while };
