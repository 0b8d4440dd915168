/** @file How a suite reports: a table with its surroundings on standard output, and all of it as JSON in a file. */
import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import Table from "cli-table3";
import { describeEnvironment, type Environment } from "./environment.ts";

const noRowRules = { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" };

/** A suite's run: made when it begins, so that the load average is that of the beginning. */
export class Report {
  readonly suite: string;
  readonly environment: Environment = describeEnvironment();

  constructor(suite: string) {
    this.suite = suite;
    const { processor, processors, node, revision, date } = this.environment;
    console.log(`${suite}: ${processor}, ${processors} processors, Node ${node}, revision ${revision}, ${date}`);
  }

  /** Says on standard error what is going on, for suites that take minutes. */
  progress(message: string): void {
    console.error(`  ${message}`);
  }

  table(head: readonly string[], rows: readonly (readonly string[])[]): void {
    const table = new Table({ head: [...head], style: { head: [], border: [] }, chars: noRowRules });
    for (const row of rows) table.push([...row]);
    console.log(table.toString());
  }

  note(message: string): void {
    console.log(message);
  }

  /** Ends the run: load averages, the JSON file, and the exit code. */
  finish(results: unknown, { json, failures = [] }: { json?: string; failures?: readonly string[] }): void {
    const loadAverageAtEnd = loadavg();
    const show = (averages: readonly number[]): string => averages.map((value) => value.toFixed(1)).join(" ");
    console.log(`load average: ${show(this.environment.loadAverage)} before, ${show(loadAverageAtEnd)} after`);
    if (json !== undefined) {
      const all = { suite: this.suite, environment: { ...this.environment, loadAverageAtEnd }, results, failures };
      writeFileSync(json, `${JSON.stringify(all, undefined, 2)}\n`);
      console.log(`written: ${json}`);
    }
    for (const failure of failures) console.error(`failed: ${failure}`);
    if (failures.length > 0) process.exitCode = 1;
  }
}

/** Milliseconds with three digits that mean something. */
export function milliseconds(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
