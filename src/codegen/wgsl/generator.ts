/** @file The state of one compilation: what is known of the kernel, and the parts of the code generator, each of which sees the others through it. */
import { type Block, type Kernel, type Operation, ops, type Value } from "../../ir/index.ts";
import { type AxisAnalysis, analyzeAxes } from "../../passes/index.ts";
import { PointerRoots } from "../access.ts";
import { Analysis } from "./analysis.ts";
import { Arena } from "./arena.ts";
import type { Bindings } from "./bindings.ts";
import { isSoftware, type WgslCapabilities } from "./capabilities.ts";
import { Constants } from "./constants.ts";
import { DebugSites } from "./debug.ts";
import type { Distribution } from "./distribution.ts";
import { chainDots, isFree, planDots } from "./dot-plan.ts";
import { Elements } from "./elements.ts";
import { Groups } from "./groups.ts";
import { Hazards } from "./hazards.ts";
import { Invocation } from "./invocation.ts";
import type { Library } from "./library.ts";
import type { View } from "./loads.ts";
import type { Names } from "./names.ts";
import { Variables } from "./variables.ts";
import { Writer } from "./writer.ts";

/** What the parts of the code generator share. */
export class Generator {
  readonly kernel: Kernel;
  readonly capabilities: WgslCapabilities;
  readonly names: Names;
  readonly library: Library;
  readonly bindings: Bindings;
  readonly roots: PointerRoots;
  readonly analysis: Analysis;
  /** For each dot that ends a chain the dots of the chain; the others are carried out with it. */
  readonly chains: ReadonlyMap<Operation, readonly Operation[]>;
  readonly axes: AxisAnalysis;
  readonly writer: Writer;
  readonly invocation: Invocation;
  readonly constants: Constants;
  readonly variables: Variables;
  readonly elements: Elements;
  readonly arena: Arena;
  readonly groups: Groups;
  readonly hazards: Hazards;
  readonly debugSites = new DebugSites();
  /** The number of threads of a workgroup. */
  readonly threads: number;
  /** The parts of views that are carried by loops or come out of branches. */
  readonly views = new Map<Value, View>();
  /** Whether each scalar is provably the same for all threads in the eyes of WGSL's uniformity analysis. */
  readonly uniform = new Set<Value>();
  readonly #distributions = new Map<Value, Distribution>();
  readonly #distributionOf: (value: Value) => Distribution;
  readonly #depths = new Map<Block, number>();

  constructor(options: {
    kernel: Kernel;
    capabilities: WgslCapabilities;
    names: Names;
    library: Library;
    bindings: Bindings;
    distributionOf: (value: Value) => Distribution;
    threads: number;
  }) {
    this.kernel = options.kernel;
    this.capabilities = options.capabilities;
    this.names = options.names;
    this.library = options.library;
    this.bindings = options.bindings;
    this.threads = options.threads;
    this.#distributionOf = options.distributionOf;
    this.roots = new PointerRoots(this.kernel);
    this.axes = analyzeAxes(this.kernel);
    const distributionOf = (value: Value) => this.distribution(value);
    this.writer = new Writer(this.names);
    this.invocation = new Invocation(this.writer);
    this.constants = new Constants(this.writer, this.bindings, this.invocation, isSoftware(this.capabilities));
    this.variables = new Variables(this.writer, distributionOf);
    this.elements = new Elements(this);
    const writable = (load: Operation): boolean =>
      ops[load.opcode].effect === "read" && this.bindings.of(this.roots.of(load.operands[0]!)).access !== "read";
    const exchanges = (conversion: Operation): boolean => {
      const [operand] = conversion.operands;
      const moves = distributionOf(operand!).key !== distributionOf(conversion.results[0]!).key;
      // On a CPU it is cheaper to load again than to pass values between threads.
      return moves && !(isSoftware(this.capabilities) && isFree(operand!, writable));
    };
    const plans = planDots(this.kernel, distributionOf, writable, this.capabilities);
    this.analysis = new Analysis(this.kernel, plans, distributionOf, writable, exchanges);
    this.chains = chainDots(this.kernel, this.analysis, writable);
    this.arena = new Arena(this);
    this.groups = new Groups(this);
    this.hazards = new Hazards(this);
    this.#depths.set(this.kernel.body, 0);
  }

  distribution(value: Value): Distribution {
    let distribution = this.#distributions.get(value);
    if (!distribution) {
      distribution = this.#distributionOf(value);
      this.#distributions.set(value, distribution);
    }
    return distribution;
  }

  /** Generates the code of a block. */
  inBlock(block: Block, fill: () => void): void {
    this.#depths.set(block, this.writer.depth);
    this.variables.inBlock(fill);
  }

  /** The depth of the block that an operation stands in: nothing is computed further out. */
  depthOf(operation: Operation): number {
    return this.#depths.get(this.analysis.blockOf(operation))!;
  }
}
