/**
 * @file The peer gpu.js (https://gpu.rocks) in its CPU mode: attention as its users write it, a kernel for each step, scores in memory. Its
 * compiler reads the kernels' text: no helper functions, no closures.
 */
import { GPU, type IKernelFunctionThis } from "gpu.js";
import { serve } from "../support/measurement.ts";
import type { Measured, PeerInput } from "./measured.ts";
import { accuracyOf, inputsOf, type Problem } from "./problem.ts";
import { time, timeOnce } from "./stopwatch.ts";

type Cube = Float32Array[][];
type Square = Float32Array[];
interface Sizes {
  N: number;
  D: number;
  CAUSAL: number;
  SCALE: number;
  [name: string]: number;
}
type Thread = IKernelFunctionThis<Sizes>;

function kernels({ length: N, heads: H, headDim: D, causal }: Problem) {
  const gpu = new GPU({ mode: "cpu" });
  const constants: Sizes = { N, D, CAUSAL: causal ? 1 : 0, SCALE: D ** -0.5 };
  const scores = gpu.createKernel(
    function (this: Thread, q: Cube, k: Cube) {
      if (this.constants.CAUSAL === 1 && this.thread.x > this.thread.y) return 0;
      let sum = 0;
      for (let d = 0; d < this.constants.D; d++)
        sum += q[this.thread.z]![this.thread.y]![d]! * k[this.thread.z]![this.thread.x]![d]!;
      return sum * this.constants.SCALE;
    },
    { output: [N, N, H], constants },
  );
  const largest = gpu.createKernel(
    function (this: Thread, s: Cube) {
      let keys = this.constants.N;
      if (this.constants.CAUSAL === 1) keys = this.thread.x + 1;
      let most = s[this.thread.y]![this.thread.x]![0]!;
      for (let n = 1; n < keys; n++) most = Math.max(most, s[this.thread.y]![this.thread.x]![n]!);
      return most;
    },
    { output: [N, H], constants },
  );
  const weights = gpu.createKernel(
    function (this: Thread, s: Cube, most: Square) {
      if (this.constants.CAUSAL === 1 && this.thread.x > this.thread.y) return 0;
      return Math.exp(s[this.thread.z]![this.thread.y]![this.thread.x]! - most[this.thread.z]![this.thread.y]!);
    },
    { output: [N, N, H], constants },
  );
  const sums = gpu.createKernel(
    function (this: Thread, w: Cube) {
      let sum = 0;
      for (let n = 0; n < this.constants.N; n++) sum += w[this.thread.y]![this.thread.x]![n]!;
      return sum;
    },
    { output: [N, H], constants },
  );
  const output = gpu.createKernel(
    function (this: Thread, w: Cube, sum: Square, v: Cube) {
      let keys = this.constants.N;
      if (this.constants.CAUSAL === 1) keys = this.thread.y + 1;
      let total = 0;
      for (let n = 0; n < keys; n++)
        total += w[this.thread.z]![this.thread.y]![n]! * v[this.thread.z]![n]![this.thread.x]!;
      return total / sum[this.thread.z]![this.thread.y]!;
    },
    { output: [D, N, H], constants },
  );
  return (q: Cube, k: Cube, v: Cube): Cube => {
    const s = scores(q, k) as Cube;
    const w = weights(s, largest(s) as Square) as Cube;
    return output(w, sums(w) as Square, v) as Cube;
  };
}

/** As gpu.js takes three-dimensional arrays. */
const nested = ({ heads, length, headDim }: Problem, values: Float32Array): Cube =>
  Array.from({ length: heads }, (_, h) =>
    Array.from({ length }, (_, n) => values.slice((h * length + n) * headDim, (h * length + n + 1) * headDim)),
  );

serve(async ({ problems, seconds }: PeerInput, progress): Promise<Measured[]> => {
  const measured: Measured[] = [];
  for (const problem of problems) {
    progress(`gpu.js (CPU): N = ${problem.length}, ${problem.causal ? "causal" : "not causal"}`);
    const inputs = inputsOf(problem);
    const [q, k, v] = [inputs.q, inputs.k, inputs.v].map((values) => nested(problem, values)) as [Cube, Cube, Cube];
    const attend = kernels(problem);
    let out: Cube = [];
    const call = async (): Promise<void> => {
      out = attend(q, k, v);
    };
    const first = await timeOnce(call);
    const flat = Float32Array.from(out.flatMap((head) => head.flatMap((row) => [...row])));
    const firsts = { first: first.wall, firstProcessor: first.processor };
    measured.push({ ...problem, ...firsts, ...(await time(call, { seconds })), ...accuracyOf(problem, inputs, flat) });
  }
  return measured;
});
