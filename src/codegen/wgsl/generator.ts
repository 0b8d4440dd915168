/**
 * @file The state of one compilation, and the heart of code generation: `element`, which gives the expression of one element of a
 * value, computing it in place if it is virtual and reading it from its variable or array if it is not.
 */
import type { Block, DType, Kernel, Operation, Value } from "../../ir/index.ts";
import { ops } from "../../ir/index.ts";
import { type AxisAnalysis, analyzeAxes } from "../../passes/index.ts";
import { PointerRoots } from "../access.ts";
import { Analysis, isShape } from "./analysis.ts";
import { Arena } from "./arena.ts";
import { elementwiseExpression } from "./arithmetic.ts";
import type { Bindings } from "./bindings.ts";
import { isSoftware, type WgslCapabilities } from "./capabilities.ts";
import { DebugSites } from "./debug.ts";
import type { Distribution } from "./distribution.ts";
import { chainDots, isFree, planDots } from "./dot-plan.ts";
import { atom, call, compare, deepest, Expr, literal, precedence } from "./expression.ts";
import { Groups } from "./groups.ts";
import { Hazards } from "./hazards.ts";
import type { Library } from "./library.ts";
import { loadElement, type View, viewOf } from "./loads.ts";
import type { Names } from "./names.ts";
import { freeIndex, heldIndex, indexKey, laneOf, sourceIndex, type TileIndex } from "./tile-index.ts";
import { constant, heldType, zeroOf } from "./types.ts";
import { isPlain, Writer } from "./writer.ts";

/** Where a value that is not virtual is kept: an array with one element a register, or one variable. */
export interface Storage {
  readonly name: string;
  readonly distribution: Distribution;
  /** Depth of the block from which on it holds the value. */
  readonly depth: number;
}

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
  readonly arena: Arena;
  readonly groups: Groups;
  readonly hazards: Hazards;
  readonly debugSites = new DebugSites();
  /** The number of threads of a workgroup. */
  readonly threads: number;
  readonly storages = new Map<Value, Storage>();
  /** The parts of views that are carried by loops or come out of branches. */
  readonly views = new Map<Value, View>();
  /** Whether each scalar is provably the same for all threads in the eyes of WGSL's uniformity analysis. */
  readonly uniform = new Set<Value>();
  /** Built-in values that the code uses. */
  readonly builtins = new Map<string, string>();
  readonly #distributions = new Map<Value, Distribution>();
  readonly #distributionOf: (value: Value) => Distribution;
  readonly #depths = new Map<Block, number>();
  readonly #ids = new Map<Value, number>();
  /** Variables of blocks that are done, by name and type. */
  readonly #free = new Map<string, string[]>();
  /** The variables of the blocks being generated, innermost last. */
  readonly #taken: (readonly [key: string, variable: string])[][] = [];
  #opaque: string | undefined;

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
    this.writer = new Writer(this.names);
    const writable = (load: Operation): boolean =>
      ops[load.opcode].effect === "read" && this.bindings.of(this.roots.of(load.operands[0]!)).access !== "read";
    const distributionOf = (value: Value) => this.distribution(value);
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

  // --- facts ------------------------------------------------------------------------------------------------------------------

  distribution(value: Value): Distribution {
    let distribution = this.#distributions.get(value);
    if (!distribution) {
      distribution = this.#distributionOf(value);
      this.#distributions.set(value, distribution);
    }
    return distribution;
  }

  /** Generates the code of a block. What is declared for its values can serve other blocks afterwards. */
  inBlock(block: Block, fill: () => void): void {
    this.#depths.set(block, this.writer.depth);
    this.#taken.push([]);
    fill();
    for (const [key, variable] of this.#taken.pop()!) {
      const free = this.#free.get(key);
      if (free) free.push(variable);
      else this.#free.set(key, [variable]);
    }
  }

  /** The depth of the block that an operation stands in: nothing is computed further out. */
  depthOf(operation: Operation): number {
    return this.#depths.get(this.analysis.blockOf(operation))!;
  }

  idOf(value: Value): number {
    let id = this.#ids.get(value);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(value, id);
    }
    return id;
  }

  nameOf(value: Value): string {
    return value.name ?? defaultNames[value.definition?.opcode ?? ""] ?? value.definition?.opcode ?? "value";
  }

  // --- built-in values --------------------------------------------------------------------------------------------------------

  /** The index of this thread in its workgroup. */
  get thread(): Expr {
    return this.#builtin("thread", "local_invocation_index", (input) => `i32(${input})`);
  }

  program(axis: number): Expr {
    return this.#builtin(`program_${"xyz"[axis]}`, "workgroup_id", (input) => `i32(${input}.${"xyz"[axis]})`);
  }

  programs(axis: number): Expr {
    return this.#builtin(`programs_${"xyz"[axis]}`, "num_workgroups", (input) => `i32(${input}.${"xyz"[axis]})`);
  }

  #builtin(name: string, builtin: string, convert: (input: string) => string): Expr {
    const key = `builtin ${name}`;
    const known = this.writer.recall(key);
    if (known) return known;
    const expression = this.writer.bind(name, atom(convert(this.input(builtin)), 0));
    this.writer.remember(key, expression);
    return expression;
  }

  /** This thread's number in groups of `lanes` lanes that are neighbours in a subgroup. */
  subgroupLane(lanes: number): Expr {
    return this.#builtin(`lane_of_${lanes}`, "subgroup_invocation_id", (input) => `i32(${input} & ${lanes - 1}u)`);
  }

  /** The parameter of the entry function for a built-in value. */
  input(builtin: string): string {
    let name = this.builtins.get(builtin);
    if (!name) {
      name = this.names.unique(builtin);
      this.builtins.set(builtin, name);
    }
    return name;
  }

  /** A u32 that is 0, which no driver can know: keeps constants from being evaluated and loops from being unrolled. */
  opaqueZero(): string {
    if (!this.#opaque) {
      const field = this.bindings.opaqueField;
      const source = field ? `u32(${field}) >> 31u` : `${this.input("num_workgroups")}.x >> 31u`;
      this.#opaque = this.writer.bind("zero", new Expr(source, 0, 0)).text;
    }
    return this.#opaque;
  }

  /** A constant; what WGSL cannot write as a literal is computed once. */
  constant(value: number | bigint | boolean, dtype: DType): Expr {
    const expression = constant(value, dtype, () => this.opaqueZero());
    if (!expression.text.startsWith("bitcast")) return expression;
    const key = `constant ${expression}`;
    const name = Number.isNaN(Number(value)) ? "nan" : Number(value) > 0 ? "infinity" : "minus_infinity";
    const bound = this.writer.recall(key) ?? this.writer.bind(name, expression);
    this.writer.remember(key, bound);
    return bound;
  }

  /** The bound of a loop over registers, in a form that a CPU driver does not unroll. */
  loopBound(count: number): string {
    if (!isSoftware(this.capabilities)) return String(count);
    const key = `bound ${count}`;
    const known = this.writer.recall(key);
    if (known) return known.text;
    const expression = this.writer.bind(
      `count_${count}`.replace("-", "minus_"),
      new Expr(`${count} + i32(${this.opaqueZero()})`, 0, 0),
    );
    this.writer.remember(key, expression);
    return expression.text;
  }

  /** The condition under which this thread, of those that hold copies of the same elements, is the one to act; undefined if it is alone. */
  firstCopy({ copies, threadBits }: Distribution): Expr | undefined {
    if (copies === 0) return undefined;
    const differing = copies === (1 << threadBits) - 1 ? this.thread : this.thread.mask(copies);
    return compare(atom(`${differing.in(precedence.unary)}`, 0), "==", literal(0));
  }

  // --- storage ----------------------------------------------------------------------------------------------------------------

  /** A new place for the elements of `value`, which hold nothing yet. */
  declare(value: Value): Storage {
    return this.declareAs(this.nameOf(value), heldType(value.type), this.distribution(value));
  }

  declareAs(name: string, type: string, distribution: Distribution): Storage {
    const { registers } = distribution;
    const wgslType = registers > 1 ? `array<${type}, ${registers}>` : type;
    const key = `${name}: ${wgslType}`;
    let variable = this.#free.get(key)?.pop();
    if (!variable) {
      variable = this.names.unique(name);
      // At the outermost depth, so that the initialiser runs once and not once a turn of a loop.
      this.writer.line(`var ${variable}: ${wgslType} = ${registers > 1 ? `${wgslType}()` : zeroOf(type)};`, 0);
    }
    this.#taken.at(-1)!.push([key, variable]);
    return { name: variable, distribution, depth: this.writer.depth };
  }

  /** The element of a storage at register indices `at`. */
  place({ name, distribution, depth }: Storage, at: readonly Expr[]): Expr {
    if (distribution.registers === 1) return atom(name, depth);
    const register = distribution.register(at);
    return atom(`${name}[${register}]`, Math.max(depth, register.depth));
  }

  // --- elements ---------------------------------------------------------------------------------------------------------------

  /** A scalar value. */
  scalar(value: Value): Expr {
    return this.element(value, heldIndex(this.distribution(value), []));
  }

  /** The low word of an integer scalar, as i32. */
  word(value: Value): Expr {
    const source = value.definition;
    // The stride of a view is a word here: no detour through its 64-bit form.
    if (source?.opcode === "view_stride")
      return viewOf(this, source.operands[0]!).strides[source.attributes.axis as number]!;
    return this.#lowWord(value, this.scalar(value));
  }

  /** The four elements of `value` that start at `base` along `axis`. */
  quad(value: Value, base: TileIndex, axis: number): readonly Expr[] {
    return [0, 1, 2, 3].map((offset) => this.element(value, laneOf(base, axis, offset)));
  }

  /** The expression of one element of a value, as held (see types.ts); of a pointer, the element offset in its buffer. */
  element(value: Value, index: TileIndex): Expr {
    // With the place: what was computed before a value was stored may read variables that have changed since.
    const key = `${this.idOf(value)} ${this.storages.get(value)?.name ?? ""} ${indexKey(index)}`;
    const known = this.writer.recall(key);
    if (known) return known;
    const expression = this.#compute(value, index);
    this.writer.remember(key, expression);
    return expression;
  }

  #compute(value: Value, index: TileIndex): Expr {
    const storage = this.storages.get(value);
    const operation = value.definition;
    // By coordinates alone, what threads hold cannot be reached; but what is virtual can be computed again.
    const reachable = index.distribution || storage?.distribution.rank === 0;
    if (storage && (reachable || !operation || this.analysis.isAnchor(operation))) {
      if (!reachable) throw new Error(`${this.nameOf(value)} is held by threads: a bug in Tilewright`);
      const place = this.place(storage, index.at);
      return storage.distribution.registers === 1 || index.at.every(({ constant }) => constant !== undefined)
        ? place
        : this.writer.bind(`${this.nameOf(value)}_i`, place);
    }
    if (!operation) return this.#parameter(value);
    const { opcode, operands, attributes } = operation;
    const floor = this.depthOf(operation);
    switch (opcode) {
      case "constant":
        return this.constant(attributes.value as number, value.type.dtype);
      case "program_id":
        return this.program(attributes.axis as number);
      case "num_programs":
        return this.programs(attributes.axis as number);
      case "arange":
        return this.#named(value, this.coordinate(index, 0).plus(literal(attributes.start as number)), floor);
      case "load":
      case "view_load":
        return this.writer.bind(
          this.nameOf(value),
          atFloor(loadElement(this, operation, index), Math.max(floor, this.writer.conditionalDepth)),
        );
      case "add_pointer": {
        const [pointer, offset] = operands.map((operand) => this.element(operand, index)) as [Expr, Expr];
        return this.#named(value, pointer.plus(this.#lowWord(operands[1]!, offset)), floor);
      }
      case "view_pointer":
        return viewOf(this, operands[0]!).offset;
      case "view_size":
        return viewOf(this, operands[0]!).sizes[attributes.axis as number]!;
      case "view_stride":
        return call(this.library.use("i64_from_i32"), viewOf(this, operands[0]!).strides[attributes.axis as number]!);
      case "cast":
        if (operands[0]!.definition?.opcode === "view_stride" && attributes.dtype === "i32")
          return this.word(operands[0]!);
        break;
      case "convert_layout": {
        const own = this.distribution(operands[0]!);
        if (!index.distribution || own.key === index.distribution.key) return this.element(operands[0]!, index);
        return this.element(operands[0]!, this.#freed(index));
      }
      default:
    }
    if (isShape(operation)) return this.#renamed(operation, value, index);
    if (!ops[opcode].elementwise) throw new Error(`${opcode} was not carried out before its use: a bug in Tilewright`);
    const inputs = this.#level(
      operands,
      operands.map((operand) => this.element(operand, index)),
    );
    return this.#named(value, elementwiseExpression(operation, inputs, this.library), floor);
  }

  /** The low word of an offset of any integer dtype, as i32. */
  #lowWord({ type }: Value, offset: Expr): Expr {
    if (type.dtype === "u32") return call("bitcast<i32>", offset);
    return type.dtype === "i64" ? atom(`bitcast<i32>(${offset.in(8)}.x)`, offset.depth) : offset;
  }

  #renamed(operation: Operation, value: Value, index: TileIndex): Expr {
    const source = (operand: Value) =>
      this.element(
        operand,
        sourceIndex(operation, operation.results.indexOf(value), index, this.distribution(operand)),
      );
    if (operation.opcode !== "join") return source(operation.operands[0]!);
    if (index.distribution && !index.distribution.isLocal(index.at.length - 1))
      return this.element(value, this.#freed(index));
    const last = this.coordinate(index, index.at.length - 1);
    if (last.constant !== undefined) return source(operation.operands[last.constant]!);
    const [a, b] = operation.operands.map(source) as [Expr, Expr];
    return call("select", a, b, new Expr(`${last.in(4)} == 1`, last.depth, 0));
  }

  /** The same element by its coordinates. */
  #freed(index: TileIndex): TileIndex {
    const coordinates = (of: TileIndex) => of.at.map((_, axis) => this.coordinate(of, axis));
    const free = freeIndex(coordinates(index));
    const { lane, distribution } = index;
    // Neighbouring registers must be neighbouring elements.
    if (!lane || distribution!.registerBits(lane.axis)[0] !== 0 || distribution!.registerBits(lane.axis)[1] !== 1)
      return free;
    return { ...free, lane: { ...lane, base: freeIndex(coordinates(lane.base)) } };
  }

  #parameter(value: Value): Expr {
    const at = this.kernel.body.parameters.indexOf(value);
    const parameter = this.kernel.parameters[at]!;
    if (parameter.kind === "pointer") return atom(this.bindings.field(`${parameter.name}.offset`), 0);
    const field = atom(this.bindings.field(parameter.name), 0);
    if (parameter.dtype === "bool") return this.writer.bind(parameter.name, new Expr(`${field} != 0`, 0, 0));
    if (parameter.dtype === "f16" || parameter.dtype === "bf16")
      return this.writer.bind(parameter.name, call(this.library.use(`${parameter.dtype}_round`), field));
    return field;
  }

  /** The coordinate along `axis` that an index stands for. */
  coordinate(index: TileIndex, axis: number): Expr {
    const { distribution } = index;
    const at = index.at[axis]!;
    if (!distribution) return at;
    const axisName =
      distribution.rank === 2 ? ["row", "column"][axis]! : distribution.rank === 1 ? "position" : `axis${axis}`;
    const threadPart = this.writer.bindIndex(`thread_${axisName}`, distribution.threadPart(axis, this.thread));
    const coordinate = threadPart.plus(distribution.registerPart(axis, at));
    return at.constant === undefined ? this.writer.bindIndex(axisName, coordinate) : coordinate;
  }

  /** Gives operands that belong further out than the others a name there, so that they are computed once. */
  #level(values: readonly Value[], expressions: readonly Expr[]): readonly Expr[] {
    const depth = deepest(expressions);
    const constants = expressions.every((expression) => expression.depth === 0 && /^-?[\d.]/.test(expression.text));
    return expressions.map((expression, i) =>
      // An expression of literals only would be evaluated by the shader compiler, which rejects overflow.
      (expression.depth < depth && !isPlain(expression)) || (constants && i === 0)
        ? this.bindForced(this.nameOf(values[i]!), expression)
        : expression,
    );
  }

  bindForced(name: string, expression: Expr): Expr {
    if (!isPlain(expression)) return this.writer.bind(name, expression);
    if (!/^-?[\d.]/.test(expression.text)) return expression;
    const unique = this.names.unique(name);
    this.writer.line(`let ${unique} = ${expression.text};`, expression.depth);
    return atom(unique, expression.depth);
  }

  /** Binds an expression to the value's name if it is used more than once or has become long. */
  #named(value: Value, expression: Expr, floor: number): Expr {
    const placed = atFloor(expression, floor);
    const repeated = this.analysis.usesOf(value) > 1 || expression.text.length > 60 || value.name !== undefined;
    return repeated && expression.constant === undefined ? this.writer.bind(this.nameOf(value), placed) : placed;
  }
}

/** The same expression, not to be computed further out than `floor`. */
const atFloor = (expression: Expr, floor: number): Expr =>
  expression.depth >= floor ? expression : new Expr(expression.text, floor, expression.binding, expression.constant);

/** What values without a name of the author's are called, where the opcode says little or is a function of WGSL. */
const defaultNames: Readonly<Record<string, string>> = {
  add: "sum",
  sub: "difference",
  mul: "product",
  div: "quotient",
  rem: "remainder",
  neg: "negated",
  abs: "magnitude",
  exp: "exponential",
  exp2: "power",
  log: "logarithm",
  log2: "logarithm",
  sqrt: "root",
  fma: "fused",
  compare: "condition",
  and: "both",
  or: "either",
  arange: "index",
  load: "loaded",
  view_load: "loaded",
  add_pointer: "address",
  select: "selected",
  reduce: "reduced",
  scan: "scanned",
  max: "largest",
  min: "smallest",
  dot: "products",
  cast: "converted",
  convert_layout: "moved",
  atomic_rmw: "old",
  atomic_cas: "old",
  if: "chosen",
  loop: "carried",
};
