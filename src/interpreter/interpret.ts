/**
 * @file Running a kernel: plan once (`prepare`), then for each launch bind the arguments and run the steps for every program of the
 * grid, x fastest, one after the other.
 */
import type { Kernel, Location, Opcode } from "../ir/index.ts";
import { evaluateGridExpression, LaunchError } from "../support/index.ts";
import { type Arguments, assignParameters, bindArguments } from "./arguments.ts";
import { type Checks, checksOf, Machine } from "./machine.ts";
import { type PlannedBlock, Planner } from "./plan.ts";

/** One launch. */
export interface Launch {
  /** By parameter name. Tensors are updated in place. */
  readonly arguments: Arguments;
  /** Number of programs along x, y, z; the kernel's own grid if missing. */
  readonly grid?: readonly [number, number?, number?];
  /** Receives each printed line; `console.log` if missing. */
  readonly onPrint?: (line: string) => void;
  /** Receives the message of each failed assert, and the kernel goes on; without it an assert throws. */
  readonly onAssert?: (message: string) => void;
}

/** What was executed. */
export interface Execution {
  readonly grid: readonly [number, number, number];
  /** How often operations of each opcode ran, all programs together. */
  readonly counts: Readonly<Partial<Record<Opcode, number>>>;
  /** The same by operation, in program order. */
  readonly operations: readonly OperationCount[];
}

export interface OperationCount {
  readonly opcode: Opcode;
  readonly location: Location | undefined;
  readonly count: number;
}

/** A kernel planned for repeated runs. Runs one launch at a time. */
export interface PreparedKernel {
  readonly kernel: Kernel;
  run(launch: Launch): Execution;
}

/** Plans `kernel`; `checks` change the defaults. @throws ArgumentError `ARGUMENT_UNKNOWN`, `ARGUMENT_VALUE`: a check that does not exist. */
export function prepare(kernel: Kernel, checks: Partial<Checks> = {}): PreparedKernel {
  const machine = new Machine(kernel, checksOf(checks));
  const planner = new Planner(machine);
  const parameters = kernel.body.parameters.map((value) => planner.array(value));
  const body = planner.block(kernel.body, []);
  return {
    kernel,
    run(launch) {
      const { regions, values, sizes } = bindArguments(kernel, launch.arguments, machine.checks);
      machine.regions = regions;
      machine.onPrint = launch.onPrint ?? ((line) => console.log(line));
      machine.onAssert = launch.onAssert;
      machine.grid.set(gridOf(kernel, launch.grid, sizes));
      assignParameters(parameters, values);
      forgetCounts(body);
      try {
        runPrograms(machine, body);
      } finally {
        machine.regions = []; // Let go of the caller's memory.
      }
      const [x, y, z] = machine.grid;
      return { grid: [x!, y!, z!], ...countsOf(body) };
    },
  };
}

/** Everything that a launch and its checks may say. */
export interface InterpretOptions extends Launch {
  readonly checks?: Partial<Checks>;
}

/** Runs `kernel` once. Throws `LaunchError` for arguments that do not fit, `KernelError` for what a check finds. */
export const interpret = (kernel: Kernel, { checks, ...launch }: InterpretOptions): Execution =>
  prepare(kernel, checks).run(launch);

function gridOf(kernel: Kernel, given: Launch["grid"], sizes: Readonly<Record<string, number>>): number[] {
  if (!given && !kernel.grid)
    throw new LaunchError("GRID", `kernel "${kernel.name}" has no grid of its own: the launch must give one`);
  const grid = given
    ? [given[0], given[1] ?? 1, given[2] ?? 1]
    : kernel.grid!.map((expression) => evaluateGridExpression(expression, sizes));
  for (const extent of grid)
    if (!Number.isInteger(extent) || extent < 0 || extent >= 2 ** 31)
      throw new LaunchError("GRID", `kernel "${kernel.name}": [${grid}] is not a number of programs along each axis`);
  return grid;
}

function runPrograms(machine: Machine, body: PlannedBlock): void {
  const { program, grid } = machine;
  machine.completed = 0;
  for (let z = 0; z < grid[2]!; z++)
    for (let y = 0; y < grid[1]!; y++)
      for (let x = 0; x < grid[0]!; x++) {
        program[0] = x;
        program[1] = y;
        program[2] = z;
        machine.firstNan = undefined;
        body.run();
        machine.completed++;
      }
}

function forgetCounts(block: PlannedBlock): void {
  block.executions = 0;
  block.inner.forEach(forgetCounts);
}

function countsOf(body: PlannedBlock): Pick<Execution, "counts" | "operations"> {
  const counts: Partial<Record<Opcode, number>> = {};
  const operations: OperationCount[] = [];
  const visit = (block: PlannedBlock): void => {
    let next = 0;
    for (const { opcode, location, blocks } of block.operations) {
      counts[opcode] = (counts[opcode] ?? 0) + block.executions;
      operations.push({ opcode, location, count: block.executions });
      for (let i = 0; i < blocks.length; i++) visit(block.inner[next++]!);
    }
  };
  visit(body);
  return { counts, operations };
}
