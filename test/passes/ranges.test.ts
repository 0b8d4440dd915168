/** Ranges, and what they decide. */
import { describe, expect, test } from "vitest";
import { type Value, walk } from "../../src/ir/index.ts";
import { analyzeRanges, foldRanges } from "../../src/passes/index.ts";
import { expectPass, kernelOf } from "./before-after.ts";

const parameters = "%n: i32, %u: u32, %c: bool, %v: view<f32, 1>";
const i32 = [-(2n ** 31n), 2n ** 31n - 1n];

/** The range of what is called %r. */
function rangeOf(lines: string): bigint[] {
  const kernel = kernelOf(parameters, lines);
  let found: Value | undefined;
  const look = (value: Value): void => {
    if (value.name === "r") found = value;
  };
  walk(kernel.body, ({ results, blocks }) => {
    results.forEach(look);
    for (const block of blocks) block.parameters.forEach(look);
  });
  const range = analyzeRanges(kernel).of(found!)!;
  return [range.low, range.high];
}

const a = "%a = arange {start = -2, end = 6} : tile<8xi32>";
const binary = (opcode: string, constant: number): string =>
  `${a}\n%k = constant ${constant} : tile<8xi32>\n%r = ${opcode} %a, %k : tile<8xi32>`;

describe("ranges", () => {
  test.each<[string, bigint[]]>([
    ["%r = program_id {axis = 0} : i32", [0n, 2n ** 31n - 2n]],
    ["%r = view_size %v {axis = 0} : i32", [0n, 2n ** 31n - 1n]],
    [a.replace("%a", "%r"), [-2n, 5n]],
    [binary("add", 10), [8n, 15n]],
    [binary("sub", 10), [-12n, -5n]],
    [binary("mul", -3), [-15n, 6n]],
    [binary("min", 3), [-2n, 3n]],
    [binary("max", 3), [3n, 5n]],
    [binary("div", 2), [-1n, 2n]],
    [binary("and", 3), [0n, 3n]],
    [binary("shr", 1), [-1n, 2n]],
    [binary("rem", 4), i32], // Of a negative number.
    ["%z = constant 100 : i32\n%k = constant 7 : i32\n%r = rem %z, %k : i32", [0n, 6n]],
    [binary("mul", 2 ** 30), i32], // Wraps.
    ["%z = constant 0 : u32\n%o = constant 1 : u32\n%r = sub %z, %o : u32", [0n, 2n ** 32n - 1n]],
    [`${a}\n%r = reduce %a {axis = 0, kind = "max"} : i32`, [-2n, 5n]],
    [`${a}\n%r = reduce %a {axis = 0, kind = "sum"} : i32`, i32],
    [
      `${a}\n%k = constant 64 : tile<8xi32>\n%cc = splat %c : tile<8xbool>\n%r = select %cc, %a, %k : tile<8xi32>`,
      [-2n, 64n],
    ],
    [`${a}\n%r = cast %a : tile<8xu32>`, [0n, 2n ** 32n - 1n]],
    [`${a}\n%r = cast %a : tile<8xi8>`, [-2n, 5n]],
  ])("%s", (lines, range) => expect(rangeOf(lines)).toEqual(range));

  const loop = (step: string): string =>
    `%from = constant 8 : i32\n%to = constant 100 : i32\n%s = constant 4 : i32\nloop %r = %from to %to step ${step} {\nyield\n}`;
  test("a loop's variable stays below the end, and above the start if steps are forward", () => {
    expect(rangeOf(loop("%s"))).toEqual([8n, 99n]);
    expect(rangeOf(loop("%n"))).toEqual([i32[0], 99n]);
  });
});

describe("what ranges decide", () => {
  const decides = (body: string, after: string): void => expectPass(foldRanges, parameters, body, after);
  const compare = (predicate: string, constant: number): string =>
    `${a}\n%k = constant ${constant} : tile<8xi32>\n%r = compare %a, %k {predicate = "${predicate}"} : tile<8xbool>`;
  test.each<[string, number, boolean | "unchanged"]>([
    ["lt", 6, true],
    ["lt", 5, "unchanged"],
    ["lt", -2, false],
    ["le", 5, true],
    ["le", 4, "unchanged"],
    ["le", -3, false],
    ["gt", -3, true],
    ["gt", -2, "unchanged"],
    ["gt", 5, false],
    ["ge", -2, true],
    ["ge", -1, "unchanged"],
    ["ge", 6, false],
    ["eq", 6, false],
    ["eq", 5, "unchanged"],
    ["ne", -3, true],
  ])("an element of [-2, 5] %s %i: %s", (predicate, constant, answer) => {
    const lines = compare(predicate, constant).split("\n");
    decides(
      lines.join("\n"),
      answer === "unchanged"
        ? "unchanged"
        : [...lines.slice(0, 2), `%0 = constant ${answer} : tile<8xbool>`].join("\n"),
    );
  });

  test("min, max and rem that never change their operand", () => {
    decides(
      `%zero = constant 0 : i32
       %ten = constant 10 : i32
       %x = program_id {axis = 0} : i32
       %three = constant 3 : i32
       %r = max %x, %zero : i32
       %s = rem %three, %ten : i32
       %t = min %n, %ten : i32
       print %r, %s, %t {prefix = ""}`,
      `%zero = constant 0 : i32
       %ten = constant 10 : i32
       %x = program_id {axis = 0} : i32
       %three = constant 3 : i32
       %t = min %n, %ten : i32
       print %x, %three, %t {prefix = ""}`,
    );
  });
});
