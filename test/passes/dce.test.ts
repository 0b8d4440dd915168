/** Dead code: what nothing needs goes, whatever is seen from outside stays. */
import { test } from "vitest";
import { eliminateDeadCode } from "../../src/passes/index.ts";
import { expectPass } from "./before-after.ts";

const parameters = "%x: f32, %i: i32, %c: bool, %p: ptr<f32>";
const becomes = (before: string, after: string): void => expectPass(eliminateDeadCode, parameters, before, after);

test("chains of unused pure operations and loads", () =>
  becomes(
    `%a = neg %x : f32
     %b = exp2 %a : f32
     %l = load %p : f32
     %used = abs %a : f32
     store %p, %used`,
    `%a = neg %x : f32
     %used = abs %a : f32
     store %p, %used`,
  ));

test("atomics, prints and asserts stay", () =>
  becomes(
    `%old = atomic_rmw %p, %x {kind = "add"} : f32
     assert %c {message = "m"}
     print {prefix = "here"}`,
    "unchanged",
  ));

test("a loop and an if that do nothing", () =>
  becomes(
    `%s = loop %n = %i to %i step %i with (%t = %x) {
       %u = load %p : f32
       %v = add %t, %u : f32
       yield %v
     }
     if %c {
       %w = neg %s : f32
       yield
     } else {
       yield
     }
     store %p, %x`,
    "store %p, %x",
  ));

test("carried values that only feed themselves or each other, initial values included", () =>
  becomes(
    `%k = constant 1 : i32
     %one = constant 1 : f32
     %a0 = neg %x : f32
     %sum, %a, %b, %last = loop %n = %i to %i step %k with (%sum#1 = %x, %a#1 = %a0, %b#1 = %x, %last#1 = %x) {
       %next = add %sum#1, %one : f32
       %a1 = add %b#1, %one : f32
       %b1 = mul %a#1, %one : f32
       yield %next, %a1, %b1, %next
     }
     store %p, %sum`,
    `%k = constant 1 : i32
     %one = constant 1 : f32
     %sum = loop %n = %i to %i step %k with (%sum#1 = %x) {
       %next = add %sum#1, %one : f32
       yield %next
     }
     store %p, %sum`,
  ));

test("a carried value that a store inside needs stays, though its result is unused", () =>
  becomes(
    `%s, %dead = loop %n = %i to %i step %i with (%s#1 = %x, %dead#1 = %x) {
       store %p, %s#1
       %t = neg %s#1 : f32
       yield %t, %t
     }`,
    `%s = loop %n = %i to %i step %i with (%s#1 = %x) {
       store %p, %s#1
       %t = neg %s#1 : f32
       yield %t
     }`,
  ));

test("unused results of an if, through nested blocks", () =>
  becomes(
    `%a, %b = if %c {
       %d = neg %x : f32
       %e = exp2 %x : f32
       yield %d, %e
     } else {
       %f, %g = if %c {
         yield %x, %x
       } else {
         %h = abs %x : f32
         yield %x, %h
       }
       yield %f, %g
     }
     store %p, %a`,
    `%a = if %c {
       %d = neg %x : f32
       yield %d
     } else {
       %f = if %c {
         yield %x
       } else {
         yield %x
       }
       yield %f
     }
     store %p, %a`,
  ));

test("a loop with a write keeps the condition on which it goes on, and what that is made of", () =>
  becomes(
    `%zero = constant 0 : i32
     %a, %b = loop %j = %zero to %i step %i with (%g = %x, %d = %x) {
       %e = neg %g : f32
       %f = compare %e, %x {predicate = "lt"} : bool
       store %p, %x
       yield %e, %d, %f
     }`,
    `%zero = constant 0 : i32
     %a = loop %j = %zero to %i step %i with (%g = %x) {
       %e = neg %g : f32
       %f = compare %e, %x {predicate = "lt"} : bool
       store %p, %x
       yield %e, %f
     }`,
  ));

test("an if with a write keeps its condition", () =>
  becomes(
    `%d = not %c : bool
     if %d {
       store %p, %x
       yield
     } else {
       yield
     }`,
    "unchanged",
  ));
