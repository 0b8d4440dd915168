/** The attention to chosen blocks of examples/ against its definition, and what its loop is on a GPU. */
import { expect, it } from "vitest";
import { selectedBlocks } from "../../examples/selected-blocks.ts";
import { expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

const [HEADS, LENGTH, DIM, BLOCK, SCALE] = [2, 75, 32, 16, 0.25];
const [q, k, v] = [1, 2, 3].map((seed) => numbers("f16", [HEADS, LENGTH, DIM], seed));
const queryBlocks = Math.ceil(LENGTH / BLOCK);
/** Its own block and some before it, not in order; of the second head, the first block of queries sees none. */
const lists = Array.from({ length: HEADS * queryBlocks }, (_, at) => {
  const [head, block] = [Math.floor(at / queryBlocks), at % queryBlocks];
  const before = Array.from({ length: block }, (_, i) => i).filter((i) => (i + head) % 2 === 0);
  return head === 1 && block === 0 ? [] : [block, ...before.reverse()];
});

function reference(): Terms {
  const out = new Terms(HEADS * LENGTH * DIM);
  for (let row = 0; row < HEADS * LENGTH; row++) {
    const [head, query] = [Math.floor(row / LENGTH), row % LENGTH];
    const keys = lists[head * queryBlocks + Math.floor(query / BLOCK)]!.flatMap((block) =>
      Array.from({ length: BLOCK }, (_, i) => block * BLOCK + i).filter((key) => key <= query),
    );
    const weights = keys.map((key) => {
      let logit = 0;
      for (let d = 0; d < DIM; d++) logit += q!.values[row * DIM + d]! * k!.values[(head * LENGTH + key) * DIM + d]!;
      return Math.exp(logit * SCALE);
    });
    const sum = weights.reduce((total, weight) => total + weight, 0);
    keys.forEach((key, i) => {
      for (let d = 0; d < DIM; d++)
        out.add(row * DIM + d, (weights[i]! / sum) * v!.values[(head * LENGTH + key) * DIM + d]!);
    });
  }
  return out;
}
const expected = reference();

onEveryTarget((device) => {
  it("blocks in any order, a number of them that the data says, or none", async () => {
    const most = Math.max(...lists.map(({ length }) => length));
    const padded = lists.flatMap((list) => [...list, ...new Array<number>(most - list.length).fill(0)]);
    const out = device.empty([HEADS, LENGTH, DIM], "f16");
    const integers = (values: number[], shape: number[]) =>
      device.tensor(Int32Array.from(values), { shape, dtype: "i32" });
    const tensors = {
      q: q!.on(device),
      k: k!.on(device),
      v: v!.on(device),
      blocks: integers(padded, [HEADS, queryBlocks, most]),
      counts: integers(
        lists.map(({ length }) => length),
        [HEADS, queryBlocks],
      ),
      out,
    };
    device.launch(selectedBlocks, { ...tensors, scale: SCALE }, { constants: { BLOCK, HEAD_DIM: DIM } });
    // Weights are rounded to f16, by 2^-11 or 2^13 units of f32; what they are made of is in f32, of logits up to 2^4.
    await expectClose(out, expected, 2 ** 13 + 2 ** 9);
  });
});

it("copies keys and values ahead, by a list that is read before", () => {
  const [loop] = ptxOf(selectedBlocks, { dtypes: { T: "f16" } }).loops;
  // Two tiles of 64 x 64 halves by 128 threads: four vectors each; two products of 64 x 64 x 64.
  expect([loop!(/^cp\.async\.cg/), loop!(/^mma/), loop!(/^bar\.sync/)]).toEqual([8, 64, 1]);
  // Of global memory, numbers of blocks alone.
  expect(loop!(/^ld\.global\.v/)).toBe(0);
});
