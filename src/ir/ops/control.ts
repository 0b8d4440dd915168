/**
 * @file Loops, branches and what only debugging needs.
 */
import type { Block } from "../ir.ts";
import { sameType, tileType, typeToString, type ValueType } from "../types.ts";
import type { OpDefinition } from "./definition.ts";
import { fail, index, requireDtype, show } from "./rules.ts";

export const controlOperations = {
  print: {
    summary: "Prints the prefix, the program id and the values",
    operands: ["values..."],
    attributes: { prefix: "string" },
    effect: "debug",
    infer: () => [],
  },
  assert: {
    summary: "Reports `message` with the program id where an element of the condition is false",
    operands: ["condition"],
    attributes: { message: "string" },
    effect: "debug",
    infer([condition]) {
      requireDtype([condition!], (d) => d === "bool", "bool");
      return [];
    },
  },

  loop: {
    summary:
      "for (i = from; i < to; i += step) with carried values. The block takes (i, ...carried) and yields the next ones, and then, if it likes, a bool: where that is false, no turn follows. The results are the last ones",
    operands: ["from", "to", "step", "initial..."],
    attributes: {},
    effect: "control",
    blocks: 1,
    infer([from, to, step, ...initial], _, blocks) {
      for (const [what, type] of Object.entries({ from, to, step })) index(type!, what);
      checkSameTypes(
        blocks[0]!.parameters.map((value) => value.type),
        [tileType("i32"), ...initial],
        "the parameters of a loop's block",
      );
      const yielded = yieldedTypes(blocks[0]);
      const conditional = yielded.length === initial.length + 1 ? [tileType("bool")] : [];
      checkSameTypes(yielded, [...initial, ...conditional], "the values yielded by a loop");
      return initial;
    },
  },
  if: {
    summary:
      "Runs the first block where the scalar condition is true, else the second; the results are what that block yields",
    operands: ["condition"],
    attributes: {},
    effect: "control",
    blocks: 2,
    infer([condition], _, blocks) {
      if (!sameType(condition!, tileType("bool")))
        fail(
          "TYPE_MISMATCH",
          `the condition of if must be a bool scalar, but is ${typeToString(condition!)}; use select (tl.where) for tiles`,
        );
      for (const block of blocks)
        checkSameTypes(
          block.parameters.map((value) => value.type),
          [],
          "the parameters of an arm of if",
        );
      const types = yieldedTypes(blocks[0]);
      checkSameTypes(yieldedTypes(blocks[1]), types, "the values yielded by the two arms of if");
      return types;
    },
  },
  yield: {
    summary: "Ends a block of loop or if with its values",
    operands: ["values..."],
    attributes: {},
    effect: "terminator",
    infer: () => [],
  },
} satisfies Record<string, OpDefinition>;

function yieldedTypes(block: Block | undefined): readonly ValueType[] {
  const last = block?.operations.at(-1);
  return last?.opcode === "yield"
    ? last.operands.map((value) => value.type)
    : fail("TERMINATOR", "a block of loop or if must end with yield");
}

function checkSameTypes(actual: readonly ValueType[], expected: readonly ValueType[], what: string): void {
  if (actual.length !== expected.length || !actual.every((type, i) => sameType(type, expected[i]!)))
    fail("TYPE_MISMATCH", `${what}: expected (${show(expected)}), got (${show(actual)})`);
}
