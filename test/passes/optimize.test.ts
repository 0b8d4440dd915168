/** The pipeline: what the passes do for each other, and what onPass tells. */
import { expect, test } from "vitest";
import { optimize } from "../../src/passes/index.ts";
import { expectPass, kernelOf, linesOf } from "./before-after.ts";

const parameters = "%x: view<f32, 2>, %out: view<f32, 2>";
/** A row softmax as the DSL writes it: constants again and again, a mask that is always true. */
const before = `
  %row = program_id {axis = 0} : i32
  %0 = constant 0 : i32
  %columns = arange {start = 0, end = 64} : tile<64xi32>
  %limit = constant 64 : i32
  %limits = splat %limit : tile<64xi32>
  %inside = compare %columns, %limits {predicate = "lt"} : tile<64xbool>
  %loaded = view_load %x, %row, %0 {inBounds = [true]} : tile<64xf32>
  %lowest = constant -inf : f32
  %lowestTile = splat %lowest : tile<64xf32>
  %masked = select %inside, %loaded, %lowestTile : tile<64xf32>
  %max = reduce %masked {axis = 0, kind = "max"} : f32
  %max1 = splat %max : tile<64xf32>
  %shifted = sub %masked, %max1 : tile<64xf32>
  %weights = exp2 %shifted : tile<64xf32>
  %sum = reduce %weights {axis = 0, kind = "sum"} : f32
  %sum1 = splat %sum : tile<64xf32>
  %1 = constant 0 : i32
  %result = div %weights, %sum1 : tile<64xf32>
  view_store %out, %result, %row, %1 {inBounds = [true]}`;

test("a row softmax keeps what it needs", () =>
  expectPass(
    optimize,
    parameters,
    before,
    `%row = program_id {axis = 0} : i32
     %0 = constant 0 : i32
     %loaded = view_load %x, %row, %0 {inBounds = [true]} : tile<64xf32>
     %max = reduce %loaded {axis = 0, kind = "max"} : f32
     %max1 = splat %max : tile<64xf32>
     %shifted = sub %loaded, %max1 : tile<64xf32>
     %weights = exp2 %shifted : tile<64xf32>
     %sum = reduce %weights {axis = 0, kind = "sum"} : f32
     %sum1 = splat %sum : tile<64xf32>
     %result = div %weights, %sum1 : tile<64xf32>
     view_store %out, %result, %row, %0 {inBounds = [true]}`,
  ));

test("onPass hears of each pass that changed something, and of the kernel after it", () => {
  const heard: string[] = [];
  let last = "";
  const result = optimize(kernelOf(parameters, before), {
    onPass(name, kernel) {
      heard.push(name);
      last = linesOf(kernel);
    },
  });
  expect(heard.slice(0, 2)).toEqual(["canonicalize", "ranges"]);
  expect(last).toBe(linesOf(result));
});

test("an optimized kernel is given back as it is", () => {
  const once = optimize(kernelOf(parameters, before));
  expect(optimize(once)).toBe(once);
});

test("names and source lines survive", () => {
  const location = { file: "softmax.ts", line: 3, column: 7 };
  const kernel = kernelOf(parameters, before);
  const placed = {
    ...kernel,
    body: {
      ...kernel.body,
      operations: kernel.body.operations.map((operation) => Object.assign(operation, { location })),
    },
  };
  expect(optimize(placed).body.operations.every((operation) => operation.location === location)).toBe(true);
});
