/**
 * @file Calls that kernels make for debugging: vprintf and __assertfail. No other function can be called.
 */
import { LANES } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import type { Warp } from "../machine/warp.ts";
import { spaceOf } from "../machine/windows.ts";
import { type Operand, type PtxType, ptxTypes } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";

const u32 = ptxTypes.get("u32")!;
const u64 = ptxTypes.get("u64")!;

/** A bytewise reader of generic memory for one thread; faults out of bounds. */
type ByteAt = (address: number) => number;

export function call(decoder: Decoder): Operation {
  decoder.flag("uni");
  const { operands } = decoder;
  const at = operands.findIndex(({ kind }) => kind === "name");
  const callee = operands[at];
  const given = operands[at + 1];
  if (callee?.kind !== "name" || given?.kind !== "list")
    return decoder.fail("call (result), function, (arguments) expected");
  const values = given.elements;
  if (callee.name === "vprintf") return print(decoder, values, at === 1 ? operands[0]! : undefined);
  if (callee.name === "__assertfail") return failAssertion(decoder, values);
  return decoder.fail(`function ${callee.name}: only vprintf and __assertfail can be called`, "PTX_UNSUPPORTED");
}

/** An argument's value: a register, or a .param variable in local memory. */
function argument(decoder: Decoder, operand: Operand, type: PtxType): (warp: Warp, lane: number) => number {
  if (operand.kind === "variable-address") {
    const offset = decoder.surroundings.addressOf(operand.variable) >> 2;
    return ({ local, block }, lane) => {
      const word = ((lane * block.program.localBytes) >> 2) + offset;
      return local.u32[word]! + (type === u64 ? local.u32[word + 1]! * 4294967296 : 0);
    };
  }
  const row = decoder.source(operand, type);
  return ({ registers: { u } }, lane) =>
    type === u64 ? u[row + 2 * lane]! + u[row + 2 * lane + 1]! * 4294967296 : u[row + lane]!;
}

function memoryOf(decoder: Decoder, warp: Warp, lane: number): ByteAt {
  const { memory } = decoder.surroundings;
  return (address) => {
    const { space, offset } = spaceOf(address);
    const { localBytes } = warp.block.program;
    if (space === "local" && offset < localBytes) return warp.local.u8[lane * localBytes + offset]!;
    if (space === "shared" && offset < warp.block.shared.byteLength) return warp.block.shared.u8[offset]!;
    const found = space === "global" ? memory.find(address, 1) : undefined;
    if (!found) return warp.fault("PTX_OUT_OF_BOUNDS", `a call reads at ${memory.describe(address)}`, lane, address);
    return found.region.u8[address - found.base]!;
  };
}

function text(byteAt: ByteAt, address: number): string {
  const bytes: number[] = [];
  for (let byte = byteAt(address); byte !== 0; byte = byteAt(address + bytes.length)) bytes.push(byte);
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

function print(decoder: Decoder, values: readonly Operand[], result: Operand | undefined): Operation {
  if (values.length !== 2) return decoder.fail("vprintf takes a format and its arguments");
  const [format, list] = values.map((value) => argument(decoder, value, u64)) as [
    ReturnType<typeof argument>,
    ReturnType<typeof argument>,
  ];
  const kept = result?.kind === "list" ? result.elements[0] : undefined;
  const keep = kept?.kind === "register" ? decoder.target(kept, u32) : undefined;
  return (warp, mask) => {
    for (let lane = 0; lane < LANES; lane++) {
      if (!((mask >>> lane) & 1)) continue;
      const byteAt = memoryOf(decoder, warp, lane);
      const line = formatted(text(byteAt, format(warp, lane)), list(warp, lane), byteAt);
      warp.block.launch.prints.push(line);
      if (keep !== undefined) warp.registers.u[keep + lane] = line.length;
    }
  };
}

const view = new DataView(new ArrayBuffer(8));

/** printf: arguments follow each other at their natural alignment; floats are f64. */
function formatted(format: string, list: number, byteAt: ByteAt): string {
  let at = list;
  const take = (bytes: number): DataView => {
    at = Math.ceil(at / bytes) * bytes;
    for (let i = 0; i < bytes; i++) view.setUint8(i, byteAt(at + i));
    at += bytes;
    return view;
  };
  return format.replace(
    /%([-+ 0#]*)(\d*)(?:\.(\d+))?(hh|h|ll|l|z|j|t)?([diouxXcsfFeEgGpaA%])/g,
    (_, flags: string, width: string, precision: string | undefined, length: string | undefined, kind: string) => {
      if (kind === "%") return "%";
      const long = length !== undefined && !length.startsWith("h");
      const digits = precision === undefined ? 6 : Number(precision);
      let shown: string;
      if (kind === "s") shown = text(byteAt, Number(take(8).getBigUint64(0, true)));
      else if (kind === "c") shown = String.fromCharCode(take(4).getUint8(0));
      else if (kind === "p") shown = `0x${take(8).getBigUint64(0, true).toString(16)}`;
      else if ("di".includes(kind)) shown = String(long ? take(8).getBigInt64(0, true) : take(4).getInt32(0, true));
      else if ("uoxX".includes(kind)) {
        const value = long ? take(8).getBigUint64(0, true) : BigInt(take(4).getUint32(0, true));
        shown = value.toString(kind === "u" ? 10 : kind === "o" ? 8 : 16);
        if (kind === "X") shown = shown.toUpperCase();
      } else shown = floatText(take(8).getFloat64(0, true), kind.toLowerCase(), digits);
      if (flags.includes("+") && !shown.startsWith("-") && !"uoxXcsp".includes(kind)) shown = `+${shown}`;
      if (flags.includes("-")) return shown.padEnd(Number(width));
      if (flags.includes("0") && /^[+-]?\d/.test(shown)) {
        const sign = /^[+-]/.test(shown) ? shown[0]! : "";
        return sign + shown.slice(sign.length).padStart(Number(width) - sign.length, "0");
      }
      return shown.padStart(Number(width));
    },
  );
}

/** %f, %e and %g. */
function floatText(value: number, kind: string, digits: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  const sign = Object.is(value, -0) ? "-" : "";
  const exponential = (places: number): string => value.toExponential(places).replace(/e([+-])(\d)$/, "e$10$2");
  if (kind === "f") return sign + value.toFixed(digits);
  if (kind === "e") return sign + exponential(digits);
  const precision = Math.max(digits, 1);
  const exponent = value === 0 ? 0 : Number(value.toExponential(precision - 1).split("e")[1]);
  if (exponent < -4 || exponent >= precision) return sign + exponential(precision - 1).replace(/\.?0+e/, "e");
  const fixed = value.toFixed(precision - 1 - exponent);
  return sign + (fixed.includes(".") ? fixed.replace(/\.?0+$/, "") : fixed);
}

/** __assertfail(message, file, line, function, size of a character). */
function failAssertion(decoder: Decoder, values: readonly Operand[]): Operation {
  if (values.length !== 5) return decoder.fail("__assertfail takes five arguments");
  const [message, file, line, name] = values.map((value, at) => argument(decoder, value, at === 2 ? u32 : u64));
  return (warp, mask) => {
    const lane = 31 - Math.clz32(mask & -mask);
    const byteAt = memoryOf(decoder, warp, lane);
    const said = (of: typeof message): string => text(byteAt, of!(warp, lane));
    warp.fault(
      "PTX_ASSERTION",
      `${said(file)}:${line!(warp, lane)}: ${said(name)}: assertion failed: ${said(message)}`,
      lane,
    );
  };
}
