/** A layer of experts (arXiv 2101.03961, as fused kernels do it): blocks of tokens that go to one expert, whose rows are gathered through pointers. */
import { expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

const expertGather = kernel({
  name: "expert_gather",
  constants: { ROWS: 64, N: 64, K: 32 },
  params: {
    x: tl.tensor("T", 2),
    weight: tl.tensor("T", 3),
    // For each row of the result the token that it is computed from, or -1; for each block of rows its expert.
    tokens: tl.tensor("i32", 1),
    experts: tl.tensor("i32", 1),
    gates: tl.tensor("f32", 1),
    // The channels that count: any number, of which nothing is known.
    channels: tl.scalar("i32"),
    out: tl.tensor("T", 2),
  },
  grid: (p, { N }) => [tl.cdiv(p.out.shape(1), N), p.experts.shape(0)],
  body(p, { ROWS, N, K }) {
    const column = tl.programId(0).mul(N);
    const row = tl.programId(1).mul(ROWS);
    const expert = p.experts.load([tl.programId(1)], []);
    const tokens = p.tokens.load([row], [ROWS]);
    const rows = p.x.pointer.add(tokens.maximum(0).to("i64").mul(p.x.stride(0)).perRow());
    const { sums } = tl.loop({ to: p.channels, step: K }, { sums: tl.zeros([ROWS, N], "f32") }, (k, { sums }) => {
      const inner = tl.arange(0, K).add(k);
      const mask = tokens.ge(0).perRow().and(inner.lt(p.channels).perColumn());
      const x = tl.load(rows.add(inner.perColumn()), { mask });
      return { sums: tl.dot(x, p.weight.load([expert, k, column], [K, N]), sums) };
    });
    p.out.store([row, column], sums.mul(p.gates.load([row], [ROWS]).perRow()).to(p.out.dtype));
  },
});

const [TOKENS, K, N, EXPERTS, BLOCKS] = [50, 80, 72, 3, 2];
const CHANNELS = 75;
const x = numbers("bf16", [TOKENS, K], 1);
const weight = numbers("bf16", [EXPERTS, K, N], 2, 0.2);
const gates = numbers("f32", [BLOCKS * 64], 3);
const tokens = Int32Array.from({ length: BLOCKS * 64 }, (_, i) => (i % 11 === 5 ? -1 : (i * 29) % TOKENS));
const experts = Int32Array.of(2, 0);

function reference(): Terms {
  const out = new Terms(tokens.length * N);
  tokens.forEach((token, row) => {
    if (token < 0) return;
    const expert = experts[row >> 6]!;
    for (let n = 0; n < N; n++)
      for (let k = 0; k < CHANNELS; k++)
        out.add(row * N + n, x.values[token * K + k]! * weight.values[(expert * K + k) * N + n]! * gates.values[row]!);
  });
  return out;
}

onEveryTarget((device) => {
  it("rows of tokens by their expert, missing ones 0", async () => {
    const out = device.empty([tokens.length, N], "bf16");
    const list = (data: Int32Array) => device.tensor(data, { shape: [data.length], dtype: "i32" });
    const tables = { tokens: list(tokens), experts: list(experts), gates: gates.on(device) };
    device.launch(expertGather, { x: x.on(device), weight: weight.on(device), ...tables, channels: CHANNELS, out });
    await expectClose(out, reference(), K);
  });
});

it("gathers in copies of 16 bytes ahead of their turn, whatever the number of channels", () => {
  const [loop] = ptxOf(expertGather, { dtypes: { T: "bf16" } }).loops;
  // 64 x 32 halves of tokens and 32 x 64 of weights by 128 threads.
  expect(loop!(/^cp\.async\.cg/)).toBe(4);
  expect(loop!(/^(ld|st)\.(global|shared)/)).toBe(0);
  expect([loop!(/^mma/), loop!(/^bar\.sync/)]).toEqual([16, 1]);
});
