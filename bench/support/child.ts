/**
 * @file Runs a measurement in a fresh Node process: for cold starts, for one Vulkan driver a process, and because this process runs
 * through jiti, which rewrites what it loads. The child runs plain ECMAScript modules: the measuring file is bundled, packages stay
 * imports, and `tilewright` is the build in `dist/` that users get.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { build } from "esbuild";
import type { Answer } from "./measurement.ts";
import { projectDirectory } from "./project.ts";

export interface ChildOptions {
  /** Added to the environment. */
  readonly environment?: Readonly<Record<string, string>>;
  /** `source`: bundle the library's sources instead, for code that shares the tests' files, which import them. Default: `dist`. */
  readonly library?: "dist" | "source";
  readonly onProgress?: (message: string) => void;
}

const bundles = new Map<string, Promise<string>>();

/** Runs `bench/<file>`, which must call `serve`, on `input`. Rejects with the child's error, also when it crashes. */
export async function runChild<Result>(
  file: string,
  input: unknown,
  { environment = {}, library = "dist", onProgress = () => {} }: ChildOptions = {},
): Promise<Result> {
  const key = `${library} ${file}`;
  const code = bundles.get(key) ?? bundle(file, library);
  bundles.set(key, code);
  const child = spawn(process.execPath, ["--input-type=module"], {
    cwd: projectDirectory,
    env: { ...process.env, ...environment },
    stdio: ["pipe", "inherit", "inherit", "ipc"],
    // By structured clone: JSON would make null of NaN and infinity, and null is at most 1.
    serialization: "advanced",
  });
  const answer = answerOf<Result>(child, file, onProgress);
  child.stdin!.end(await code);
  child.send({ input });
  return answer;
}

async function bundle(file: string, library: "dist" | "source"): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(projectDirectory, "bench", file)],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "node20",
    packages: "external",
    // The project's tsconfig maps `tilewright` to the sources; without it, `tilewright` is a package.
    ...(library === "dist" ? { tsconfigRaw: {} } : {}),
  });
  return outputFiles[0]!.text;
}

function answerOf<Result>(child: ChildProcess, file: string, onProgress: (message: string) => void): Promise<Result> {
  return new Promise((resolve, reject) => {
    child.on("message", (message: Answer<Result>) => {
      if ("progress" in message) onProgress(message.progress);
      else if ("error" in message) reject(new Error(message.error));
      else resolve(message.result);
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => reject(new Error(`bench/${file} ended without an answer (${signal ?? code})`)));
  });
}
