/**
 * @file Atomic operations. One thread carries out each element's; where others hold copies of it, the old value is handed to them through
 * workgroup memory.
 */
import { elementCount, type Operation, shapeOf } from "../../ir/index.ts";
import { linearElement } from "./debug.ts";
import { overRegisters } from "./exchange.ts";
import { Expr, precedence } from "./expression.ts";
import type { Generator } from "./generator.ts";
import type { Root } from "./groups.ts";
import { heldType, zeroOf } from "./types.ts";
import type { Storage } from "./variables.ts";

const functions: Readonly<Record<string, string>> = {
  add: "atomicAdd",
  max: "atomicMax",
  min: "atomicMin",
  and: "atomicAnd",
  or: "atomicOr",
  xor: "atomicXor",
  exchange: "atomicExchange",
};

export function atomicRoot(generator: Generator, operation: Operation): Root {
  const { operands, opcode, attributes, results } = operation;
  const [pointer, first, second] = operands;
  const distribution = generator.distribution(pointer!);
  const buffer = generator.bindings.of(generator.roots.of(pointer!));
  const { dtype } = buffer.parameter;
  const mask = opcode === "atomic_rmw" ? second : undefined;
  const wanted = generator.analysis.usesOf(results[0]!) > 0;
  let storage: Storage | undefined;
  return {
    distribution,
    operation,
    location: operation.location,
    inputs: operands,
    accesses: [
      { parameter: buffer.parameter.name, kind: "read" },
      { parameter: buffer.parameter.name, kind: "write" },
    ],
    before() {
      if (wanted) {
        storage = generator.variables.declare(results[0]!);
        generator.variables.keep(results[0]!, storage);
      }
    },
    body(index) {
      const { writer } = generator;
      const address = `&${buffer.name}[${generator.elements.of(pointer!, index)}]`;
      const value = generator.elements.of(first!, index);
      // Where the mask is false, the old value is 0, as a masked load would give.
      if (storage && mask)
        writer.line(`${generator.variables.place(storage, index.at)} = ${zeroOf(heldType(results[0]!.type))};`);
      const act = (): void => {
        // f32 addition and comparison are loops of statements, of which only the old value is left to name.
        let old: string;
        let done = false;
        if (opcode === "atomic_cas") {
          old = compareExchange(
            generator,
            address,
            heldType(first!.type),
            value,
            generator.elements.of(second!, index),
          );
          done = true;
        } else if (dtype === "f32" && attributes.kind === "add") {
          old = addFloat(generator, address, value);
          done = true;
        } else if (dtype === "f32") old = `atomicExchange(${address}, bitcast<u32>(${value}))`;
        else old = `${functions[attributes.kind as string]}(${address}, ${value})`;
        if (storage)
          writer.line(
            `${generator.variables.place(storage, index.at)} = ${dtype === "f32" ? `bitcast<f32>(${old})` : old};`,
          );
        else if (!done) writer.line(`${old};`);
      };
      writer.when([generator.invocation.firstCopy(distribution), mask && generator.elements.of(mask, index)], act);
    },
  };
}

/** f32 addition by comparing and exchanging the bits until nobody came between. Gives the name of the old bits. */
function addFloat({ writer }: Generator, address: string, value: Expr): string {
  const old = writer.variable("old", "u32", `atomicLoad(${address})`);
  writer.nest("loop", () => {
    const sum = writer.bind(
      "next",
      new Expr(`bitcast<u32>(bitcast<f32>(${old}) + ${value.in(precedence.product)})`, writer.depth),
    );
    const found = writer.bind("found", new Expr(`atomicCompareExchangeWeak(${address}, ${old}, ${sum})`, writer.depth));
    writer.nest(`if (${found}.exchanged)`, () => writer.line("break;"));
    writer.line(`${old} = ${found}.old_value;`);
  });
  return old.text;
}

/** WGSL's exchange may fail without reason: it is repeated while the memory holds what is expected. */
function compareExchange({ writer }: Generator, address: string, type: string, expected: Expr, value: Expr): string {
  const found = writer.variable("found", type, zeroOf(type));
  writer.nest("loop", () => {
    const result = writer.bind(
      "result",
      new Expr(`atomicCompareExchangeWeak(${address}, ${expected}, ${value})`, writer.depth),
    );
    writer.line(`${found} = ${result}.old_value;`);
    writer.nest(`if (${result}.exchanged || ${found} != ${expected.in(precedence.shift)})`, () =>
      writer.line("break;"),
    );
  });
  return found.text;
}

/** Hands the old values to the threads that hold copies. */
export function finishAtomic(generator: Generator, operation: Operation): void {
  const [result] = operation.results;
  const storage = generator.variables.of(result!);
  if (!storage || storage.distribution.copies === 0) return;
  const { writer, arena } = generator;
  // Copies exist only where the tile has fewer elements than there are threads: it fits.
  arena.begin(elementCount(shapeOf(result!.type)));
  overRegisters(generator, storage.distribution, (index) => {
    const element = linearElement(generator, index);
    writer.when([generator.invocation.firstCopy(storage.distribution)], () =>
      arena.write(element, generator.variables.place(storage, index.at), result!.type),
    );
  });
  arena.publish();
  overRegisters(generator, storage.distribution, (index) =>
    writer.line(
      `${generator.variables.place(storage, index.at)} = ${arena.read(linearElement(generator, index), result!.type)};`,
    ),
  );
}
