/** How tests of passes are written: IR text before and after, both verified. */
import { expect } from "vitest";
import { type Kernel, parseKernel, printKernel, verifyKernel } from "../../src/ir/index.ts";

const indent = (lines: string): string =>
  lines
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join("\n");

/** A kernel around some lines of IR, whose parameters are written as in the text form. */
export const kernelOf = (parameters: string, lines: string): Kernel => {
  const kernel = parseKernel(`kernel k(${parameters})\n{\n${lines}\n}`);
  verifyKernel(kernel);
  return kernel;
};

/** The lines of a kernel's body, without indentation. */
export const linesOf = (kernel: Kernel): string => indent(printKernel(kernel).split("\n").slice(2, -2).join("\n"));

/** That `pass` turns the lines `before` into `after`; "unchanged": gives back the very kernel. */
export function expectPass(pass: (kernel: Kernel) => Kernel, parameters: string, before: string, after: string): void {
  const kernel = kernelOf(parameters, before);
  const result = pass(kernel);
  verifyKernel(result);
  if (after === "unchanged") expect(result === kernel, `expected no change, got\n${linesOf(result)}`).toBe(true);
  else expect(linesOf(result)).toBe(indent(after));
}
