/**
 * @file For `npm run bench -- operators`: writes down how large the error of a checked result was, as a share of the allowed one, where
 * TILEWRIGHT_SHARES names a file. Tests judge by themselves; without the variable this does nothing.
 */
import { appendFileSync } from "node:fs";
import { expect } from "vitest";

const file = process.env.TILEWRIGHT_SHARES;

/** `result`: what was checked, where the test's name does not say. */
export function recordShare(share: number, result = ""): void {
  if (file === undefined) return;
  const { currentTestName: test, testPath } = expect.getState();
  // JSON has no infinity: what is no number is beyond any share.
  appendFileSync(
    file,
    `${JSON.stringify({ test, path: testPath, result, share: Number.isFinite(share) ? share : 1e9 })}\n`,
  );
}
