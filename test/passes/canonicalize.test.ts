/** Canonicalization: each rewriting, and each look-alike that IEEE arithmetic or memory forbids. */
import { describe, test } from "vitest";
import { canonicalize } from "../../src/passes/index.ts";
import { expectPass } from "./before-after.ts";

const parameters =
  "%x: f32, %y: f32, %h: f16, %i: i32, %j: i32, %u: u32, %w: i64, %c: bool, %d: bool, %p: ptr<f32>, %v: view<f32, 2> {unitStride = true}";

/** Lines that compute something, and what is printed once they are canonical: `before` and `after` both end in a print. */
const becomes = (before: string, after: string): void => expectPass(canonicalize, parameters, before, after);
const value = (before: string, after: string): void =>
  becomes(
    `${before}\nprint %r {prefix = ""}`,
    `${after.replace(/^ *=(.*)$/m, "")}\nprint ${result(after)} {prefix = ""}`,
  );
/** The last word after `=` alone on a line, else %r. */
const result = (after: string): string => /^ *=(.*)$/m.exec(after)?.[1]?.trim() ?? "%r";
const stays = (before: string): void => becomes(`${before}\nprint %r {prefix = ""}`, "unchanged");

describe("constants fold with the op table's own arithmetic", () => {
  const folds = (operation: string, type: string, operands: readonly string[], expected: string, resultType = type) =>
    test(`${operation} ${operands.join(", ")} : ${type}`, () => {
      const constants = operands.map((text, i) => `%k${i} = constant ${text} : ${type}`);
      const [opcode, attributes = ""] = operation.split(/ (?=\{)/);
      const used = operands.map((_, i) => `%k${i}`).join(", ");
      const after = expected === "stays" ? [] : [`%0 = constant ${expected} : ${resultType}`, "=%0"];
      const before = [...constants, `%r = ${opcode} ${used} ${attributes} : ${resultType}`].join("\n");
      if (expected === "stays") stays(before);
      else value(before, [...constants, ...after].join("\n"));
    });

  folds("add", "i32", ["2147483647", "1"], "-2147483648");
  folds("mul", "i32", ["65537", "65537"], "131073");
  folds("mul", "u32", ["4294967295", "4294967295"], "1");
  folds("umulhi", "u32", ["4294967295", "4294967295"], "4294967294");
  folds("sub", "u32", ["0", "1"], "4294967295");
  folds("add", "i8", ["127", "1"], "-128");
  folds("add", "i64", ["9223372036854775807n", "1n"], "-9223372036854775808n");
  folds("div", "i32", ["-7", "2"], "-3");
  folds("rem", "i32", ["-7", "2"], "-1");
  folds("div", "i32", ["1", "0"], "stays");
  folds("rem", "i32", ["1", "0"], "stays");
  folds("shl", "i32", ["1", "31"], "-2147483648");
  folds("shl", "i32", ["1", "32"], "stays");
  folds("shr", "i32", ["-8", "1"], "-4");
  folds("shr", "u32", ["4294967288", "1"], "2147483644");
  folds("not", "u32", ["0"], "4294967295");
  folds("not", "bool", ["true"], "false");
  folds("xor", "bool", ["true", "true"], "false");
  folds("abs", "i32", ["-2147483648"], "-2147483648");

  folds("add", "f32", ["0.1", "0.2"], "0.30000001192092896"); // fround(fround(0.1) + fround(0.2))
  folds("add", "f32", ["16777216", "1"], "16777216");
  folds("mul", "f32", ["1e+30", "1e+30"], "inf");
  folds("mul", "f32", ["-0", "1"], "-0");
  folds("sub", "f32", ["inf", "inf"], "nan");
  folds("add", "f16", ["2048", "1"], "2048");
  folds("add", "bf16", ["256", "1"], "256");
  folds("add", "bf16", ["256", "3"], "260"); // The middle of 258 and 260: to even.
  folds("add", "f16", ["0.1", "1"], "stays"); // 0.1 is no f32, so that rounding it would be two roundings.
  folds("neg", "f32", ["0"], "-0");
  folds("max", "f32", ["nan", "1"], "1");
  folds("min", "f32", ["1", "nan"], "1");
  folds("max", "f32", ["-0", "0"], "stays");
  folds("exp2", "f32", ["3"], "stays");
  folds("rem", "f32", ["5", "3"], "stays");

  folds('compare {predicate = "lt"}', "f32", ["nan", "1"], "false", "bool");
  folds('compare {predicate = "ne"}', "f32", ["nan", "nan"], "true", "bool");
  folds('compare {predicate = "eq"}', "f32", ["-0", "0"], "true", "bool");
  folds('compare {predicate = "lt"}', "f32", ["16777217", "16777216"], "false", "bool"); // Rounds to 16777216.

  folds("cast", "f32", ["3000000000"], "2147483647", "i32");
  folds("cast", "f32", ["-1.5"], "0", "u32");
  folds("cast", "f32", ["-1.5"], "-1", "i32");
  folds("cast", "f32", ["nan"], "0", "i32");
  folds("cast", "f32", ["nan"], "true", "bool");
  folds("cast", "f32", ["-inf"], "-9223372036854775808n", "i64");
  folds("cast", "i32", ["300"], "44", "i8");
  folds("cast", "i32", ["-1"], "4294967295", "u32");
  folds("cast", "i32", ["16777217"], "16777216", "f32");
  folds("cast", "i64", ["9007199254740993n"], "stays", "f32"); // No f64.
  folds("cast", "i32", ["16777217"], "stays", "bf16"); // No f32.
  folds("cast", "f32", ["65520"], "inf", "f16");
  folds("cast", "f32", ["65519.99609375"], "65504", "f16");
  folds("bitcast", "f32", ["-0"], "-2147483648", "i32");
  folds("bitcast", "u32", ["1065353216"], "1", "f32");
  folds("bitcast", "u32", ["2143289344"], "stays", "f32"); // A NaN with a payload.
});

describe("integer identities", () => {
  const cases: [string, string][] = [
    ["%k = constant 0 : i32\n%r = add %i, %k : i32", "%k = constant 0 : i32\n=%i"],
    ["%k = constant 0 : i32\n%r = add %k, %i : i32", "%k = constant 0 : i32\n=%i"],
    ["%k = constant 0 : i32\n%r = mul %i, %k : i32", "%k = constant 0 : i32\n=%k"],
    ["%k = constant 1 : i32\n%r = mul %k, %i : i32", "%k = constant 1 : i32\n=%i"],
    ["%k = constant 1 : i32\n%r = div %i, %k : i32", "%k = constant 1 : i32\n=%i"],
    ["%k = constant 1 : i32\n%r = rem %i, %k : i32", "%k = constant 1 : i32\n%0 = constant 0 : i32\n=%0"],
    ["%r = sub %i, %i : i32", "%0 = constant 0 : i32\n=%0"],
    [
      "%k = constant 3 : i32\n%r = sub %i, %k : i32",
      "%k = constant 3 : i32\n%0 = constant -3 : i32\n%1 = add %i, %0 : i32\n=%1",
    ],
    [
      "%k = constant 3 : i32\n%l = constant 5 : i32\n%a = add %i, %k : i32\n%r = add %l, %a : i32",
      "%k = constant 3 : i32\n%l = constant 5 : i32\n%a = add %i, %k : i32\n%0 = constant 8 : i32\n%1 = add %i, %0 : i32\n=%1",
    ],
    ["%k = constant -1 : i32\n%r = and %i, %k : i32", "%k = constant -1 : i32\n=%i"],
    ["%k = constant 4294967295 : u32\n%r = or %u, %k : u32", "%k = constant 4294967295 : u32\n=%k"],
    ["%r = xor %c, %c : bool", "%0 = constant false : bool\n=%0"],
    ["%k = constant true : bool\n%r = xor %c, %k : bool", "%k = constant true : bool\n%0 = not %c : bool\n=%0"],
    ["%k = constant 0 : i32\n%r = shl %i, %k : i32", "%k = constant 0 : i32\n=%i"],
    ["%r = max %i, %i : i32", "=%i"],
    ["%a = neg %i : i32\n%r = neg %a : i32", "%a = neg %i : i32\n=%i"],
    ["%a = not %u : u32\n%r = not %a : u32", "%a = not %u : u32\n=%u"],
    ["%a = neg %i : i32\n%r = abs %a : i32", "%a = neg %i : i32\n%0 = abs %i : i32\n=%0"],
    ["%a = neg %u : u32\n%r = abs %a : u32", "%a = neg %u : u32\n=%a"], // Unsigned: not abs %u.
  ];
  test.each(cases)("%s", value);
});

describe("floats: only what IEEE arithmetic allows", () => {
  const yes: [string, string][] = [
    ["%k = constant -0 : f32\n%r = add %x, %k : f32", "%k = constant -0 : f32\n=%x"],
    ["%k = constant 0 : f32\n%r = sub %x, %k : f32", "%k = constant 0 : f32\n=%x"],
    ["%k = constant 1 : f32\n%r = mul %k, %x : f32", "%k = constant 1 : f32\n=%x"],
    ["%k = constant 1 : f32\n%r = div %x, %k : f32", "%k = constant 1 : f32\n=%x"],
    [
      "%k = constant 8 : f32\n%r = div %x, %k : f32",
      "%k = constant 8 : f32\n%0 = constant 0.125 : f32\n%1 = mul %x, %0 : f32\n=%1",
    ],
    [
      "%k = constant -2 : f16\n%r = div %h, %k : f16",
      "%k = constant -2 : f16\n%0 = constant -0.5 : f16\n%1 = mul %h, %0 : f16\n=%1",
    ],
    ["%a = neg %x : f32\n%r = abs %a : f32", "%a = neg %x : f32\n%0 = abs %x : f32\n=%0"],
    ["%k = constant 1 : f32\n%r = fma %k, %x, %y : f32", "%k = constant 1 : f32\n%0 = add %x, %y : f32\n=%0"],
    ["%k = constant -0 : f32\n%r = fma %x, %y, %k : f32", "%k = constant -0 : f32\n%0 = mul %x, %y : f32\n=%0"],
    ["%a = floor %x : f32\n%r = ceil %a : f32", "%a = floor %x : f32\n=%a"],
    ["%a = cast %i : f32\n%r = floor %a : f32", "%a = cast %i : f32\n=%a"],
  ];
  test.each(yes)("%s", value);
  test.each([
    "%k = constant 0 : f32\n%r = add %x, %k : f32", // -0 + 0 is 0.
    "%k = constant -0 : f32\n%r = sub %x, %k : f32",
    "%k = constant 0 : f32\n%r = mul %x, %k : f32", // NaN, infinities, -0.
    "%r = sub %x, %x : f32",
    "%r = div %x, %x : f32",
    "%k = constant 3 : f32\n%r = div %x, %k : f32",
    "%k = constant 1.7014118346046923e+38 : f32\n%r = div %x, %k : f32", // 2^127: its reciprocal is a denormal.
    "%k = constant 32768 : f16\n%r = div %h, %k : f16",
    "%k = constant -inf : f32\n%r = max %x, %k : f32", // max(NaN, -inf) is -inf.
    "%k = constant 2 : f32\n%a = add %x, %k : f32\n%r = add %a, %k : f32",
    "%k = constant 0 : f32\n%r = fma %x, %y, %k : f32",
  ])("stays: %s", stays);
});

describe("comparisons, select, casts", () => {
  const cases: [string, string][] = [
    [
      '%k = constant 3 : i32\n%r = compare %k, %i {predicate = "lt"} : bool',
      '%k = constant 3 : i32\n%0 = compare %i, %k {predicate = "gt"} : bool\n=%0',
    ],
    ['%r = compare %i, %i {predicate = "le"} : bool', "%0 = constant true : bool\n=%0"],
    ['%r = compare %x, %x {predicate = "lt"} : bool', "%0 = constant false : bool\n=%0"],
    [
      '%k = constant 0 : u32\n%r = compare %u, %k {predicate = "ge"} : bool',
      "%k = constant 0 : u32\n%0 = constant true : bool\n=%0",
    ],
    [
      '%a = compare %i, %j {predicate = "lt"} : bool\n%r = not %a : bool',
      '%a = compare %i, %j {predicate = "lt"} : bool\n%0 = compare %i, %j {predicate = "ge"} : bool\n=%0',
    ],
    [
      '%a = compare %x, %y {predicate = "eq"} : bool\n%r = not %a : bool',
      '%a = compare %x, %y {predicate = "eq"} : bool\n%0 = compare %x, %y {predicate = "ne"} : bool\n=%0',
    ],
    [
      '%k = constant false : bool\n%r = compare %c, %k {predicate = "eq"} : bool',
      "%k = constant false : bool\n%0 = not %c : bool\n=%0",
    ],
    ["%r = select %c, %x, %x : f32", "=%x"],
    ["%k = constant false : bool\n%r = select %k, %x, %y : f32", "%k = constant false : bool\n=%y"],
    ["%a = not %c : bool\n%r = select %a, %x, %y : f32", "%a = not %c : bool\n%0 = select %c, %y, %x : f32\n=%0"],
    [
      "%k = constant true : bool\n%r = select %c, %k, %d : bool",
      "%k = constant true : bool\n%0 = or %c, %d : bool\n=%0",
    ],
    [
      "%k = constant false : bool\n%r = select %c, %d, %k : bool",
      "%k = constant false : bool\n%0 = and %c, %d : bool\n=%0",
    ],
    [
      "%k = constant false : bool\n%l = constant true : bool\n%r = select %c, %k, %l : bool",
      "%k = constant false : bool\n%l = constant true : bool\n%0 = not %c : bool\n=%0",
    ],
    ["%a = select %c, %x, %y : f32\n%r = select %c, %a, %x : f32", "%a = select %c, %x, %y : f32\n=%x"],
    ["%r = cast %x : f32", "=%x"],
    ["%a = cast %h : f32\n%r = cast %a : f16", "%a = cast %h : f32\n=%h"],
    ["%a = cast %i : i64\n%r = cast %a : i32", "%a = cast %i : i64\n=%i"],
    ["%a = cast %i : u32\n%r = cast %a : i32", "%a = cast %i : u32\n=%i"],
    ["%a = cast %w : i32\n%r = cast %a : i8", "%a = cast %w : i32\n%0 = cast %w : i8\n=%0"],
    ["%a = cast %u : i64\n%r = cast %a : f32", "%a = cast %u : i64\n%0 = cast %u : f32\n=%0"],
    ["%a = cast %c : i32\n%r = cast %a : bool", "%a = cast %c : i32\n=%c"],
    ["%a = bitcast %x : u32\n%r = bitcast %a : f32", "%a = bitcast %x : u32\n=%x"],
    ["%k = constant 64 : i32\n%r = multiple_of %k {divisor = 16} : i32", "%k = constant 64 : i32\n=%k"],
    [
      "%a = multiple_of %i {divisor = 16} : i32\n%r = multiple_of %a {divisor = 8} : i32",
      "%a = multiple_of %i {divisor = 16} : i32\n=%a",
    ],
    ["%k = constant 0n : i64\n%r = add_pointer %p, %k : ptr<f32>", "%k = constant 0n : i64\n=%p"],
    [
      "%a = cast %i : i64\n%r = add_pointer %p, %a : ptr<f32>",
      "%a = cast %i : i64\n%0 = add_pointer %p, %i : ptr<f32>\n=%0",
    ],
  ];
  test.each(cases)("%s", value);
  test.each([
    '%a = compare %x, %y {predicate = "lt"} : bool\n%r = not %a : bool', // Not ge: NaN.
    '%r = compare %x, %x {predicate = "le"} : bool',
    "%a = cast %x : f16\n%r = cast %a : f32",
    "%a = cast %i : i8\n%r = cast %a : i32",
    "%a = cast %i : u32\n%r = cast %a : i64", // Loses the sign.
    "%a = cast %u : i32\n%r = cast %a : i64", // Takes on a sign.
    "%a = cast %i : f32\n%r = cast %a : i32",
    "%a = cast %h : bf16\n%r = cast %a : f16",
    "%k = constant 3 : i32\n%r = multiple_of %k {divisor = 16} : i32", // A broken promise is for the interpreter to report.
    "%a = multiple_of %i {divisor = 8} : i32\n%r = multiple_of %a {divisor = 16} : i32",
  ])("stays: %s", stays);
});

describe("shape operations", () => {
  const cases: [string, string][] = [
    ["%k = constant 2 : f32\n%r = splat %k : tile<4xf32>", "%k = constant 2 : f32\n%0 = constant 2 : tile<4xf32>\n=%0"],
    [
      "%a = splat %x : tile<1x4xf32>\n%r = broadcast %a : tile<8x4xf32>",
      "%a = splat %x : tile<1x4xf32>\n%0 = splat %x : tile<8x4xf32>\n=%0",
    ],
    ["%r = expand_dims %x {axis = 0} : tile<1xf32>", "%0 = splat %x : tile<1xf32>\n=%0"],
    [
      "%a = arange {start = 0, end = 8} : tile<8xi32>\n%b = reshape %a : tile<2x4xi32>\n%r = reshape %b : tile<8xi32>",
      "%a = arange {start = 0, end = 8} : tile<8xi32>\n%b = reshape %a : tile<2x4xi32>\n=%a",
    ],
    [
      "%a = arange {start = 0, end = 8} : tile<8xi32>\n%r = reshape %a : tile<8x1xi32>",
      "%a = arange {start = 0, end = 8} : tile<8xi32>\n%0 = expand_dims %a {axis = 1} : tile<8x1xi32>\n=%0",
    ],
    [
      "%a = arange {start = 0, end = 8} : tile<8xi32>\n%b = reshape %a : tile<2x2x2xi32>\n%c1 = trans %b {permutation = [1, 2, 0]} : tile<2x2x2xi32>\n%r = trans %c1 {permutation = [2, 0, 1]} : tile<2x2x2xi32>",
      "%a = arange {start = 0, end = 8} : tile<8xi32>\n%b = reshape %a : tile<2x2x2xi32>\n%c1 = trans %b {permutation = [1, 2, 0]} : tile<2x2x2xi32>\n=%b",
    ],
    [
      "%a = arange {start = 0, end = 32} : tile<32xi32>\n%b = reshape %a : tile<2x4x4xi32>\n%c1 = trans %b {permutation = [1, 2, 0]} : tile<4x4x2xi32>\n%r = trans %c1 {permutation = [1, 0, 2]} : tile<4x4x2xi32>",
      "%a = arange {start = 0, end = 32} : tile<32xi32>\n%b = reshape %a : tile<2x4x4xi32>\n%c1 = trans %b {permutation = [1, 2, 0]} : tile<4x4x2xi32>\n%0 = trans %b {permutation = [2, 1, 0]} : tile<4x4x2xi32>\n=%0",
    ],
    [
      "%a = arange {start = 0, end = 8} : tile<8xi32>\n%b = expand_dims %a {axis = 1} : tile<8x1xi32>\n%r = trans %b {permutation = [1, 0]} : tile<1x8xi32>",
      "%a = arange {start = 0, end = 8} : tile<8xi32>\n%b = expand_dims %a {axis = 1} : tile<8x1xi32>\n%0 = expand_dims %a {axis = 0} : tile<1x8xi32>\n=%0",
    ],
    [
      '%a = splat %i : tile<8xi32>\n%r = reduce %a {axis = 0, kind = "sum"} : i32',
      "%a = splat %i : tile<8xi32>\n%0 = constant 8 : i32\n%1 = mul %i, %0 : i32\n=%1",
    ],
    [
      '%a = splat %i : tile<8x2xi32>\n%r = reduce %a {axis = 0, kind = "max"} : tile<2xi32>',
      "%a = splat %i : tile<8x2xi32>\n%0 = splat %i : tile<2xi32>\n=%0",
    ],
    [
      '%a = arange {start = 0, end = 8} : tile<8xi32>\n%b = expand_dims %a {axis = 0} : tile<1x8xi32>\n%r = reduce %b {axis = 0, kind = "sum"} : tile<8xi32>',
      "%a = arange {start = 0, end = 8} : tile<8xi32>\n%b = expand_dims %a {axis = 0} : tile<1x8xi32>\n=%a",
    ],
  ];
  test.each(cases)("%s", value);

  test("join and split undo each other", () => {
    becomes(
      `%a = arange {start = 0, end = 8} : tile<8xi32>
       %b = arange {start = 8, end = 16} : tile<8xi32>
       %j1 = join %a, %b : tile<8x2xi32>
       %l, %h1 = split %j1 : tile<8xi32>, tile<8xi32>
       %again = join %l, %h1 : tile<8x2xi32>
       print %l, %h1, %again {prefix = ""}`,
      `%a = arange {start = 0, end = 8} : tile<8xi32>
       %b = arange {start = 8, end = 16} : tile<8xi32>
       %j1 = join %a, %b : tile<8x2xi32>
       %again = join %a, %b : tile<8x2xi32>
       print %a, %b, %again {prefix = ""}`,
    );
    value(
      `%a = arange {start = 0, end = 16} : tile<16xi32>
       %b = reshape %a : tile<8x2xi32>
       %l, %h1 = split %b : tile<8xi32>, tile<8xi32>
       %r = join %l, %h1 : tile<8x2xi32>`,
      `%a = arange {start = 0, end = 16} : tile<16xi32>
       %b = reshape %a : tile<8x2xi32>
       %l, %h1 = split %b : tile<8xi32>, tile<8xi32>
       =%b`,
    );
  });

  test.each(['"sum"', '"max"'])("a float reduction of %s stays", (kind) =>
    stays(`%a = splat %x : tile<8xf32>\n%r = reduce %a {axis = 0, kind = ${kind}} : f32`),
  );

  test("elementwise operations sink below splat, expand_dims and broadcast", () => {
    becomes(
      `%k = constant 4 : tile<8xi32>
       %s = splat %i : tile<8xi32>
       %a = mul %s, %k : tile<8xi32>
       print %a {prefix = ""}`,
      `%k = constant 4 : tile<8xi32>
       %s = splat %i : tile<8xi32>
       %0 = constant 4 : i32
       %1 = mul %i, %0 : i32
       %2 = splat %1 : tile<8xi32>
       print %2 {prefix = ""}`,
    );
    becomes(
      `%rows = arange {start = 0, end = 8} : tile<8xi32>
       %column = expand_dims %rows {axis = 1} : tile<8x1xi32>
       %wide = broadcast %column : tile<8x4xi32>
       %limit = splat %i : tile<8x4xi32>
       %inside = compare %wide, %limit {predicate = "lt"} : tile<8x4xbool>
       print %inside {prefix = ""}`,
      `%rows = arange {start = 0, end = 8} : tile<8xi32>
       %column = expand_dims %rows {axis = 1} : tile<8x1xi32>
       %wide = broadcast %column : tile<8x4xi32>
       %limit = splat %i : tile<8x4xi32>
       %0 = splat %i : tile<8x1xi32>
       %1 = splat %i : tile<8xi32>
       %2 = compare %rows, %1 {predicate = "lt"} : tile<8xbool>
       %3 = expand_dims %2 {axis = 1} : tile<8x1xbool>
       %4 = broadcast %3 : tile<8x4xbool>
       print %4 {prefix = ""}`,
    );
  });

  test("an axis inserted elsewhere is another shape, even where the results have the same", () => {
    stays(`%rows = arange {start = 0, end = 8} : tile<8xi32>
       %column = expand_dims %rows {axis = 1} : tile<8x1xi32>
       %row = expand_dims %rows {axis = 0} : tile<1x8xi32>
       %a = expand_dims %column {axis = 0} : tile<1x8x1xi32>
       %b = expand_dims %row {axis = 2} : tile<1x8x1xi32>
       %r = add %a, %b : tile<1x8x1xi32>`);
  });

  test("a row and a column do not share a shape to sink below", () => {
    stays(`%rows = arange {start = 0, end = 8} : tile<8xi32>
       %column = expand_dims %rows {axis = 1} : tile<8x1xi32>
       %row = expand_dims %rows {axis = 0} : tile<1x8xi32>
       %a = broadcast %column : tile<8x8xi32>
       %b = broadcast %row : tile<8x8xi32>
       %r = add %a, %b : tile<8x8xi32>`);
  });
});

describe("memory", () => {
  test("known masks", () => {
    becomes(
      `%yes = constant true : bool
       %no = constant false : bool
       %zero = constant 0 : f32
       %negative = constant -0 : f32
       %a = load %p, %yes, %x : f32
       %b = load %p, %no, %x : f32
       %b0 = load %p, %no : f32
       %d1 = load %p, %c, %zero : f32
       %e = load %p, %c, %negative : f32
       store %p, %b, %yes
       store %p, %x, %no
       print %a, %b, %b0, %d1, %e {prefix = ""}`,
      `%yes = constant true : bool
       %no = constant false : bool
       %zero = constant 0 : f32
       %negative = constant -0 : f32
       %0 = load %p : f32
       %1 = constant 0 : f32
       %2 = load %p, %c : f32
       %e = load %p, %c, %negative : f32
       store %p, %x
       print %0, %x, %1, %2, %e {prefix = ""}`,
    );
  });

  test("views: of the kernel's own making, and with a unit stride", () => {
    becomes(
      `%m = make_view %p, %i, %j, %j, %w {rank = 2} : view<f32, 2>
       %a = view_pointer %m : ptr<f32>
       %n = view_size %m {axis = 1} : i32
       %s = view_stride %m {axis = 0} : i64
       %t = view_stride %m {axis = 1} : i64
       %o = view_stride %v {axis = 1} : i64
       %q = view_stride %v {axis = 0} : i64
       store %a, %x
       print %n, %s, %t, %o, %q {prefix = ""}`,
      `%m = make_view %p, %i, %j, %j, %w {rank = 2} : view<f32, 2>
       %0 = cast %j : i64
       %1 = constant 1n : i64
       %q = view_stride %v {axis = 0} : i64
       store %p, %x
       print %j, %0, %w, %1, %q {prefix = ""}`,
    );
  });

  test("an assert that holds goes, one that fails stays", () => {
    becomes(
      `%yes = constant true : bool
       %no = constant false : bool
       assert %yes {message = "fine"}
       assert %no {message = "not fine"}`,
      `%yes = constant true : bool
       %no = constant false : bool
       assert %no {message = "not fine"}`,
    );
  });
});

describe("control flow", () => {
  const bounds = (from: number, to: number, step: number) =>
    `%from = constant ${from} : i32\n%to = constant ${to} : i32\n%step = constant ${step} : i32`;
  const loop = `%r = loop %n = %from to %to step %step with (%a = %i) {
      %next = mul %a, %n : i32
      yield %next
    }`;
  test("a loop that does not run", () => value(`${bounds(4, 4, 1)}\n${loop}`, `${bounds(4, 4, 1)}\n=%i`));
  test("a loop that runs once", () =>
    value(`${bounds(4, 12, 8)}\n${loop}`, `${bounds(4, 12, 8)}\n%next = mul %i, %from : i32\n=%next`));
  test("a loop that runs twice", () => stays(`${bounds(4, 13, 8)}\n${loop}`));

  test("carried values that do not change", () => {
    becomes(
      `%zero = constant 0 : i32
       %same, %start, %count = loop %n = %zero to %i step %j with (%same#1 = %x, %start#1 = %y, %count#1 = %zero) {
         %next = add %count#1, %n : i32
         %t = mul %same#1, %start#1 : f32
         print %t {prefix = ""}
         yield %same#1, %y, %next
       }
       print %same, %start, %count {prefix = ""}`,
      `%zero = constant 0 : i32
       %count = loop %n = %zero to %i step %j with (%count#1 = %zero) {
         %next = add %count#1, %n : i32
         %t = mul %x, %y : f32
         print %t {prefix = ""}
         yield %next
       }
       print %x, %y, %count {prefix = ""}`,
    );
  });

  test("a known condition", () => {
    const branch = (known: boolean) => `%k = constant ${known} : bool
      %r = if %k {
        %a = neg %x : f32
        yield %a
      } else {
        yield %y
      }`;
    value(branch(true), "%k = constant true : bool\n%a = neg %x : f32\n=%a");
    value(branch(false), "%k = constant false : bool\n=%y");
  });

  test("a result that both arms take from outside", () => {
    becomes(
      `%a, %b = if %c {
         print %x {prefix = "then"}
         yield %x, %y
       } else {
         yield %y, %y
       }
       print %a, %b {prefix = ""}`,
      `%a = if %c {
         print %x {prefix = "then"}
         yield %x
       } else {
         yield %y
       }
       print %a, %y {prefix = ""}`,
    );
  });
});
