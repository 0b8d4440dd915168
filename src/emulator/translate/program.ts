/**
 * @file An entry to a program: its variables get their places, its instructions become steps.
 */
import { PtxError } from "../errors.ts";
import type { GlobalMemory } from "../global-memory.ts";
import { instructions } from "../instructions/index.ts";
import { type Placed, type Program, SHARED_BASE } from "../machine/program.ts";
import type { Flow, Operation, Step } from "../machine/step.ts";
import type { PtxParameter } from "../module.ts";
import type { Entry, Instruction, Variable } from "../syntax/index.ts";
import { reconvergencePoints } from "./control-flow.ts";
import { Decoder, type Surroundings } from "./decoder.ts";
import { Frame } from "./frame.ts";

export interface Translated {
  readonly program: Program;
  readonly parameters: readonly PtxParameter[];
  readonly staticSharedBytes: number;
  /** Registers that are read and never assigned. */
  readonly warnings: readonly string[];
}

export interface ModuleVariables {
  readonly memory: GlobalMemory;
  readonly addresses: ReadonlyMap<Variable, number>;
  readonly shared: readonly Variable[];
}

const alignUp = (value: number, alignment: number): number => Math.ceil(value / alignment) * alignment;
const isFlow = (made: Operation | Flow): made is Flow => typeof made !== "function";

export function translateEntry(entry: Entry, module: ModuleVariables): Translated {
  const places = new Map<Variable, number>(module.addresses);
  const parameters: PtxParameter[] = [];
  let parameterBytes = 0;
  for (const { variable } of entry.parameters) {
    const size = variable.bytes!;
    const offset = alignUp(parameterBytes, variable.alignment);
    places.set(variable, offset);
    parameters.push({ name: variable.name, offset, size, alignment: variable.alignment });
    parameterBytes = offset + size;
  }

  let localBytes = 0;
  for (const variable of entry.variables) {
    if (variable.space !== "local") continue;
    localBytes = alignUp(localBytes, variable.alignment);
    places.set(variable, localBytes);
    localBytes += variable.bytes ?? 0;
  }
  localBytes = alignUp(localBytes, 16);

  const shared = [...module.shared, ...entry.variables.filter(({ space }) => space === "shared")];
  const placed: Placed[] = [];
  let staticEnd = SHARED_BASE;
  for (const variable of shared) {
    if (variable.bytes === undefined) continue;
    const offset = alignUp(staticEnd, variable.alignment);
    places.set(variable, offset);
    placed.push({ name: variable.name, offset, bytes: variable.bytes });
    staticEnd = offset + variable.bytes;
  }
  // All dynamic variables begin at one place.
  const dynamic = shared.filter(({ bytes }) => bytes === undefined);
  const dynamicStart = alignUp(staticEnd, Math.max(1, ...dynamic.map(({ alignment }) => alignment)));
  for (const variable of dynamic) {
    places.set(variable, dynamicStart);
    placed.push({ name: variable.name, offset: dynamicStart, bytes: undefined });
  }

  const frame = new Frame();
  let granule = 4;
  let globalGranule = 4;
  const surroundings: Surroundings = {
    frame,
    memory: module.memory,
    addressOf: (variable) => places.get(variable) ?? 0,
    noteSharedWidth: (bytes) => {
      granule = Math.min(granule, bytes);
    },
    noteGlobalWidth: (bytes) => {
      globalGranule = Math.min(globalGranule, bytes);
    },
  };
  const steps = translateSteps(entry, surroundings);
  const program: Program = {
    name: entry.name,
    steps,
    frame,
    sharedBase: SHARED_BASE,
    sharedBytes: (bytes) => (bytes > 0 ? dynamicStart + bytes : staticEnd),
    describeShared: (address) => describe(placed, address),
    localBytes,
    granule,
    globalGranule,
    parameterBytes,
  };
  const warnings = frame
    .neverAssigned()
    .map((name) => `entry ${entry.name}: register ${name} is read and never assigned`);
  return { program, parameters, staticSharedBytes: staticEnd - SHARED_BASE, warnings };
}

function translateSteps(entry: Entry, surroundings: Surroundings): Step[] {
  const drafts = entry.instructions.map((instruction) => {
    const translator = instructions[instruction.opcode];
    if (!translator)
      throw new PtxError(
        "PTX_UNKNOWN_INSTRUCTION",
        instruction.line,
        `the emulator does not know ${instruction.opcode}\n  ${instruction.text}`,
      );
    return { instruction, made: translator(new Decoder(instruction, surroundings)) };
  });
  // The end of the body is an exit too.
  const last: Instruction = {
    opcode: "ret",
    modifiers: [],
    operands: [],
    line: entry.line,
    text: "(the end of the entry)",
  };
  drafts.push({ instruction: last, made: { kind: "exit" } });
  const meetings = reconvergencePoints(
    drafts.map(({ instruction: { targets = [], guard }, made }) => ({
      targets,
      continues: guard !== undefined || !isFlow(made) || made.kind === "barrier",
    })),
  );
  return drafts.map(
    ({ instruction: { guard, line, text, source }, made }, at): Step => ({
      operation: isFlow(made) ? undefined : made,
      flow: isFlow(made) ? made : undefined,
      guard: guard ? surroundings.frame.row(guard.predicate) : -1,
      negated: guard?.negated ?? false,
      reconvergence: meetings[at]!,
      line,
      text,
      source,
    }),
  );
}

function describe(placed: readonly Placed[], address: number): string {
  const text = `0x${address.toString(16)}`;
  const inside = [...placed]
    .reverse()
    .find(({ offset, bytes }) => address >= offset && (bytes === undefined || address < offset + bytes));
  return inside ? `${text} (byte ${address - inside.offset} of ${inside.name})` : text;
}
