/** How a mask is taken apart into a bound that all elements share and the rest. */
import { expect, test } from "vitest";
import { boundedMask } from "../../src/passes/index.ts";
import { kernelOf } from "./before-after.ts";

/** "opcode of what is compared < opcode of the bound, by what it is spread; the rest", of the mask of the only load. */
function partsOf(mask: string): string {
  const kernel = kernelOf(
    "%p: ptr<f32>, %n: i32, %flag: bool",
    `%columns = arange {start = 0, end = 8} : tile<8xi32>
    %rows = arange {start = 0, end = 4} : tile<4xi32>
    %bound = splat %n : tile<8xi32>
    %four = constant 2 : tile<4xi32>
    %row_ok = compare %rows, %four {predicate = "ge"} : tile<4xbool>
    %row_one = expand_dims %row_ok {axis = 1} : tile<4x1xbool>
    %row_mask = broadcast %row_one : tile<4x8xbool>
    ${mask}
    %base = splat %p : tile<4x8xptr<f32>>
    %x = load %base, %mask : tile<4x8xf32>`,
  );
  const load = kernel.body.operations.find(({ opcode }) => opcode === "load")!;
  const parts = boundedMask(load.operands[1]!);
  if (!parts) return "none";
  const names = parts.compare.operands.map(({ definition }) => definition!.opcode).join(" < ");
  const spread = parts.spread.map(({ opcode }) => opcode).join(" ");
  return `${names}, by ${spread}; ${parts.rest.map(({ name }) => name).join(" ")}`;
}

const spread = (compared: string, bound: string, predicate: string): string =>
  `%c = compare ${compared}, ${bound} {predicate = "${predicate}"} : tile<8xbool>
    %c_one = expand_dims %c {axis = 0} : tile<1x8xbool>
    %c_mask = broadcast %c_one : tile<4x8xbool>`;

test("a bound along one axis, beside a mask along the other", () => {
  const parts = "arange < splat, by expand_dims broadcast; row_mask";
  expect(partsOf(`${spread("%columns", "%bound", "lt")}\n%mask = and %row_mask, %c_mask : tile<4x8xbool>`)).toBe(parts);
  expect(partsOf(`${spread("%columns", "%bound", "lt")}\n%mask = and %c_mask, %row_mask : tile<4x8xbool>`)).toBe(parts);
});

test("of bounds along both axes that along the last one", () => {
  const rows = `%m = splat %n : tile<4xi32>
    %r = compare %rows, %m {predicate = "lt"} : tile<4xbool>
    %r_one = expand_dims %r {axis = 1} : tile<4x1xbool>
    %r_mask = broadcast %r_one : tile<4x8xbool>
    ${spread("%columns", "%bound", "lt")}`;
  const parts = "arange < splat, by expand_dims broadcast; r_mask";
  expect(partsOf(`${rows}\n%mask = and %r_mask, %c_mask : tile<4x8xbool>`)).toBe(parts);
  expect(partsOf(`${rows}\n%mask = and %c_mask, %r_mask : tile<4x8xbool>`)).toBe(parts);
  expect(partsOf(`${rows}\n%mask = and %r_mask, %row_mask : tile<4x8xbool>`)).toMatch(
    /by expand_dims broadcast; row_mask/,
  );
});

test("not another comparison, nor one with a bound of each element", () => {
  expect(partsOf(`${spread("%columns", "%bound", "ge")}\n%mask = and %row_mask, %c_mask : tile<4x8xbool>`)).toBe(
    "none",
  );
  expect(partsOf(`${spread("%bound", "%columns", "lt")}\n%mask = and %row_mask, %c_mask : tile<4x8xbool>`)).toBe(
    "none",
  );
});

test("not what only one of two sides asks for", () =>
  expect(partsOf(`${spread("%columns", "%bound", "lt")}\n%mask = or %row_mask, %c_mask : tile<4x8xbool>`)).toBe(
    "none",
  ));
