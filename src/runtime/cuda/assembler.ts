/**
 * @file NVIDIA's assembler `ptxas`, where it is installed: PTX text to a cubin, with what it says of registers and spills.
 */
import { CompileError } from "../../support/errors.ts";
import type { Optional } from "../node/modules.ts";
import { isNode, nodeModules } from "../node/modules.ts";
import { findProgram } from "../node/programs.ts";

export interface Assembler {
  readonly path: string;
  /** As it prints it, for example "release 13.0, V13.0.88". */
  readonly version: string;
}

/** Finds `ptxas` on the PATH and in CUDA's usual directory. */
export async function ptxas(): Promise<Optional<Assembler>> {
  if (!isNode) return { reason: "a page cannot run ptxas" };
  const found = await findProgram(["ptxas"], ["/usr/local/cuda/bin"]);
  if (found === undefined)
    return { reason: "ptxas is not on the PATH (it comes with the CUDA toolkit; only needed to check PTX)" };
  const { childProcess } = await nodeModules();
  const run = childProcess.spawnSync(found, ["--version"], { encoding: "utf8", timeout: 10_000 });
  const version = /release .*/.exec(run.stdout ?? "")?.[0];
  return version === undefined
    ? { reason: `${found} does not run: ${run.error?.message ?? run.stderr}` }
    : { value: { path: found, version } };
}

const resources = /(\d+) bytes spill stores, (\d+) bytes spill loads[\s\S]*?Used (\d+) registers/;

export interface Assembled {
  readonly cubin: Uint8Array;
  /** Registers of a thread. */
  readonly registers: number;
  /** Bytes of registers written to and read from local memory. */
  readonly spills: { readonly stores: number; readonly loads: number };
  /** Warnings of the assembler, one a line. */
  readonly warnings: readonly string[];
}

/**
 * Assembles PTX of one kernel for `target`, for example "sm_80". With `lineInfo` the cubin also says which of the author's lines each
 * instruction is for; the instructions are the same.
 * @throws CompileError `PTXAS` with the assembler's messages.
 */
export async function assemblePtx(
  { path }: Assembler,
  source: string,
  target: string,
  { lineInfo = false }: { readonly lineInfo?: boolean } = {},
): Promise<Assembled> {
  const { childProcess, fs, os, path: paths } = await nodeModules();
  const folder = fs.mkdtempSync(paths.join(os.tmpdir(), "tilewright-"));
  try {
    const [input, output] = ["kernel.ptx", "kernel.cubin"].map((name) => paths.join(folder, name)) as [string, string];
    fs.writeFileSync(input, source);
    const messages = await new Promise<string>((resolve, reject) => {
      const options = ["-v", `-arch=${target}`, ...(lineInfo ? ["-lineinfo"] : [])];
      childProcess.execFile(path, [...options, input, "-o", output], (error, _, stderr) => {
        if (error) reject(new CompileError("PTXAS", `ptxas refuses the PTX: ${stderr.trim() || error.message}`));
        else resolve(stderr);
      });
    });
    const [, stores, loads, registers] = resources.exec(messages) ?? [];
    if (registers === undefined)
      throw new CompileError("PTXAS", `ptxas does not say what the kernel uses: "${messages.trim()}"`);
    return {
      cubin: fs.readFileSync(output),
      registers: Number(registers),
      spills: { stores: Number(stores), loads: Number(loads) },
      warnings: messages.split("\n").filter((line) => /warning/i.test(line)),
    };
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}
