/** Common subexpressions: what is computed twice, and what only looks so. */
import { describe, test } from "vitest";
import { eliminateCommonSubexpressions } from "../../src/passes/index.ts";
import { expectPass } from "./before-after.ts";

const parameters = "%x: f32, %y: f32, %i: i32, %c: bool, %p: ptr<f32>";
const becomes = (before: string, after: string): void =>
  expectPass(eliminateCommonSubexpressions, parameters, before, after);

describe("pure operations", () => {
  test("repeats, also in another order of a commutative operation, and what follows from them", () =>
    becomes(
      `%a = add %x, %y : f32
       %b = add %y, %x : f32
       %m = mul %a, %x : f32
       %n = mul %b, %x : f32
       %d = sub %x, %y : f32
       %e = sub %y, %x : f32
       print %m, %n, %d, %e {prefix = ""}`,
      `%a = add %x, %y : f32
       %m = mul %a, %x : f32
       %d = sub %x, %y : f32
       %e = sub %y, %x : f32
       print %m, %m, %d, %e {prefix = ""}`,
    ));

  test("attributes tell operations apart", () =>
    becomes(
      `%a = constant 0 : f32
       %b = constant -0 : f32
       %h = constant 0 : f16
       %s = constant 0 : tile<4xf32>
       %l = compare %x, %y {predicate = "lt"} : bool
       %g = compare %x, %y {predicate = "gt"} : bool
       print %a, %b, %h, %s, %l, %g {prefix = ""}`,
      "unchanged",
    ));

  test("an enclosing block's values are seen inside, those of one arm not in the other nor after", () =>
    becomes(
      `%a = neg %x : f32
       %r = if %c {
         %b = neg %x : f32
         %e = exp2 %y : f32
         %t = add %b, %e : f32
         yield %t
       } else {
         %f = exp2 %y : f32
         yield %f
       }
       %g = exp2 %y : f32
       print %a, %r, %g {prefix = ""}`,
      `%a = neg %x : f32
       %r = if %c {
         %e = exp2 %y : f32
         %t = add %a, %e : f32
         yield %t
       } else {
         %f = exp2 %y : f32
         yield %f
       }
       %g = exp2 %y : f32
       print %a, %r, %g {prefix = ""}`,
    ));

  test("atomics and prints repeat on purpose", () =>
    becomes(
      `%a = atomic_rmw %p, %x {kind = "add"} : f32
       %b = atomic_rmw %p, %x {kind = "add"} : f32
       print %a, %b {prefix = ""}
       print %a, %b {prefix = ""}`,
      "unchanged",
    ));
});

describe("loads", () => {
  test("with nothing written in between are one", () =>
    becomes(
      `%a = load %p : f32
       print %a {prefix = ""}
       %b = load %p : f32
       print %b {prefix = ""}`,
      `%a = load %p : f32
       print %a {prefix = ""}
       print %a {prefix = ""}`,
    ));

  test("across a store are two", () =>
    becomes(
      `%a = load %p : f32
       store %p, %x
       %b = load %p : f32
       print %a, %b {prefix = ""}`,
      "unchanged",
    ));

  test("across an if that may store are two; inside, up to the store, one", () =>
    becomes(
      `%a = load %p : f32
       if %c {
         %d = load %p : f32
         store %p, %d
         %e = load %p : f32
         print %e {prefix = ""}
         yield
       } else {
         %f = load %p : f32
         print %f {prefix = ""}
         yield
       }
       %b = load %p : f32
       print %a, %b {prefix = ""}`,
      `%a = load %p : f32
       if %c {
         store %p, %a
         %e = load %p : f32
         print %e {prefix = ""}
         yield
       } else {
         print %a {prefix = ""}
         yield
       }
       %b = load %p : f32
       print %a, %b {prefix = ""}`,
    ));

  test("in a loop that stores later in its block see the earlier rounds", () =>
    becomes(
      `%a = load %p : f32
       loop %n = %i to %i step %i {
         %b = load %p : f32
         %s = add %a, %b : f32
         store %p, %s
         yield
       }`,
      "unchanged",
    ));

  test("in a loop that writes nothing are those before it", () =>
    becomes(
      `%a = load %p : f32
       loop %n = %i to %i step %i {
         %b = load %p : f32
         print %b {prefix = ""}
         yield
       }
       %d = load %p : f32
       print %d {prefix = ""}`,
      `%a = load %p : f32
       loop %n = %i to %i step %i {
         print %a {prefix = ""}
         yield
       }
       print %a {prefix = ""}`,
    ));
});
