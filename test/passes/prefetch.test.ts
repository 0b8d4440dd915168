/** Which loads of a loop can be made ahead, and which sums it may carry in parts: by what uses them and what they depend on. */
import { describe, expect, test } from "vitest";
import { type Kernel, type Operation, type Value, walk } from "../../src/ir/index.ts";
import { findPartialSums, findPrefetches } from "../../src/passes/index.ts";
import { kernelOf } from "./before-after.ts";

const parameters = "%v: view<f16, 2>, %p: ptr<f32>, %n: i32";
const before = `%zero = constant 0 : i32
  %acc = constant 1 : tile<16x16xf32>
  %s = constant 2 : tile<16xf32>
  %r = constant 3 : tile<16xf32>`;

function loopOf(body: string, carried: string): { loop: Operation; usersOf: (value: Value) => Operation[] } {
  const kernel: Kernel = kernelOf(
    parameters,
    `${before}\n%out = loop %i = %zero to %n step %n with (${carried}) {\n${body}\n}`,
  );
  const users = new Map<Value, Operation[]>();
  walk(kernel.body, (operation) => {
    for (const operand of operation.operands) users.set(operand, [...(users.get(operand) ?? []), operation]);
  });
  const loop = kernel.body.operations.find(({ opcode }) => opcode === "loop")!;
  return { loop, usersOf: (value) => users.get(value) ?? [] };
}

describe("loads ahead", () => {
  const names = (body: string): string[] => {
    const { loop, usersOf } = loopOf(body, "%sum = %acc");
    const reads = (user: Operation, index: number) => user.opcode === "dot" && index < 2;
    const changes = (write: Operation, read: Operation) => write.operands[0] === read.operands[0];
    return findPrefetches(loop, { usersOf, reads, changes }).map(
      ({ load, slice, lookups, lookupSlice, readers, direct }) => {
        const opcodes = (list: readonly Operation[]) => list.map(({ opcode }) => opcode).join(" ");
        const after = lookups.length === 0 ? "" : `[${opcodes(lookupSlice)} -> ${opcodes(lookups)}] `;
        return `${load.results[0]!.name}: ${after}${opcodes(slice)} -> ${readers.map(({ results }) => results[0]!.name).join(" ")}${direct ? "" : " (back)"}`;
      },
    );
  };
  const load = "%x = view_load %v, %i, %zero {inBounds = [true, true]} : tile<16x16xf16>";
  const dot = '%d = dot %x, %x, %sum {precision = "ieee"} : tile<16x16xf32>';

  test("a tile that only dots read, through a transposition or not", () => {
    expect(names(`${load}\n${dot}\nyield %d`)).toEqual(["x:  -> d"]);
    expect(
      names(`${load}\n%t = trans %x {permutation = [1, 0]} : tile<16x16xf16>
        %d = dot %x, %t, %sum {precision = "ieee"} : tile<16x16xf32>
        %e = dot %t, %t, %d {precision = "ieee"} : tile<16x16xf32>\nyield %e`),
    ).toEqual(["x:  -> d e"]);
  });
  test("with what its address takes of the loop's index", () =>
    expect(
      names(`%j = mul %i, %n : i32\n%k = add %j, %n : i32\n%unused = add %k, %k : i32
        %x = view_load %v, %k, %zero {inBounds = [true, true]} : tile<16x16xf16>\n${dot}\nyield %d`),
    ).toEqual(["x: mul add -> d"]));
  test("a tile that others read too, or that reaches the dot by way of them", () => {
    expect(names(`${load}\n${dot}\n%y = neg %x : tile<16x16xf16>\nyield %d`)).toEqual(["x:  -> d y (back)"]);
    expect(
      names(`${load}\n%y = neg %x : tile<16x16xf16>\n%z = trans %y {permutation = [1, 0]} : tile<16x16xf16>
        %d = dot %z, %z, %sum {precision = "ieee"} : tile<16x16xf32>\nyield %d`),
    ).toEqual(["x:  -> y (back)"]);
  });
  test("not a tile that no dot needs", () =>
    expect(names(`${load}\n%y = cast %x : tile<16x16xf32>\n%d = add %sum, %y : tile<16x16xf32>\nyield %d`)).toEqual(
      [],
    ));
  const gathered = `%k = cast %f : i32
        %x = view_load %v, %k, %zero {inBounds = [true, true]} : tile<16x16xf16>\n${dot}\nyield %d`;
  test("where a table says where the tile lies, with what the place in the table takes of the index", () =>
    expect(names(`%j = mul %i, %n : i32\n%q = add_pointer %p, %j : ptr<f32>\n%f = load %q : f32\n${gathered}`)).toEqual(
      ["x: [mul add_pointer -> load] mul add_pointer load cast -> d"],
    ));
  test("not where a table says where the table lies, nor where the address comes from what the loop carries", () => {
    expect(
      names(
        `%e = load %p : f32\n%j = cast %e : i32\n%q = add_pointer %p, %j : ptr<f32>\n%f = load %q : f32\n${gathered}`,
      ),
    ).toEqual([]);
    expect(
      names(`%a = reduce %sum {axis = 1, kind = "max"} : tile<16xf32>\n%b = reduce %a {axis = 0, kind = "max"} : f32
        %k = cast %b : i32\n%x = view_load %v, %k, %zero {inBounds = [true, true]} : tile<16x16xf16>\n${dot}\nyield %d`),
    ).toEqual([]);
  });
  test("not in a loop that writes what it loads", () => {
    expect(names(`%f = load %p : f32\nstore %p, %f\n${load}\n${dot}\nyield %d`)).toEqual(["x:  -> d"]);
    const store = "view_store %v, %x, %i, %zero {inBounds = [true, true]}";
    expect(names(`${load}\n${dot}\n${store}\nyield %d`)).toEqual([]);
  });
  test("not where the dot is not done every turn", () =>
    expect(
      names(`${load}\n%c = compare %i, %n {predicate = "lt"} : bool
        %y = if %c {\n${dot}\nyield %d\n} else {\nyield %sum\n}\nyield %y`),
    ).toEqual([]));
});

describe("sums in parts", () => {
  const found = (body: string): string[] => {
    const { loop, usersOf } = loopOf(body, "%t = %s");
    return findPartialSums(loop, usersOf).map(({ carried, reduce }) => `${carried} ${reduce.results[0]!.name}`);
  };
  const sum = (kind = "sum") => `%row = reduce %acc {axis = 1, kind = "${kind}"} : tile<16xf32>`;

  test("of a carried value times something plus a sum", () => {
    expect(found(`${sum()}\n%a = add %t, %row : tile<16xf32>\nyield %a`)).toEqual(["0 row"]);
    expect(found(`${sum()}\n%m = mul %t, %r : tile<16xf32>\n%a = add %m, %row : tile<16xf32>\nyield %a`)).toEqual([
      "0 row",
    ]);
    expect(found(`${sum()}\n%a = fma %t, %r, %row : tile<16xf32>\nyield %a`)).toEqual(["0 row"]);
  });
  test("not where the loop reads the carried value or the sum otherwise", () => {
    expect(found(`${sum()}\n%a = add %t, %row : tile<16xf32>\nprint %a {prefix = ""}\nyield %a`)).toEqual([]);
    expect(found(`${sum()}\nprint %row {prefix = ""}\n%a = add %t, %row : tile<16xf32>\nyield %a`)).toEqual([]);
    expect(found(`${sum()}\n%m = mul %t, %t : tile<16xf32>\n%a = add %m, %row : tile<16xf32>\nyield %a`)).toEqual([]);
  });
  test("not of what is no sum, or is added to what each thread holds whole", () => {
    expect(found(`${sum("max")}\n%a = add %t, %row : tile<16xf32>\nyield %a`)).toEqual([]);
    expect(found(`%a = add %t, %r : tile<16xf32>\nyield %a`)).toEqual([]);
    expect(found(`${sum()}\n%b = add %t, %r : tile<16xf32>\n%a = add %b, %row : tile<16xf32>\nyield %a`)).toEqual([]);
  });
});
