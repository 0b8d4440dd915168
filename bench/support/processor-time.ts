/** @file How long this thread has been on a processor: what a busy machine's other work hardly changes. */
import { readFileSync } from "node:fs";

const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Milliseconds; undefined where the system (other than Linux) does not say. Takes a moment, which is not counted. */
export function processorMilliseconds(): number | undefined {
  // The kernel brings the account up to date when the thread leaves the processor.
  Atomics.wait(nobody, 0, 0, 0.1);
  try {
    // The first number: nanoseconds on a processor.
    return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[0]) / 1e6;
  } catch {
    return undefined;
  }
}
