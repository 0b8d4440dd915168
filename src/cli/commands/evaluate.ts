/** @file `tilewright evaluate`: measures of a checkpoint under different position schemes, a subcommand each. */
import type { Command } from "commander";
import { addEvaluateAttention } from "./evaluate-attention.ts";
import { addEvaluatePerplexity } from "./evaluate-perplexity.ts";
import { addEvaluateRetrieval } from "./evaluate-retrieval.ts";

export function addEvaluate(program: Command): void {
  const evaluate = program.command("evaluate").description("measure how an Aquila2 checkpoint reads long texts");
  for (const add of [addEvaluatePerplexity, addEvaluateRetrieval, addEvaluateAttention]) add(evaluate);
}
