/** @file What a figure depends on besides the code: machine, Node, revision, and how busy the machine was. */
import { execFileSync } from "node:child_process";
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import { projectDirectory } from "./project.ts";

export interface Environment {
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly processor: string;
  readonly processors: number;
  readonly memoryBytes: number;
  readonly platform: string;
  readonly node: string;
  /** Of git, with "+" where files differ from it; "unknown" outside a repository. */
  readonly revision: string;
  /** Over 1, 5 and 15 minutes, when the suite began. */
  readonly loadAverage: readonly number[];
}

export function describeEnvironment(): Environment {
  return {
    date: new Date().toISOString(),
    processor: cpus()[0]?.model.trim() ?? "unknown",
    processors: availableParallelism(),
    memoryBytes: totalmem(),
    platform: `${process.platform} ${process.arch}`,
    node: process.versions.node,
    revision: revision(),
    loadAverage: loadavg(),
  };
}

function revision(): string {
  const git = (...words: string[]): string =>
    execFileSync("git", words, { cwd: projectDirectory, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    return git("rev-parse", "--short", "HEAD") + (git("status", "--porcelain", "--", "src") === "" ? "" : "+");
  } catch {
    return "unknown";
  }
}
