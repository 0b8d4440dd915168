/** @file Times a call with the package `benchmark`, in the same way for our kernels and for the peers. */
import Benchmark from "benchmark";
import { median } from "../support/statistics.ts";

/** Milliseconds a call. `runs` counts the samples behind them (a sample of a fast call is the mean of several). */
export interface Timing {
  readonly best: number;
  readonly median: number;
  readonly runs: number;
  /** Mean of a call on all processors together. On a software adapter, this over the number of processors is the time of an idle machine. */
  readonly processor: number;
}

export interface TimingOptions {
  /** Seconds to spend, about. A call that takes longer by itself is timed once. */
  readonly seconds: number;
}

/** `call` must have been called before: nothing here is meant to meet a first call's costs. */
export async function time(call: () => Promise<void>, { seconds }: TimingOptions): Promise<Timing> {
  const once = await timeOnce(call);
  if (once.wall > 1000 * seconds) return { best: once.wall, median: once.wall, runs: 1, processor: once.processor };
  let calls = 0;
  const before = process.cpuUsage();
  const samples = await samplesOf(() => {
    calls++;
    return call();
  }, seconds);
  return {
    best: Math.min(...samples),
    median: median(samples),
    runs: samples.length,
    processor: processorSince(before) / calls,
  };
}

/** Milliseconds by the clock, and on all processors together. */
export async function timeOnce(call: () => Promise<void>): Promise<{ wall: number; processor: number }> {
  const before = process.cpuUsage();
  const start = performance.now();
  await call();
  return { wall: performance.now() - start, processor: processorSince(before) };
}

function processorSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function samplesOf(call: () => Promise<void>, seconds: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    let failure: unknown;
    const fail = (benchmark: Benchmark, error: unknown): void => {
      failure ??= error;
      benchmark.abort();
    };
    const benchmark = new Benchmark({
      name: "call",
      defer: true,
      async: true,
      minSamples: 3,
      maxTime: seconds,
      fn(deferred: { resolve(): void }) {
        call()
          .catch((error) => fail(benchmark, error))
          .finally(() => deferred.resolve());
      },
      onComplete() {
        const error = failure ?? benchmark.error;
        if (error !== undefined) reject(error);
        else resolve(benchmark.stats.sample.map((period) => 1000 * period));
      },
    });
    benchmark.run();
  });
}
