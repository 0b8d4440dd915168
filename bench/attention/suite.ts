/**
 * @file Suite `attention`: the operator on every backend of this machine, each in a process of its own (a process has one Vulkan driver),
 * with cold shader caches, every result checked against f64; beside it gpu.js, timed in the same way.
 */
import type { Command } from "commander";
import { runChild } from "../support/child.ts";
import { oneOrMoreOf, positive, positiveInteger, positiveIntegers } from "../support/options.ts";
import { milliseconds, Report } from "../support/report.ts";
import type { BackendName, Measured, OursInput, OursResult, PeerInput } from "./measured.ts";
import { floatingPointOperations, isWrong, type Problem } from "./problem.ts";

const backendNames: readonly BackendName[] = ["hardware", "lavapipe", "swiftshader", "cpu"];

/** Mesa's and NVIDIA's shader caches on disk would make a first launch look like a second one. Dawn in Node and SwiftShader have none. */
const coldCaches = { MESA_SHADER_CACHE_DISABLE: "true", __GL_SHADER_DISK_CACHE: "0" };

/** gpu.js takes 13 seconds and more for N = 1024: its rows stop here. */
const longestPeerLength = 512;

interface Options {
  readonly backends: readonly BackendName[];
  readonly lengths: readonly number[];
  readonly heads: number;
  readonly headDim: number;
  readonly seconds: number;
  readonly peers: boolean;
  readonly json?: string;
}

interface Row extends Measured {
  readonly name: string;
  readonly device: string;
}

async function run({ backends, lengths, heads, headDim, seconds, peers, json }: Options): Promise<void> {
  const report = new Report("attention");
  const problems: Problem[] = [...lengths]
    .sort((a, b) => a - b)
    .flatMap((length) => [false, true].map((causal) => ({ length, heads, headDim, causal })));
  const onProgress = (message: string): void => report.progress(message);
  const rows: Row[] = [];
  const failures: string[] = [];
  const missing: Record<string, string> = {};
  for (const backend of backends) {
    const input: OursInput = { backend, problems, seconds };
    try {
      const result = await runChild<OursResult>("attention/ours.ts", input, { environment: coldCaches, onProgress });
      if ("missing" in result) missing[backend] = result.missing;
      else
        for (const measured of result.measured)
          rows.push({ name: `tilewright, ${backend}`, device: result.device, ...measured });
    } catch (error) {
      failures.push(`${backend}: ${error instanceof Error ? error.message : error}`);
    }
  }
  if (peers) {
    const input: PeerInput = { problems: problems.filter(({ length }) => length <= longestPeerLength), seconds };
    const result = await runChild<Measured[]>("attention/gpu-js.ts", input, { onProgress });
    for (const measured of result) rows.push({ name: "gpu.js, CPU mode", device: "V8", ...measured });
  }

  for (const causal of [false, true]) {
    const shown = rows.filter((row) => row.causal === causal);
    report.table(
      [
        causal ? "causal" : "not causal",
        "N",
        "first ms",
        "CPU ms",
        "best ms",
        "median ms",
        "CPU ms",
        "runs",
        "GFLOP/s",
        "gpu.js / this",
        "rel. L2",
        "error / allowed",
        "",
      ],
      shown.map((row) => tableRow(row, peerOf(row, shown))),
    );
  }
  for (const [name, device] of new Map(rows.map((row) => [row.name, row.device]))) report.note(`${name}: ${device}`);
  for (const [backend, reason] of Object.entries(missing)) report.note(`${backend} is not here: ${reason}`);
  report.note(
    [
      `f32, B = 1, H = ${heads}, D = ${headDim}. GFLOP/s: 4·N²·D·H operations, half of them when causal, over the best time. First: a call with`,
      "cold shader caches, with compilation from the DSL and pipeline creation. CPU: of one call, on all processors together; over their",
      "number, about what a software adapter takes on an idle machine. Accuracy: against f64 on 65 rows of each head.",
    ].join("\n"),
  );
  failures.push(
    ...rows
      .filter(isWrong)
      .map(({ name, length, causal }) => `${name}: N = ${length}, ${causal ? "" : "not "}causal, is WRONG`),
  );
  report.finish({ rows, missing }, { json, failures });
}

const peerOf = ({ length }: Row, rows: readonly Row[]): Row | undefined =>
  rows.find((row) => row.name.startsWith("gpu.js") && row.length === length);

function tableRow(row: Row, peer: Row | undefined): string[] {
  return [
    row.name,
    String(row.length),
    row.first === undefined ? "" : milliseconds(row.first),
    row.firstProcessor === undefined ? "" : milliseconds(row.firstProcessor),
    milliseconds(row.best),
    milliseconds(row.median),
    milliseconds(row.processor),
    String(row.runs),
    (floatingPointOperations(row) / row.best / 1e6).toPrecision(3),
    peer === undefined ? "" : (peer.best / row.best).toPrecision(3),
    row.relativeL2.toExponential(1),
    (row.largestError / row.allowedError).toPrecision(2),
    isWrong(row) ? "WRONG" : "ok",
  ];
}

export function addAttention(program: Command): void {
  program
    .command("attention")
    .description("first launch and GFLOP/s of attention on every backend here, checked against f64, beside gpu.js")
    .option("--backends <list>", backendNames.join(","), oneOrMoreOf(backendNames), backendNames)
    .option("--lengths <list>", "N: queries and keys", positiveIntegers, [512, 2048])
    .option("--heads <count>", "H", positiveInteger, 8)
    .option("--head-dim <size>", "D", positiveInteger, 64)
    .option("--seconds <seconds>", "to spend on each timing, about", positive, 5)
    .option("--no-peers", "without gpu.js")
    .option("--json <file>", "also write the results here")
    .action(run);
}
