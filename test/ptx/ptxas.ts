/** @file Assembles PTX with NVIDIA's ptxas, where it is on the PATH. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";

/** Why tests that need ptxas are skipped; undefined where it is there. */
export const noAssembler: string | undefined = (() => {
  try {
    execFileSync("ptxas", ["--version"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "ptxas is not on the PATH";
  }
})();

/** A suite that needs ptxas; where that is missing, its title says so. */
export function describeWithAssembler(title: string, suite: () => void): void {
  describe.skipIf(noAssembler)(noAssembler ? `${title} (skipped: ${noAssembler})` : title, suite);
}

/** The assembler's report (`-v`). Throws its messages on an error or a warning. */
export function assemble(source: string): string {
  const folder = mkdtempSync(join(tmpdir(), "tilewright-"));
  try {
    const file = join(folder, "kernel.ptx");
    writeFileSync(file, source);
    const { stderr, status } = spawnSync("ptxas", ["-v", "-arch=sm_80", file, "-o", join(folder, "kernel.cubin")], {
      encoding: "utf8",
    });
    if (status !== 0 || /warning|error/i.test(stderr)) throw new Error(`ptxas: ${stderr}`);
    return stderr;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
