/**
 * @file Chunked attention in one file (the local layers of Llama 4): the sequence is cut into chunks of CHUNK tokens, and each query sees the keys of its
 * own chunk up to itself. What matters is where a query stands, so a chunk of queries over a longer cache, packed documents and pages of a cache see
 * the same chunks as one long pass over the whole sequence.
 *
 *   npx tilewright compile examples/chunked-attention.ts --target sm_80 --set T=f16 --set CHUNK=8192 --out out
 */
import { attentionForward, defineVariant, diagonal, type Edge, type Place } from "tilewright/kernels";

/** Before it lie the keys of the chunks before the query's. As `Edge` wants it: monotone, and the same said from both sides. */
function chunkOf(at: Place, size: number): Edge {
  const past = at.keys.sub(at.queries);
  return {
    // The first key of the chunk in which query m stands, at position N - M + m.
    key: (query) => query.add(past).div(size).mul(size),
    // The first query that stands in the chunk after the one of key n.
    query: (key) => key.div(size).add(1).mul(size).sub(past),
  };
}

export const chunked = defineVariant({
  name: "chunked",
  constants: { CHUNK: 128 },
  spans: (_, at, { CHUNK }) => [{ from: chunkOf(at, CHUNK), to: diagonal(at, 0) }],
});

export default attentionForward(chunked);
