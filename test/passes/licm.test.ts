/** Loop-invariant code: what moves out of loops, how far, and what must not. */
import { test } from "vitest";
import { hoistLoopInvariants } from "../../src/passes/index.ts";
import { expectPass } from "./before-after.ts";

const parameters = "%x: f32, %i: i32, %c: bool, %p: ptr<f32>";
const becomes = (before: string, after: string): void => expectPass(hoistLoopInvariants, parameters, before, after);

test("chains of invariant operations, in order", () =>
  becomes(
    `loop %n = %i to %i step %i {
       %a = neg %x : f32
       %v = cast %n : f32
       %b = exp2 %a : f32
       %d = add %b, %v : f32
       store %p, %d
       yield
     }`,
    `%a = neg %x : f32
     %b = exp2 %a : f32
     loop %n = %i to %i step %i {
       %v = cast %n : f32
       %d = add %b, %v : f32
       store %p, %d
       yield
     }`,
  ));

test("through as many loops as possible", () =>
  becomes(
    `loop %n = %i to %i step %i {
       loop %m = %i to %i step %i {
         %a = add %i, %i : i32
         %b = add %a, %n : i32
         %d = add %b, %m : i32
         print %d {prefix = ""}
         yield
       }
       yield
     }`,
    `%a = add %i, %i : i32
     loop %n = %i to %i step %i {
       %b = add %a, %n : i32
       loop %m = %i to %i step %i {
         %d = add %b, %m : i32
         print %d {prefix = ""}
         yield
       }
       yield
     }`,
  ));

test("not out of an if: what one arm computes may never be needed", () =>
  becomes(
    `loop %n = %i to %i step %i {
       if %c {
         %a = exp2 %x : f32
         print %a {prefix = ""}
         yield
       } else {
         yield
       }
       yield
     }`,
    "unchanged",
  ));

const loop = (to: number, body: string): string =>
  `%zero = constant 0 : i32\n%to = constant ${to} : i32\nloop %n = %zero to %to step %i {\n${body}\nyield\n}`;
const load = "%a = load %p : f32";
const use = '%v = cast %n : f32\n%b = add %a, %v : f32\nprint %b {prefix = ""}';

test("a load out of a loop that runs and writes nothing", () =>
  becomes(
    loop(4, `${load}\n${use}`),
    `%zero = constant 0 : i32\n%to = constant 4 : i32\n${load}\nloop %n = %zero to %to step %i {\n${use}\nyield\n}`,
  ));
test("a load stays in a loop that may not run", () => becomes(loop(0, `${load}\n${use}`), "unchanged"));
test("a load stays in a loop that writes", () => becomes(loop(4, `${load}\n${use}\nstore %p, %b`), "unchanged"));
test("a promise stays in a loop that may not run", () =>
  becomes(loop(0, '%a = multiple_of %i {divisor = 8} : i32\nprint %a {prefix = ""}'), "unchanged"));
