/**
 * @file `tilewright demo`: the whole way once: compiles memory-efficient attention to PTX and WGSL, runs it on the best device found,
 * compares with attention in f64, then lets the small Aquila2 continue a prompt. Exit code 1 when anything is off.
 */
import { fileURLToPath } from "node:url";
import Table from "cli-table3";
import type { Command } from "commander";
import { Listr } from "listr2";
import { loadAquila2 } from "../../models/aquila2/index.ts";
import { type Backend, createDevice, type Device } from "../../runtime/index.ts";
import { type AttentionCheck, checkAttention, demoCases } from "../demo/check-attention.ts";
import { type CompiledSummary, compileAttention } from "../demo/compile-attention.ts";

const bundledModel = fileURLToPath(new URL("../../../test/fixtures/aquila2-tiny", import.meta.url));

interface Options {
  readonly backend: Backend | "auto";
  readonly model: string;
  readonly prompt: string;
}

interface Findings {
  device?: Device;
  readonly compiled: CompiledSummary[];
  readonly checks: AttentionCheck[];
  continuation: string;
}

export function addDemo(program: Command): void {
  program
    .command("demo")
    .description("compile attention, run it on the best device found, compare with f64, and let a small Aquila2 write")
    .option("--backend <name>", "auto | webgpu | cpu", "auto")
    .option("--model <directory>", "an Aquila2 checkpoint", bundledModel)
    .option("--prompt <text>", "what the model continues", "And God said unto Moses, ")
    .action(async (options: Options) => {
      const findings: Findings = { compiled: [], checks: [], continuation: "" };
      await steps(options, findings).run();
      report(options, findings);
      findings.device?.dispose();
    });
}

const steps = (options: Options, findings: Findings): Listr =>
  new Listr(
    [
      {
        title: "Compile memory-efficient attention to PTX (sm_80) and WGSL",
        task: (_, task) => {
          findings.compiled.push(...compileAttention());
          const times = findings.compiled.map(
            ({ target, milliseconds }) => `${target} in ${milliseconds.toFixed(0)} ms`,
          );
          task.title = `Compiled attention: ${times.join(", ")}`;
        },
      },
      {
        title: "Open the best device",
        task: async (_, task) => {
          findings.device = await createDevice({ backend: options.backend });
          task.title = `Device: ${findings.device.backend}, ${findings.device.name}`;
        },
      },
      {
        title: "Run attention and compare with f64",
        task: async (_, task) => {
          for (const [i, attention] of demoCases.entries()) {
            task.output = `${i + 1}/${demoCases.length}: ${attention.title}`;
            findings.checks.push(await checkAttention(findings.device!, attention));
          }
        },
      },
      {
        title: "Let the small Aquila2 continue a prompt",
        task: async (_, task) => {
          const model = await loadAquila2(options.model, { device: findings.device! });
          for await (const { text } of model.generate(options.prompt, { maxNewTokens: 32, temperature: 0 })) {
            findings.continuation += text;
            if (process.stdout.isTTY) task.output = findings.continuation;
          }
        },
      },
    ],
    { concurrent: false, fallbackRenderer: "simple" },
  );

function report({ prompt }: Options, { compiled, checks, continuation }: Findings): void {
  const targets = new Table({ head: ["target", "lines", "bytes", "shared memory", "threads", "ms"] });
  for (const { target, lines, bytes, sharedMemory, threads, milliseconds } of compiled)
    targets.push([target, lines, bytes, sharedMemory, threads, milliseconds.toFixed(1)]);
  console.log(targets.toString());

  const accuracy = new Table({ head: ["attention", "largest error", "allowed", "first call", "then", ""] });
  for (const { title, error, allowed, firstMilliseconds, milliseconds, passed } of checks)
    accuracy.push([
      title,
      error.toExponential(2),
      allowed.toExponential(2),
      `${firstMilliseconds.toFixed(0)} ms`,
      `${milliseconds.toFixed(1)} ms`,
      passed ? "ok" : "WRONG",
    ]);
  console.log(accuracy.toString());
  console.log(`Aquila2 continues: ${prompt}${continuation}`);

  const wrong = checks.filter(({ passed }) => !passed).length;
  if (wrong > 0 || continuation.length === 0) {
    console.error(wrong > 0 ? `${wrong} of ${checks.length} results are off.` : "The model wrote nothing.");
    process.exitCode = 1;
  } else console.log("Everything agrees with f64.");
}
