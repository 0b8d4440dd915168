/**
 * @file The engine of canonicalization: makes one operation in its simplest form. It folds constants, moves a constant operand to the
 * right, asks the rules of the opcode, and lets elementwise operations sink below the shape operations that made their operands
 * (`splat(a) + splat(b)` becomes `splat(a + b)`), where they have fewer elements to compute. What a rule makes is simplified too.
 */
import {
  type Attributes,
  type Builder,
  type KernelParameter,
  type Location,
  makeOperation,
  type Opcode,
  type Operation,
  ops,
  shapeOf,
  type TileType,
  type Value,
} from "../ir/index.ts";
import { constantOf, foldElementwise, type Scalar } from "./fold.ts";

/**
 * What replaces the operation: the value of its one result, or one value for each result (none for one without results). The
 * operation is not placed yet. Undefined: keep it.
 */
export type Rule = (operation: Operation, make: Maker) => Value | readonly Value[] | undefined;
export type Rules = Partial<Record<Opcode, Rule>>;

/** Makes simplified operations and appends them to the block at hand. */
export class Maker {
  readonly #builder: Builder;
  readonly #rules: Rules;
  readonly #parameters: ReadonlyMap<Value, KernelParameter>;
  #location: Location | undefined;

  constructor(builder: Builder, rules: Rules, parameters: ReadonlyMap<Value, KernelParameter>) {
    this.#builder = builder;
    this.#rules = rules;
    this.#parameters = parameters;
  }

  /** The kernel parameter that a value is, with the facts known of it. */
  parameter(value: Value): KernelParameter | undefined {
    return this.#parameters.get(value);
  }

  /** Places an operation, or what it simplifies to; gives what replaces its results. */
  place(operation: Operation, operands: readonly Value[] = operation.operands): readonly Value[] {
    this.#location = operation.location;
    const unchanged = operands.every((value, i) => value === operation.operands[i]);
    return this.#simplified(unchanged ? operation : withOperands(operation, operands));
  }

  /** The result of a new operation that has one. */
  value(opcode: Opcode, operands: readonly Value[], attributes: Attributes = {}): Value {
    return this.create(opcode, operands, attributes)[0]!;
  }

  create(opcode: Opcode, operands: readonly Value[], attributes: Attributes = {}): readonly Value[] {
    return this.#simplified(makeOperation(opcode, operands, attributes, { location: this.#location }));
  }

  /** A constant of the type of `like`. */
  constant(value: Scalar, like: TileType): Value {
    return this.value("constant", [], { value, dtype: like.dtype, shape: like.shape });
  }

  #simplified(operation: Operation): readonly Value[] {
    const simpler = this.#simpler(operation);
    if (simpler) return "type" in simpler ? [simpler] : simpler;
    return this.#builder.append(operation).results;
  }

  #simpler(operation: Operation): Value | readonly Value[] | undefined {
    const { opcode, operands } = operation;
    const definition = ops[opcode];
    if (definition.elementwise) {
      const folded = foldElementwise(operation);
      if (folded !== undefined) return this.constant(folded, operation.results[0]!.type as TileType);
    }
    if (definition.commutative && constantOf(operands[0]!) !== undefined && constantOf(operands[1]!) === undefined)
      return this.#simplified(withOperands(operation, [operands[1]!, operands[0]!]));
    return this.#rules[opcode]?.(operation, this) ?? (definition.elementwise ? this.#sink(operation) : undefined);
  }

  /** Below `splat`, or one `expand_dims` or `broadcast` that all operands share; splats and constants fit under any of them. */
  #sink(operation: Operation): Value | undefined {
    const shaping = sharedShaping(operation.operands);
    if (!shaping) return undefined;
    const source = shapeOf(shaping.operands[0]!.type);
    const operands = operation.operands.map((operand) => {
      const constant = constantOf(operand);
      if (constant !== undefined) return this.constant(constant, { ...(operand.type as TileType), shape: source });
      const below = operand.definition!.operands[0]!;
      return operand.definition!.opcode === shaping.opcode ? below : this.value("splat", [below], { shape: source });
    });
    return this.value(
      shaping.opcode,
      [this.value(operation.opcode, operands, operation.attributes)],
      shaping.attributes,
    );
  }
}

function withOperands(operation: Operation, operands: readonly Value[]): Operation {
  const { opcode, attributes, location, results } = operation;
  return makeOperation(opcode, operands, attributes, { location, names: results.map((value) => value.name) });
}

/** The shape operation that made all operands but splats and constants; a splat if there are no others. */
function sharedShaping(operands: readonly Value[]): Operation | undefined {
  let shaping: Operation | undefined;
  for (const { definition } of operands) {
    switch (definition?.opcode) {
      case "constant":
        break;
      case "splat":
        shaping ??= definition;
        break;
      case "expand_dims":
      case "broadcast":
        if (!shaping || shaping.opcode === "splat") shaping = definition;
        else if (!sameShaping(shaping, definition)) return undefined;
        break;
      default:
        return undefined;
    }
  }
  return shaping;
}

/** Operands have one shape, so that the same source shape means the same broadcast, and the same axis the same expand_dims. */
function sameShaping(a: Operation, b: Operation): boolean {
  if (a.opcode !== b.opcode) return false;
  if (a.opcode === "expand_dims") return a.attributes.axis === b.attributes.axis;
  return shapeOf(a.operands[0]!.type).join() === shapeOf(b.operands[0]!.type).join();
}
