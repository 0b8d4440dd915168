/** NVIDIA's assembler, for the tests that need it. */
import { describe, expect } from "vitest";
import { type Assembled, assemblePtx, ptxas } from "../../src/runtime/cuda/assembler.ts";

const assembler = await ptxas();

/** A suite that needs ptxas; where that is missing, its title says so. */
export function describeWithAssembler(title: string, suite: () => void): void {
  const missing = "reason" in assembler ? assembler.reason : undefined;
  describe.skipIf(missing)(missing ? `${title} (skipped: ${missing})` : title, suite);
}

/** Assembles PTX for sm_80; fails on an error or a warning. */
export async function assemble(source: string, options?: { readonly lineInfo: boolean }): Promise<Assembled> {
  if ("reason" in assembler) throw new Error(assembler.reason);
  const assembled = await assemblePtx(assembler.value, source, "sm_80", options);
  expect(assembled.warnings).toEqual([]);
  return assembled;
}

export const noSpills = { stores: 0, loads: 0 };
