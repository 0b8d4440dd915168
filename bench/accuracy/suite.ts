import type { Command } from "commander";
export function addAccuracy(_program: Command): void {}
