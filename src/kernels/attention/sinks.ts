/**
 * @file Learned attention sinks (GPT-OSS; StreamingLLM, arXiv 2309.17453, section 3.3): a logit for each head that joins the sum of weights and has
 * no value, so a query need not attend to anything. In the backward pass it acts through `lse` alone; its own gradient is that of a key
 * whose value is 0: -Σ P_sink · delta over the queries.
 */
import { type Constants, kernel, type TensorView, tl } from "../../dsl/index.ts";
import { log2e } from "./scores.ts";
import type { Variant } from "./variant.ts";

const parameters = { sinks: tl.tensor("SINKS", 1) };

/** The variant with a sink in every query's sum of weights. Parameter `sinks` [Hq], of any float dtype. */
export const withSinks = <C extends Constants>(variant: Variant<any, C>): Variant<any, C> => ({
  ...variant,
  name: `${variant.name}_sinks`,
  sink: { parameters, logit: (p, { ofHead }) => ofHead(p.sinks as TensorView<"SINKS", 1>).to("f32") },
});

/**
 * dsinks [Hq], from `sinks` [Hq] and the `statistics` [2, B, Hq, M] of the backward kernels. One program a head adds up all its queries in a
 * fixed order.
 */
export const attentionSinksGradientKernel = kernel({
  name: "attention_sinks_gradient",
  constants: { BLOCK: 1024 },
  params: { ...parameters, statistics: tl.tensor("f32", 4), dsinks: tl.tensor("SINKS", 1) },
  grid: (p) => [p.sinks.shape(0)],
  body(p, { BLOCK }) {
    const head = tl.programId(0);
    const sink = p.sinks.load([head], []).to("f32").mul(log2e);
    const [batches, queries] = [p.statistics.shape(1), p.statistics.shape(3)];
    const { sums } = tl.loop({ to: batches }, { sums: tl.zeros([BLOCK], "f32") }, (batch, ofBatches) =>
      tl.loop({ to: queries, step: BLOCK }, ofBatches, (query, s) => {
        const statistic = (i: number) => p.statistics.at(i, batch, head).load([query], [BLOCK]);
        // Not above 1, as it cannot be, beyond the last query either: infinity times 0 is no 0.
        const weight = tl.exp2(tl.sub(sink, statistic(0)).minimum(0));
        return { sums: s.sums.sub(weight.mul(statistic(1))) };
      }),
    );
    p.dsinks.store([head], tl.sum(sums).to(p.dsinks.dtype));
  },
});
