/** Retrieval of a planted fact: the measure against the model in plain f64, and that the small model shows a signal. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import {
  defaultRetrievalTask,
  evaluateRetrieval,
  loadAquila2,
  parsePositions,
} from "../../src/models/aquila2/index.ts";
import { createDevice } from "../../src/runtime/index.ts";
import { fixtureDirectory } from "./files.ts";
import { loadReference, referenceLogits } from "./reference.ts";

const ids: number[] = JSON.parse(await readFile(new URL("eval_ids.json", fixtureDirectory), "utf8"));
const device = await createDevice({ backend: "cpu" });
const model = await loadAquila2(fileURLToPath(fixtureDirectory), { device, onWarning: () => {} });
const encode = (text: string) => model.tokenizer.encode(text);

test("the report is what the model in f64 says of each text", async () => {
  const names = [" David", " Nebuchadnezzar"]; // the second one has several tokens
  const questions = [" unto", " And he said unto"];
  expect(encode(names[1]!).length).toBeGreaterThan(1);
  const [length, start] = [44, 100];
  const report = await evaluateRetrieval(model, {
    ids,
    lengths: [length],
    starts: [start],
    schemes: [parsePositions("default")],
    task: { fact: " I am {name}, thy king.", questions, names },
  });

  const reference = await loadReference();
  const { vocabSize } = reference.config;
  const longest = encode(questions[1]!).length;
  const logProbabilities = names.map((planted) => {
    const fact = encode(` I am${planted}, thy king.`);
    const end = start + length - longest;
    const before = [...ids.slice(start, start + 16), ...fact];
    const context = [...before, ...ids.slice(end - (length - longest - before.length), end)];
    expect(context).toHaveLength(length - longest);
    return names.map((name) => {
      const perQuestion = questions.map((question) => {
        const [text, answer] = [[...context, ...encode(question)], encode(name)];
        const logits = referenceLogits(reference, [...text, ...answer]);
        return answer.reduce((sum, id, i) => {
          const at = text.length + i - 1;
          const row = logits.subarray(at * vocabSize, (at + 1) * vocabSize);
          return sum + row[id]! - Math.log(row.reduce((total, x) => total + Math.exp(x), 0));
        }, 0);
      });
      return perQuestion.reduce((a, b) => a + b) / questions.length;
    });
  });
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  const own = mean(logProbabilities.map((row, i) => row[i]!));
  const others = mean(logProbabilities.flatMap((row, i) => row.filter((_, j) => j !== i)));
  const first = mean(logProbabilities.map((row, i) => Number(row.every((x) => x <= row[i]!))));

  const row = report.rows[0]!;
  // f32 logits of order 10 after four layers are right to about 1e-4 (see model.test.ts).
  expect(row.logProbability[0]).toBeCloseTo(own, 3);
  expect(row.distractors[0]).toBeCloseTo(others, 3);
  expect(row.gain[0]).toBeCloseTo(own - others, 3);
  expect(row.accuracy).toEqual([first]);
  expect(report).toMatchObject({ lengths: [length], starts: [start], trainedLength: 256 });
  const facts = mean(names.map((name) => encode(` I am${name}, thy king.`).length));
  const gap = length - longest - 16 - facts;
  expect(report.distances[0]).toBeCloseTo(gap + mean(questions.map((question) => encode(question).length)) + 1, 10);
});

test("within the trained length, a fact makes its own name more probable", async () => {
  const names = [" David", " Moses", " Pharaoh"];
  const report = await evaluateRetrieval(model, {
    ids,
    lengths: [112],
    schemes: [parsePositions("default")],
    task: { ...defaultRetrievalTask, names },
  });
  expect(report.rows[0]!.gain[0]).toBeGreaterThan(0.5); // e^0.5 = 1.6 times
});
