/** @file One process of the compile suite: imports the library, then compiles and takes the time. */
import type { CompileOptions, Target } from "tilewright";
import { serve } from "../support/measurement.ts";
import { processorMilliseconds } from "../support/processor-time.ts";

export interface SampleInput {
  /** A name of `libraryKernels`. */
  readonly kernel: string;
  readonly target: Target;
  /** The one that is compiled in a cold process, and stage by stage. */
  readonly reference: CompileOptions;
  /** Compiled to warm up; then, each once, to measure. No two are equal, so that nothing that remembers results would help. */
  readonly warmUp: readonly CompileOptions[];
  readonly measured: readonly CompileOptions[];
  /** `whole`: one call of `compile`. `stages`: trace, optimize and the rest apart. */
  readonly what: "whole" | "stages";
}

/** Milliseconds on the processor, or by the clock where the system does not say. `lower` is everything after the passes: layouts, code generation, text. */
export interface Stages {
  readonly trace: number;
  readonly optimize: number;
  readonly lower: number;
}

export interface Sample {
  readonly importMilliseconds: number;
  /** One entry a compilation; those of `what` have it. */
  readonly whole: readonly number[];
  readonly stages: readonly Stages[];
  /** Mean time on the processor of one compilation; undefined where the system does not say. */
  readonly processorMilliseconds?: number;
  /** Of the first compiled text. */
  readonly lines: number;
}

serve(async ({ kernel, target, reference, warmUp, measured, what }: SampleInput): Promise<Sample> => {
  const start = performance.now();
  const { compile, optimize } = await import("tilewright");
  const { libraryKernels } = await import("tilewright/kernels");
  const importMilliseconds = performance.now() - start;

  const { definition } = libraryKernels[kernel]!;
  const whole = (options: CompileOptions): { milliseconds: number; lines: number } => {
    const before = performance.now();
    const { source } = compile(definition, target, options);
    return { milliseconds: performance.now() - before, lines: source.split("\n").length };
  };
  const stages = (options: CompileOptions): Stages => {
    const now = (): number => processorMilliseconds() ?? performance.now();
    const times = [now()];
    const lap = <T>(value: T): T => {
      times.push(now());
      return value;
    };
    const { constants, dtypes, facts } = options;
    const traced = lap(definition.trace({ constants, dtypes, facts }));
    const optimized = lap(optimize(traced));
    // `compile` runs the passes on what it gets; on an optimized kernel that is one round which finds nothing, timed here to be left out.
    lap(optimize(optimized));
    lap(compile(optimized, target, { capabilities: options.capabilities }));
    const [trace, optimizing, again, rest] = times.slice(1).map((time, i) => time - times[i]!);
    return { trace: trace!, optimize: optimizing!, lower: rest! - again! };
  };

  const cold = measured.length === 0;
  for (const options of warmUp) compile(definition, target, options);
  const order = cold ? [reference] : measured;
  const processorBefore = processorMilliseconds();
  const results = what === "whole" ? order.map(whole) : [];
  const processorAfter = processorMilliseconds();
  return {
    importMilliseconds,
    processorMilliseconds:
      processorAfter === undefined ? undefined : (processorAfter - processorBefore!) / order.length,
    whole: results.map(({ milliseconds }) => milliseconds),
    stages: what === "stages" ? order.map(stages) : [],
    lines: results[0]?.lines ?? 0,
  };
});
