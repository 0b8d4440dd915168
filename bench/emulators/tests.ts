/**
 * @file Tests that run kernels as PTX (operators, variants, models, trials and examples), with every launch in both emulators: test/ptx/device.ts writes
 * down what each found. Their shapes are small (heads of 8 to 48 channels), so bank conflicts are counted in the table but are no failures.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { faultsOfLaunch, type LaunchResult } from "../../test/ptx/both.ts";
import { projectDirectory } from "../support/project.ts";
import type { JudgedTests } from "./measured.ts";

/** By folder; the problems of clean-ptx.ts run by themselves. */
const chosen: Readonly<Record<string, RegExp>> = {
  "test/kernels": /^(?!clean-).*ptx\.test\.ts$|^flag-attention-grid\.test\.ts$/,
  "test/models": /ptx\.test\.ts$/,
  "test/trials": /\.test\.ts$/,
  "test/examples": /\.test\.ts$/,
};

/** Files of tests, from the project's directory. */
export const testFiles = (): readonly string[] =>
  Object.entries(chosen).flatMap(([folder, pattern]) =>
    readdirSync(join(projectDirectory, folder))
      .filter((file) => pattern.test(file))
      .sort()
      .map((file) => `${folder}/${file}`),
  );

/** Runs a file's tests; those of trials that run as PTX. */
export async function runTests(file: string): Promise<JudgedTests> {
  const directory = mkdtempSync(join(tmpdir(), "tilewright-launches-"));
  const written = join(directory, "launches.jsonl");
  const only = file.startsWith("test/trials") ? ["-t", "PTX"] : [];
  const code = await new Promise<number | null>((resolve) => {
    const child = spawn("npx", ["vitest", "run", file, "--reporter", "dot", "--testTimeout", "600000", ...only], {
      cwd: projectDirectory,
      env: { ...process.env, TILEWRIGHT_LAUNCHES: written },
      stdio: ["ignore", 2, 2],
    });
    child.on("exit", resolve);
  });
  const lines = existsSync(written) ? readFileSync(written, "utf8").trim().split("\n") : [];
  rmSync(directory, { recursive: true });
  const launches = lines.map((line) => JSON.parse(line) as LaunchResult);
  const faults = launches.flatMap(faultsOfLaunch).map((fault) => `${file}: ${fault}`);
  return { file, launches, faults: code === 0 ? faults : [...faults, `${file}: tests failed, see above`] };
}
