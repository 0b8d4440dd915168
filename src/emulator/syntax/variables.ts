/**
 * @file Declarations of variables: `.shared .align 16 .b8 tile[1024];`, with initial values.
 */
import type { Cursor } from "./cursor.ts";
import type { Space, Variable } from "./tree.ts";
import { type PtxType, ptxTypes } from "./types.ts";

/** `.align`, the type and the attributes that do not matter here, in any order. */
export function parseTyped(cursor: Cursor): { type: PtxType; lanes: number; alignment: number | undefined } {
  let type: PtxType | undefined;
  let lanes = 1;
  let alignment: number | undefined;
  let pointee = false; // After .ptr, .align is about what the pointer points to.
  while (cursor.token.kind === "word" && cursor.token.text.startsWith(".")) {
    const word = cursor.take().text.slice(1);
    if (word === "align") {
      const given = Number(cursor.integer());
      if (!pointee) alignment = given;
    } else if (word === "ptr") pointee = true;
    else if (word === "v2" || word === "v4") lanes = Number(word[1]);
    else if (ptxTypes.has(word)) type = ptxTypes.get(word)!;
    else if (!["global", "const", "shared", "local"].includes(word))
      cursor.fail(`unknown word .${word} in a declaration`);
  }
  if (type === undefined) cursor.fail("a declaration needs a type");
  return { type, lanes, alignment };
}

/** What follows the state space, up to and without the `;`: one or more variables. */
export function parseVariables(cursor: Cursor, space: Space): Variable[] {
  const { type, lanes, alignment } = parseTyped(cursor);
  const elementBytes = (type.bits / 8) * lanes;
  const made: Variable[] = [];
  do {
    const name = cursor.word("a variable's name");
    let count: number | undefined = 1;
    while (cursor.accept("[")) {
      if (cursor.at("]")) count = undefined;
      else count = (count ?? 1) * Number(cursor.integer());
      cursor.expect("]");
    }
    const initial = cursor.accept("=") ? parseInitial(cursor, type) : undefined;
    const bytes = count === undefined ? initial?.bytes.length : count * elementBytes;
    made.push({
      kind: "variable",
      name,
      space,
      alignment: alignment ?? elementBytes,
      bytes,
      ...(initial && { initial: initial.bytes, pointers: initial.pointers }),
    });
  } while (cursor.accept(","));
  return made;
}

interface Initial {
  readonly bytes: Uint8Array;
  readonly pointers: { at: number; name: string; addend: number }[];
}

function parseInitial(cursor: Cursor, type: PtxType): Initial {
  const size = type.bits / 8;
  const bytes: number[] = [];
  const pointers: Initial["pointers"] = [];
  const element = new DataView(new ArrayBuffer(8));
  const one = (): void => {
    if (cursor.accept("{")) {
      if (!cursor.at("}"))
        do one();
        while (cursor.accept(","));
      cursor.expect("}");
      return;
    }
    element.setBigUint64(0, 0n, true);
    const { token } = cursor;
    if (token.kind === "word" && token.text !== "WARP_SZ") {
      let name = cursor.take().text;
      if (name === "generic" && cursor.accept("(")) {
        name = cursor.word("a variable's name");
        cursor.expect(")");
      }
      pointers.push({ at: bytes.length, name, addend: cursor.accept("+") ? Number(cursor.integer()) : 0 });
    } else if (token.kind === "float32") element.setUint32(0, Number.parseInt(cursor.take().text.slice(2), 16), true);
    else if (token.kind === "float64") {
      const value = float64Of(cursor.take().text);
      if (type.bits === 32) element.setFloat32(0, value, true);
      else element.setFloat64(0, value, true);
    } else element.setBigUint64(0, BigInt.asUintN(64, cursor.integer()), true);
    for (let i = 0; i < size; i++) bytes.push(element.getUint8(i));
  };
  one();
  return { bytes: Uint8Array.from(bytes), pointers };
}

/** The value of a token of kind float64: `0d` and 16 digits, or decimal. */
export function float64Of(text: string): number {
  if (!/^0[dD]/.test(text)) return Number(text);
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(`0x${text.slice(2)}`));
  return view.getFloat64(0);
}
