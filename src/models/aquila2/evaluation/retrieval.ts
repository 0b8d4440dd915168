/**
 * @file Retrieval of a planted fact against context length. A sentence about somebody stands near the beginning of a text, and at its end
 * questions ask for the name; the same is done with every name. Names are not equally probable, so what counts is by how much its own fact
 * raises a name's probability over what the same fact about another does: in the same place of the same text, so nothing else differs.
 */
import { trainedLength } from "../../../kernels/index.ts";
import type { KeyValueCache } from "../cache.ts";
import type { Aquila2 } from "../model.ts";
import type { PositionOptions } from "../positions.ts";
import { type LengthOptions, lengthOptionNames, OptionChecker, overLengths } from "./measure.ts";
import { logProbability } from "./scoring.ts";

/** The fact, with `{name}` where the name stands; questions that the name answers; the names. */
export interface RetrievalTask {
  readonly fact: string;
  readonly questions: readonly string[];
  readonly names: readonly string[];
}

/** For a model that has read the King James Bible. */
export const defaultRetrievalTask: RetrievalTask = {
  fact: " And {name} said unto the people, I am {name}, the son of {name}. And they said unto {name}, Thou art {name}. So {name} went in unto the house of {name}; and the word of {name} came unto {name}.",
  questions: [" And they said unto", " And it came to pass in the house of", " And this is the word of"],
  names: [" David", " Moses", " Jacob", " Aaron", " Solomon", " Joseph", " Pharaoh", " Judah"],
};

export interface RetrievalOptions extends LengthOptions {
  /** Where the surrounding texts start in `ids`. Default: 0. */
  readonly starts?: readonly number[];
  readonly task?: RetrievalTask;
}

/** One number for each length; means over surrounding texts, names and questions. */
export interface RetrievalRow {
  readonly scheme: string;
  /** ln(probability of the name that the fact is about), in nats. */
  readonly logProbability: readonly number[];
  /** The same for the names that the fact is not about: the distractors. */
  readonly distractors: readonly number[];
  /** By how much a name's own fact raises its log-probability over another name's fact: the difference of the two above. 0: forgotten. */
  readonly gain: readonly number[];
  /** How often the name that the fact is about is the most probable of all. By chance 1 / names. */
  readonly accuracy: readonly number[];
}

export interface RetrievalReport {
  /** Of contexts, from the first token to the last one before the name. */
  readonly lengths: readonly number[];
  /** L0 of the model. */
  readonly trainedLength: number;
  /** Tokens from the end of the fact to the name, for each length; the mean over names and questions. */
  readonly distances: readonly number[];
  readonly starts: readonly number[];
  readonly task: RetrievalTask;
  readonly rows: readonly RetrievalRow[];
}

/** Tokens of the text before the fact: the first positions of a context are no place like others. */
const lead = 16;

/** The task in tokens. */
interface Tokens {
  /** One for each name. */
  readonly facts: readonly (readonly number[])[];
  readonly names: readonly (readonly number[])[];
  readonly questions: readonly (readonly number[])[];
}

interface Context {
  readonly start: number;
  readonly fact: readonly number[];
}

/**
 * Cost: one pass over a context for each name, scheme, length and start. Nothing is random.
 * @throws ArgumentError `EVALUATION`: a task without place for a name, lengths in which it has no room, or contexts beyond the end of the text.
 */
export async function evaluateRetrieval(model: Aquila2, options: RetrievalOptions): Promise<RetrievalReport> {
  const { ids, lengths, schemes, starts = [0], task = defaultRetrievalTask } = options;
  const check = new OptionChecker("evaluateRetrieval");
  check.names(options, { ...lengthOptionNames, task: true });
  const tokens = tokensOf(model, task, check);
  const question = longest(tokens.questions);
  check.schemes(schemes);
  check.integers(
    "lengths",
    lengths,
    lead + longest(tokens.facts) + question,
    `, the tokens of the fact and the question`,
  );
  check.integers("starts", starts, 0);
  check.text(ids.length, lengths, starts, 0);

  const contexts = starts.flatMap((start) => tokens.facts.map((fact): Context => ({ start, fact })));
  const rows = await overLengths(model, options, contexts, ({ start, fact }, length, positions) => {
    // The text ends at the same word whatever the fact, so that nothing but the fact differs.
    const end = start + length - question;
    const rest = ids.slice(end - (length - question - lead - fact.length), end);
    return namesAfter(model, [...ids.slice(start, start + lead), ...fact, ...rest], tokens, length, positions);
  });
  const mean = (of: readonly (readonly number[])[]) => average(of.map((list) => list.length));
  return {
    lengths,
    trainedLength: trainedLength(model.config.rope),
    distances: lengths.map((length) => length - question - lead - mean(tokens.facts) + mean(tokens.questions) + 1),
    starts,
    task,
    rows: rows.map(({ scheme, results }) => ({ scheme, ...summary(results, starts.length) })),
  };
}

function tokensOf(model: Aquila2, { fact, questions, names }: RetrievalTask, check: OptionChecker): Tokens {
  if (!fact.includes("{name}")) check.fail(`the fact "${fact}" has no {name}; write {name} where the name stands`);
  if (questions.length === 0) check.fail("the task has no questions; give at least one");
  if (new Set(names).size < Math.max(2, names.length))
    check.fail(`the names are ${JSON.stringify(names)}; accepted: two or more, each once`);
  const encode = (kind: string, text: string) => {
    const encoded = model.tokenizer.encode(text);
    return encoded.length > 0 ? encoded : check.fail(`a ${kind} of the task is empty`);
  };
  return {
    facts: names.map((name) => encode("fact", fact.replace(/ ?\{name\}/g, name))),
    names: names.map((name) => encode("name", name)),
    questions: questions.map((text) => encode("question", text)),
  };
}

/** ln(probability) of each name after `context`, the mean over the questions. */
async function namesAfter(
  model: Aquila2,
  context: readonly number[],
  { names, questions }: Tokens,
  length: number,
  positions: PositionOptions,
): Promise<number[]> {
  using cache = model.createCache(length + longest(names) - 1, positions);
  model.prefill(context, cache).dispose();
  const sums = names.map(() => 0);
  for (const question of questions) {
    using result = model.prefill(question, cache);
    const logits = await result.read();
    for (const [i, name] of names.entries()) {
      sums[i]! += logProbability(logits, name[0]!) + (await restOfName(model, name, cache));
      cache.truncate(context.length + question.length);
    }
    cache.truncate(context.length);
  }
  return sums.map((sum) => sum / questions.length);
}

/** ln(probability) of the tokens of a name after its first one. */
async function restOfName(model: Aquila2, name: readonly number[], cache: KeyValueCache): Promise<number> {
  let sum = 0;
  for (const [i, id] of name.slice(1).entries()) {
    using result = model.forward([name[i]!], cache);
    sum += logProbability(await result.read(), id);
  }
  return sum;
}

/** From matrices [fact][name] of log-probabilities: for each length, of each start those of its facts one after another. */
function summary(results: readonly (readonly (readonly number[])[])[], starts: number): Omit<RetrievalRow, "scheme"> {
  const cells = results.map((rows) => {
    const facts = rows.length / starts;
    const matrices = Array.from({ length: starts }, (_, i) => rows.slice(i * facts, (i + 1) * facts));
    const own = average(matrices.map((matrix) => average(matrix.map((row, i) => row[i]!))));
    const others = average(matrices.map((matrix) => average(matrix.flatMap((row, i) => row.toSpliced(i, 1)))));
    return {
      logProbability: own,
      distractors: others,
      gain: own - others,
      accuracy: average(matrices.map(hits)),
    };
  });
  const column = (key: keyof (typeof cells)[number]) => cells.map((cell) => cell[key]);
  return {
    logProbability: column("logProbability"),
    distractors: column("distractors"),
    gain: column("gain"),
    accuracy: column("accuracy"),
  };
}

/** How often, in a matrix [fact][name] of log-probabilities, the fact's own name is the most probable one. */
const hits = (matrix: readonly (readonly number[])[]): number =>
  average(matrix.map((row, i): number => (row[i] === Math.max(...row) ? 1 : 0)));

const average = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const longest = (lists: readonly (readonly number[])[]): number => Math.max(...lists.map((list) => list.length));
