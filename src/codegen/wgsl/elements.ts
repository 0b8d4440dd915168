/**
 * @file The heart of code generation: the expression of one element of a value, computed in place if the value is virtual and read from its variable or
 * array if it is not.
 */
import { type Operation, ops, type Value } from "../../ir/index.ts";
import { renames } from "./analysis.ts";
import { elementwiseExpression } from "./arithmetic.ts";
import { atom, call, deepest, Expr, literal, precedence } from "./expression.ts";
import type { Generator } from "./generator.ts";
import { loadElement, viewOf } from "./loads.ts";
import { nameOf } from "./names.ts";
import { freeIndex, heldIndex, indexKey, laneOf, sourceIndex, type TileIndex } from "./tile-index.ts";
import { isPlain } from "./writer.ts";

export class Elements {
  readonly #generator: Generator;
  readonly #ids = new Map<Value, number>();

  constructor(generator: Generator) {
    this.#generator = generator;
  }

  /** A number that only this value has, for keys. */
  idOf(value: Value): number {
    let id = this.#ids.get(value);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(value, id);
    }
    return id;
  }

  /** A scalar value. */
  scalar(value: Value): Expr {
    return this.of(value, heldIndex(this.#generator.distribution(value), []));
  }

  /** The low word of an integer scalar, as i32. */
  word(value: Value): Expr {
    const source = value.definition;
    // The stride of a view is a word here: no detour through its 64-bit form.
    if (source?.opcode === "view_stride")
      return viewOf(this.#generator, source.operands[0]!).strides[source.attributes.axis as number]!;
    return this.#lowWord(value, this.scalar(value));
  }

  /** The four elements of `value` that start at `base` along `axis`. */
  quad(value: Value, base: TileIndex, axis: number): readonly Expr[] {
    return [0, 1, 2, 3].map((offset) => this.of(value, laneOf(base, axis, offset)));
  }

  /** The expression of one element of a value, as held (see types.ts); of a pointer, the element offset in its buffer. */
  of(value: Value, index: TileIndex): Expr {
    const { variables, writer } = this.#generator;
    // With the place: what was computed before a value was stored may read variables that have changed since.
    const key = `${this.idOf(value)} ${variables.of(value)?.name ?? ""} ${indexKey(index)}`;
    const known = writer.recall(key);
    if (known) return known;
    const expression = this.#compute(value, index);
    writer.remember(key, expression);
    return expression;
  }

  #compute(value: Value, index: TileIndex): Expr {
    const { variables, writer, invocation, library } = this.#generator;
    const storage = variables.of(value);
    const operation = value.definition;
    // By coordinates alone, what threads hold cannot be reached; but what is virtual can be computed again.
    const reachable = index.distribution || storage?.distribution.rank === 0;
    if (storage && (reachable || !operation || this.#generator.analysis.isAnchor(operation))) {
      if (!reachable) throw new Error(`${nameOf(value)} is held by threads: a bug in Tilewright`);
      const place = variables.place(storage, index.at);
      return storage.distribution.registers === 1 || index.at.every(({ constant }) => constant !== undefined)
        ? place
        : writer.bind(`${nameOf(value)}_i`, place);
    }
    if (!operation) return this.#parameter(value);
    const { opcode, operands, attributes } = operation;
    const floor = this.#generator.depthOf(operation);
    switch (opcode) {
      case "constant":
        return this.#generator.constants.of(attributes.value as number, value.type.dtype);
      case "program_id":
        return invocation.program(attributes.axis as number);
      case "num_programs":
        return invocation.programs(attributes.axis as number);
      case "arange":
        return this.#named(value, this.coordinate(index, 0).plus(literal(attributes.start as number)), floor);
      case "load":
      case "view_load":
        return writer.bind(
          nameOf(value),
          loadElement(this.#generator, operation, index).within(Math.max(floor, writer.conditionalDepth)),
        );
      case "add_pointer": {
        const [pointer, offset] = operands.map((operand) => this.of(operand, index)) as [Expr, Expr];
        return this.#named(value, pointer.plus(this.#lowWord(operands[1]!, offset)), floor);
      }
      case "view_pointer":
        return viewOf(this.#generator, operands[0]!).offset;
      case "view_size":
        return viewOf(this.#generator, operands[0]!).sizes[attributes.axis as number]!;
      case "view_stride":
        return call(
          library.use("i64_from_i32"),
          viewOf(this.#generator, operands[0]!).strides[attributes.axis as number]!,
        );
      case "cast":
        if (operands[0]!.definition?.opcode === "view_stride" && attributes.dtype === "i32")
          return this.word(operands[0]!);
        break;
      case "convert_layout": {
        const own = this.#generator.distribution(operands[0]!);
        if (!index.distribution || own.key === index.distribution.key) return this.of(operands[0]!, index);
        return this.of(operands[0]!, this.#freed(index));
      }
      default:
    }
    if (renames(operation)) return this.#renamed(operation, value, index);
    if (!ops[opcode].elementwise) throw new Error(`${opcode} was not carried out before its use: a bug in Tilewright`);
    const inputs = this.#level(
      operands,
      operands.map((operand) => this.of(operand, index)),
    );
    return this.#named(value, elementwiseExpression(operation, inputs, library), floor);
  }

  /** The low word of an offset of any integer dtype, as i32. */
  #lowWord({ type }: Value, offset: Expr): Expr {
    if (type.dtype === "u32") return call("bitcast<i32>", offset);
    return type.dtype === "i64" ? atom(`bitcast<i32>(${offset.in(precedence.atom)}.x)`, offset.depth) : offset;
  }

  #renamed(operation: Operation, value: Value, index: TileIndex): Expr {
    const source = (operand: Value) =>
      this.of(
        operand,
        sourceIndex(operation, operation.results.indexOf(value), index, this.#generator.distribution(operand)),
      );
    if (operation.opcode !== "join") return source(operation.operands[0]!);
    if (index.distribution && !index.distribution.isLocal(index.at.length - 1))
      return this.of(value, this.#freed(index));
    const last = this.coordinate(index, index.at.length - 1);
    if (last.constant !== undefined) return source(operation.operands[last.constant]!);
    const [a, b] = operation.operands.map(source) as [Expr, Expr];
    return call("select", a, b, new Expr(`${last.in(precedence.shift)} == 1`, last.depth, 0));
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
    const { kernel, bindings, writer, library } = this.#generator;
    const at = kernel.body.parameters.indexOf(value);
    const parameter = kernel.parameters[at]!;
    if (parameter.kind === "pointer") return atom(bindings.field(`${parameter.name}.offset`), 0);
    const field = atom(bindings.field(parameter.name), 0);
    if (parameter.dtype === "bool") return writer.bind(parameter.name, new Expr(`${field} != 0`, 0, 0));
    if (parameter.dtype === "f16" || parameter.dtype === "bf16")
      return writer.bind(parameter.name, call(library.use(`${parameter.dtype}_round`), field));
    return field;
  }

  /** The coordinate along `axis` that an index stands for. */
  coordinate(index: TileIndex, axis: number): Expr {
    const { writer, invocation } = this.#generator;
    const { distribution } = index;
    const at = index.at[axis]!;
    if (!distribution) return at;
    const axisName =
      distribution.rank === 2 ? ["row", "column"][axis]! : distribution.rank === 1 ? "position" : `axis${axis}`;
    const threadPart = writer.bindIndex(`thread_${axisName}`, distribution.threadPart(axis, invocation.thread));
    const coordinate = threadPart.plus(distribution.registerPart(axis, at));
    return at.constant === undefined ? writer.bindIndex(axisName, coordinate) : coordinate;
  }

  /** Gives operands that belong further out than the others a name there, so that they are computed once. */
  #level(values: readonly Value[], expressions: readonly Expr[]): readonly Expr[] {
    const depth = deepest(expressions);
    const constants = expressions.every((expression) => expression.depth === 0 && /^-?[\d.]/.test(expression.text));
    return expressions.map((expression, i) =>
      // An expression of literals only would be evaluated by the shader compiler, which rejects overflow.
      (expression.depth < depth && !isPlain(expression)) || (constants && i === 0)
        ? this.#generator.writer.bindAnew(nameOf(values[i]!), expression)
        : expression,
    );
  }

  /** Binds an expression to the value's name if it is used more than once or has become long. */
  #named(value: Value, expression: Expr, floor: number): Expr {
    const { analysis, writer } = this.#generator;
    const placed = expression.within(floor);
    const repeated = analysis.usesOf(value) > 1 || expression.text.length > 60 || value.name !== undefined;
    return repeated && expression.constant === undefined ? writer.bind(nameOf(value), placed) : placed;
  }
}
