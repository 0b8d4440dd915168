/**
 * @file print and assert, by the device's own printf: one line an element, from the thread that owns it. A failed assert says what the other
 * back ends say, and stops the kernel (trap), so that the launch reports an error.
 */
import { type DType, locationToString, type Operation, shapeOf } from "../../ir/index.ts";
import type { LinearLayout } from "../../layout/index.ts";
import { guardOf } from "./access.ts";
import { boolNot } from "./bools.ts";
import { coordinatesAlong, ownerGuard } from "./coordinates.ts";
import { type Element, type ElementKind, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { address, type Guard, type Register, symbol } from "./instruction.ts";
import type { Lowering } from "./lowering.ts";
import { type Tile, type View, widenHalf } from "./tile.ts";

/** A value to print, and its conversion. */
interface Argument {
  readonly format: string;
  readonly register: Register;
}

export function lowerPrint(lowering: Lowering, operation: Operation): void {
  const { emitter } = lowering;
  const head = `${lowering.kernel.name}[%d,%d,%d] ${verbatim(operation.attributes.prefix as string)}`;
  for (const value of operation.operands) {
    const lowered = lowering.values.get(value)!;
    if (lowered.kind === "view") {
      printView(emitter, head, lowered);
      continue;
    }
    const tile = lowered as Tile;
    const rank = shapeOf(value.type).length;
    const owner = ownerGuard(emitter, tile.layout);
    const at = indicesOf(emitter, tile.layout, rank);
    const format = `${head}${rank === 0 ? "" : `[${at.map(() => "%d").join(",")}]`}: `;
    tile.elements(emitter).forEach((element, register) => {
      const argument = argumentOf(emitter, element, tile.kind);
      const indices = at.map((axis) => integerArgument(registerOf(emitter, axis[register]!, "i32")));
      printf(emitter, `${format}${argument.format}\n`, [...programArguments(emitter), ...indices, argument], owner);
    });
  }
}

export function lowerAssert(lowering: Lowering, operation: Operation): void {
  const { emitter } = lowering;
  const [value] = operation.operands;
  const tile = lowering.tile(value!);
  const rank = shapeOf(value!.type).length;
  const at = indicesOf(emitter, tile.layout, rank);
  const element = rank === 0 ? "" : `, element [${at.map(() => "%d").join(", ")}]`;
  const place = `kernel "${lowering.kernel.name}", program (%d, %d, %d), assert at ${verbatim(locationToString(operation.location))}${element}`;
  const text = `${place}: assertion failed: ${verbatim(operation.attributes.message as string)}\n`;
  const owner = ownerGuard(emitter, tile.layout);
  tile.elements(emitter).forEach((element, register) => {
    const failed = boolNot(emitter, element);
    if (failed === false) return;
    const guard = guardOf(emitter, failed, owner);
    const indices = at.map((axis) => integerArgument(registerOf(emitter, axis[register]!, "i32")));
    printf(emitter, text, [...programArguments(emitter), ...indices], guard, true);
  });
}

function indicesOf(emitter: Emitter, layout: LinearLayout | undefined, rank: number): (readonly Element[])[] {
  return Array.from({ length: rank }, (_, axis) => coordinatesAlong(emitter, layout!, axis));
}

/** Text that printf gives as it is. */
const verbatim = (text: string): string => text.replaceAll("%", "%%");

const integerArgument = (register: Register): Argument => ({ format: "%d", register });
const programArguments = (emitter: Emitter): Argument[] =>
  ["x", "y", "z"].map((axis) => integerArgument(emitter.pure("b32", "mov.u32", [symbol(`%ctaid.${axis}`)])));

function argumentOf(emitter: Emitter, element: Element, kind: ElementKind): Argument {
  switch (kind) {
    case "f16":
    case "bf16":
    case "f32": {
      const wide = kind === "f32" ? element : widenHalf(emitter, element, kind);
      return { format: "%g", register: emitter.op("f64", "cvt.f64.f32", registerOf(emitter, wide, "f32")) };
    }
    case "bool": {
      const bit = typeof element === "boolean" ? registerOf(emitter, element ? 1 : 0, "i32") : undefined;
      return {
        format: "%d",
        register: bit ?? emitter.op("b32", "selp.b32", 1, 0, registerOf(emitter, element, "bool")),
      };
    }
    case "u32":
      return { format: "%u", register: registerOf(emitter, element, kind) };
    case "i64":
      return { format: "%lld", register: registerOf(emitter, element, kind) };
    case "pointer":
      return { format: "%p", register: registerOf(emitter, element, kind) };
    default:
      return integerArgument(registerOf(emitter, element, kind as DType));
  }
}

function printView(emitter: Emitter, head: string, view: View): void {
  const list = (elements: readonly Element[], kind: "i32" | "i64"): Argument[] =>
    elements.map((element) => ({
      format: kind === "i32" ? "%d" : "%lld",
      register: registerOf(emitter, element, kind),
    }));
  const sizes = list(view.sizes, "i32");
  const strides = list(view.strides, "i64");
  const formats = (all: readonly Argument[]): string => all.map(({ format }) => format).join(",");
  const text = `${head}: view sizes [${formats(sizes)}] strides [${formats(strides)}]\n`;
  printf(emitter, text, [...programArguments(emitter), ...sizes, ...strides], ownerGuard(emitter, undefined));
}

const VPRINTF = ".extern .func (.param .b32 result) vprintf(.param .b64 format, .param .b64 arguments);";
/** The local memory in which arguments are passed. */
export const PRINT_ARGUMENTS = "print_arguments";

/** Calls vprintf under a guard; then stops the kernel, if `stop`. */
function printf(
  emitter: Emitter,
  format: string,
  values: readonly Argument[],
  guard: Guard | undefined,
  stop = false,
): void {
  emitter.declare("vprintf", VPRINTF);
  const name = formatName(emitter, format);
  // As printf finds them: each at its natural alignment.
  let end = 0;
  const arguments_ = values.map(({ register }) => {
    const wide = register.class === "f64" || register.class === "b64";
    const bytes = wide ? 8 : 4;
    const at = Math.ceil(end / bytes) * bytes;
    end = at + bytes;
    return { register, type: wide ? register.class : "b32", at };
  });
  emitter.localBytes = Math.max(emitter.localBytes, end);
  const body = emitter.block(() => {
    for (const { register, type, at } of arguments_)
      emitter.emit(`st.local.${type}`, [address(PRINT_ARGUMENTS, at), register]);
    const text = generic(emitter, "global", name);
    const list = generic(emitter, "local", PRINT_ARGUMENTS);
    emitter.emit("call.uni", [symbol(`(_), vprintf, (${text.name}, ${list.name})`)]);
    if (stop) emitter.emit("trap", []);
  });
  if (!guard) for (const node of body) emitter.push(node);
  else
    emitter.push({
      kind: "if",
      label: emitter.label("print"),
      condition: guard,
      whenTrue: body,
      whenFalse: [],
      divergent: true,
    });
}

function generic(emitter: Emitter, space: "global" | "local", name: string): Register {
  const register = emitter.register("b64");
  emitter.emit("mov.u64", [register, symbol(name)]);
  emitter.emit(`cvta.${space}.u64`, [register, register]);
  return register;
}

/** The name of the module's variable that holds the text. */
function formatName(emitter: Emitter, format: string): string {
  const bytes = [...new TextEncoder().encode(format), 0];
  const text = bytes.join(", ");
  for (const [name, declaration] of emitter.declarations) if (declaration.includes(`{${text}}`)) return name;
  const name = `print_format_${emitter.declarations.size}`;
  emitter.declare(name, `.global .align 1 .b8 ${name}[${bytes.length}] = {${text}};`);
  return name;
}
