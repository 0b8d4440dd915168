/** The gated linear attention of examples/ against its recurrence, step by step in f64, and what its loop is on a GPU. */
import { expect, it } from "vitest";
import { gatedLinearAttention } from "../../examples/gated-linear-attention.ts";
import { expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

const [HEADS, LENGTH, DIM] = [2, 75, 32];
const [q, k, v] = [1, 2, 3].map((seed) => numbers("f16", [HEADS, LENGTH, DIM], seed, 0.5));
const decay = numbers("f32", [HEADS, LENGTH], 4, 0.2);
// A decay is at most 1.
decay.values.forEach((value, i) => {
  decay.values[i] = -Math.abs(value);
});

/** Step by step, with the magnitude of the state beside the state. */
function reference() {
  const out = new Terms(HEADS * LENGTH * DIM);
  const final = new Terms(HEADS * DIM * DIM);
  for (let head = 0; head < HEADS; head++) {
    const [state, size] = [new Float64Array(DIM * DIM), new Float64Array(DIM * DIM)];
    for (let t = 0; t < LENGTH; t++) {
      const d = Math.exp(decay.values[head * LENGTH + t]!);
      const at = (head * LENGTH + t) * DIM;
      for (let i = 0; i < DIM; i++)
        for (let j = 0; j < DIM; j++) {
          const added = k!.values[at + i]! * v!.values[at + j]!;
          const place = i * DIM + j;
          state[place] = d * state[place]! + added;
          size[place] = d * size[place]! + Math.abs(added);
          out.add(at + j, q!.values[at + i]! * state[place]!, Math.abs(q!.values[at + i]!) * size[place]!);
        }
    }
    state.forEach((value, i) => void final.set(head * DIM * DIM + i, value, size[i]!));
  }
  return { out, final };
}
const expected = reference();

onEveryTarget((device) => {
  it("a state carried over five chunks, the last one short", async () => {
    const [out, final] = [device.empty([HEADS, LENGTH, DIM], "f16"), device.empty([HEADS, DIM, DIM], "f32")];
    const given = { q: q!.on(device), k: k!.on(device), v: v!.on(device), logDecay: decay.on(device) };
    const constants = { CHUNK: 16, KEY_DIM: DIM, VALUE_DIM: DIM };
    device.launch(gatedLinearAttention, { ...given, out, final }, { constants });
    // Scores, decayed values and the state are rounded to f16 on the way: two such roundings of each term, of 2^-11 or 2^13 units of f32.
    await expectClose(out, expected.out, 2 * 2 ** 13);
    await expectClose(final, expected.final, 2 * 2 ** 13);
  });
});

it("copies q, k and v ahead although the loop stores, and reads v back for its decay", () => {
  const { loops } = ptxOf(gatedLinearAttention, { dtypes: { T: "f16" } });
  const [loop] = loops;
  // Three tiles of 64 x 64 halves by 128 threads: four vectors each.
  expect(loop!(/^cp\.async\.cg/)).toBe(12);
  // The decays alone come directly.
  expect(loop!(/^ld\.global/)).toBe(1);
  // Four products of 64 x 64 x 64.
  expect(loop!(/^mma/)).toBe(4 * 32);
});
