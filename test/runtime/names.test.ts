/**
 * Names that nobody knows, over the public surface: a misspelt option is an error and never passed over. (Operators' arguments:
 * test/kernels; options of the language: test/dsl/errors.test.ts.)
 */
import { describe, expect, it } from "vitest";
import { EmulatedGpu } from "../../src/emulator/index.ts";
import { compile, createDevice, kernel, tl } from "../../src/index.ts";
import {
  attentionForward,
  leakyReRope,
  plainRope,
  readRopeConfig,
  reRope,
  ropeAngles,
  ropeFrequencies,
  ropeTable,
  selfExtend,
} from "../../src/kernels/index.ts";
import { lossAndGradients, Trainer } from "../../src/models/aquila2/index.ts";
import { Aquila2 } from "../../src/models/aquila2/model.ts";

const cpu = await createDevice({ backend: "cpu" });
const frequencies = ropeFrequencies(plainRope(), { headDim: 16 });
const scale = kernel({
  name: "scale",
  constants: { BLOCK: 16 },
  params: { x: tl.tensor("T", 1) },
  grid: (p, { BLOCK }) => [tl.cdiv(p.x.shape(0), BLOCK)],
  body(p, { BLOCK }) {
    const first = tl.programId(0).mul(BLOCK);
    p.x.store([first], p.x.load([first], [BLOCK]).add(1));
  },
});

/** An object with one name more, which its type does not have. */
const and = <T extends object>(given: T, more: object): T => ({ ...given, ...more });

const cases: readonly (readonly [what: string, message: RegExp, act: () => unknown])[] = [
  [
    "ropeAngles",
    /ropeAngles: .* option "lenght"/,
    () => ropeAngles(cpu, and({ frequencies, length: 4 }, { lenght: 4 })),
  ],
  [
    "ropeTable",
    /ropeTable: .* option "rowscale"/,
    () => ropeTable(cpu, and({ headDim: 4, positions: 4 }, { rowscale: [] })),
  ],
  [
    "ropeFrequencies",
    /ropeFrequencies: .* "length"/,
    () => ropeFrequencies(plainRope(), and({ headDim: 4 }, { length: 4 })),
  ],
  ["readRopeConfig", /readRopeConfig: .* "layer"/, () => readRopeConfig({}, and({}, { layer: "a" }))],
  ["reRope", /reRope: .* "logscale"/, () => reRope(and({ window: 4 }, { logscale: 4 }))],
  ["leakyReRope", /leakyReRope: .* "factr"/, () => leakyReRope(and({ window: 4, factor: 2 }, { factr: 4 }))],
  ["selfExtend", /selfExtend: .* "groups"/, () => selfExtend(and({ group: 2, window: 4 }, { groups: 4 }))],
  [
    "a position map",
    /map rerope\(window=4\): there is no entry "farKeys"; known are .*farKey/,
    () => ropeAngles(cpu, { frequencies, length: 4, map: and(reRope({ window: 4 }), { farKeys: () => 0 }) }),
  ],
  [
    "EmulatedGpu",
    /EmulatedGpu: .* option "checks"; known are memoryBytes, check/,
    () => new EmulatedGpu(and({}, { checks: true })),
  ],
  ["lossAndGradients", /lossAndGradients: .* "scale"/, () => lossAndGradients({} as never, [], and({}, { scale: 2 }))],
  [
    "Trainer",
    /Trainer: .* "lr"; known are learningRate/,
    () => new Trainer({} as never, and({ learningRate: 1 }, { lr: 2 })),
  ],
  [
    "createCache",
    /createCache: .* "key"; known are keys/,
    () => Aquila2.prototype.createCache(1, and({}, { key: "raw" })),
  ],
  [
    "a variant of attention",
    /variant "near": there is no entry "span"; known are .*spans/,
    () => attentionForward(and({ name: "near" }, { span: () => [] })),
  ],
  [
    "trace",
    /kernel "scale": .* option "dtype"/,
    () => scale.trace(and({ dtypes: { T: "f32" } } as const, { dtype: "f32" })),
  ],
  [
    "facts",
    /of "x": there is no fact "align"/,
    () => scale.trace({ dtypes: { T: "f32" }, facts: { x: and({}, { align: 4 }) } }),
  ],
  [
    "a parameter's facts",
    /tl\.tensor: there is no fact "unitstride"/,
    () => tl.tensor("f32", 1, and({}, { unitstride: true })),
  ],
];

describe("names that are not known", () => {
  it.each(cases)("are refused by %s", (_, message, act) => expect(act).toThrow(message));

  it("are refused among the checks of the interpreter, and values that they have not", async () => {
    const open = (checks: object) => createDevice({ backend: "cpu", checks });
    await expect(open({ nans: false })).rejects.toThrow(/there is no check "nans"; known are nan, infinity/);
    await expect(open({ nan: "store" })).rejects.toThrow(/"nan" must be "produced" or "stored" or false, got store/);
    (await open({ nan: "stored", races: undefined })).dispose();
  });

  it("are refused by launches of compiled kernels, constants too", async () => {
    using device = await createDevice({ backend: "cuda", emulate: true });
    const compiled = compile(scale, "sm_80", { dtypes: { T: "f32" } });
    const x = device.zeros([16], "f32");
    expect(() => device.launch(compiled, { x }, { gird: [1] } as never)).toThrow(/launch of "scale": .* option "gird"/);
    expect(() => device.launch(compiled, { x }, { constants: { BLOCK: 8 } })).toThrow(/"scale" is compiled already/);
    device.launch(compiled, { x });
    expect(await x.read()).toEqual(new Float32Array(16).fill(1));
  });
});
