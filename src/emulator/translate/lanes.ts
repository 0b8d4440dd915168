/**
 * @file Operations without a side effect but their result: a function fills a row for all lanes; where only some are active it fills a
 * scratch row, and theirs are copied. So arithmetic never looks at masks.
 */
import { ALL_LANES, LANES, type Registers, SCRATCH } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";

/** Computes the row that starts at word `target`. Must not read lanes of `target` other than the one it computes. */
export type Fill = (registers: Registers, target: number) => void;

export function writing(target: number, bits: number, fill: Fill): Operation {
  return bits === 64 ? writing64(target, fill) : writing32(target, fill);
}

export function writing32(target: number, fill: Fill): Operation {
  return ({ registers }, mask) => {
    if (mask === ALL_LANES) {
      fill(registers, target);
      return;
    }
    fill(registers, SCRATCH);
    const { i } = registers;
    for (let lane = 0; lane < LANES; lane++) if ((mask >>> lane) & 1) i[target + lane] = i[SCRATCH + lane]!;
  };
}

export function writing64(target: number, fill: Fill): Operation {
  return ({ registers }, mask) => {
    if (mask === ALL_LANES) {
      fill(registers, target);
      return;
    }
    fill(registers, SCRATCH);
    const { i } = registers;
    for (let lane = 0; lane < LANES; lane++)
      if ((mask >>> lane) & 1) {
        i[target + 2 * lane] = i[SCRATCH + 2 * lane]!;
        i[target + 2 * lane + 1] = i[SCRATCH + 2 * lane + 1]!;
      }
  };
}

/** Sets the bits of `mask` in a predicate; -1 is `_`. */
export function setPredicate({ predicates }: Registers, index: number, mask: number, bits: number): void {
  if (index >= 0) predicates[index] = (predicates[index]! & ~mask) | (bits & mask);
}
