/**
 * @file The body of an entry: nested scopes of registers, variables and labels, and instructions with their operands resolved.
 */
import { PtxError } from "../errors.ts";
import type { Cursor } from "./cursor.ts";
import type { Guard, Instruction, Operand, Parameter, RegisterName, Variable } from "./tree.ts";
import { ptxTypes } from "./types.ts";
import { float64Of, parseVariables } from "./variables.ts";

export interface BodyScope {
  readonly variables: ReadonlyMap<string, Variable>;
  readonly functions: ReadonlySet<string>;
  readonly files: ReadonlyMap<string, string>;
  readonly parameters: readonly Parameter[];
}

export interface Body {
  readonly instructions: readonly Instruction[];
  readonly variables: readonly Variable[];
}

interface Scope {
  readonly outer: Scope | undefined;
  readonly names: Map<string, RegisterName | Variable>;
  readonly labels: Map<string, number>;
  /** Lists of labels declared by `.branchtargets`. */
  readonly tables: Map<string, readonly string[]>;
}

type Draft = Omit<Instruction, "targets"> & { readonly scope: Scope };

/** From `{` to `}`. */
export function parseBody(cursor: Cursor, module: BodyScope): Body {
  const drafts: Draft[] = [];
  const variables: Variable[] = [];
  const opened = (outer: Scope | undefined): Scope => ({
    outer,
    names: new Map(),
    labels: new Map(),
    tables: new Map(),
  });
  let scope = opened(undefined);
  let source: string | undefined;
  for (const { variable } of module.parameters) scope.names.set(variable.name, variable);

  const lookUp = <T>(from: Scope, map: (scope: Scope) => Map<string, T>, name: string): T | undefined => {
    for (let at: Scope | undefined = from; at; at = at.outer) {
      const found = map(at).get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const named = (name: string): RegisterName | Variable | undefined =>
    lookUp(scope, ({ names }) => names, name) ?? module.variables.get(name);

  const declareRegisters = (): void => {
    const word = cursor.word("a type");
    const type = ptxTypes.get(word.slice(1));
    if (!type) cursor.fail(`unknown register type ${word}`);
    do {
      const name = cursor.word("a register's name");
      if (cursor.accept("<")) {
        const count = Number(cursor.integer());
        cursor.expect(">");
        for (let i = 0; i < count; i++)
          scope.names.set(`${name}${i}`, { kind: "register", name: `${name}${i}`, type: type! });
      } else scope.names.set(name, { kind: "register", name, type: type! });
    } while (cursor.accept(","));
    cursor.expect(";");
  };

  const directive = (): void => {
    const word = cursor.take().text;
    switch (word) {
      case ".reg":
        declareRegisters();
        return;
      case ".shared":
      case ".local":
      case ".param":
        // The parameters of a call are memory of the thread, as local variables are.
        for (const variable of parseVariables(cursor, word === ".shared" ? "shared" : "local")) {
          variables.push(variable);
          scope.names.set(variable.name, variable);
        }
        cursor.expect(";");
        return;
      case ".loc": {
        const [file, line] = [cursor.take().text, cursor.take()];
        source = `${module.files.get(file) ?? file}:${line.text}`;
        while (cursor.token.line === line.line && !cursor.at("}")) cursor.take();
        return;
      }
      case ".pragma":
        cursor.take();
        cursor.expect(";");
        return;
      default:
        cursor.fail(`unknown directive ${word}`);
    }
  };

  const operand = (): Operand => {
    const { token } = cursor;
    if (cursor.accept("!")) return { kind: "not", operand: operand() };
    if (cursor.accept("{")) {
      const elements = commaSeparated(cursor, operand, "}");
      return { kind: "vector", elements };
    }
    if (cursor.accept("(")) return { kind: "list", elements: commaSeparated(cursor, operand, ")") };
    if (cursor.accept("[")) {
      const address = memory();
      cursor.expect("]");
      return address;
    }
    if (token.kind === "float32") {
      cursor.take();
      return { kind: "float32", bits: Number.parseInt(token.text.slice(2), 16) };
    }
    const negative = cursor.at("-") && cursor.peek(1).kind === "float64";
    if (negative || token.kind === "float64") {
      if (negative) cursor.take();
      return { kind: "float64", value: (negative ? -1 : 1) * float64Of(cursor.take().text) };
    }
    if (token.kind !== "word" || token.text === "WARP_SZ") return { kind: "integer", value: cursor.integer() };
    cursor.take();
    if (token.text === "_") return { kind: "sink" };
    const found = named(token.text);
    if (found?.kind === "register")
      return cursor.accept("|") ? { kind: "pair", first: found, second: operand() } : found;
    if (found)
      return { kind: "variable-address", variable: found, addend: cursor.at("+") ? Number(cursor.integer()) : 0 };
    if (token.text.startsWith("%")) return { kind: "special", name: token.text };
    return { kind: "name", name: token.text };
  };

  const memory = (): Operand => {
    if (cursor.token.kind !== "word") return { kind: "memory", base: undefined, offset: Number(cursor.integer()) };
    const { text, line } = cursor.take();
    const base = named(text);
    if (!base) throw new PtxError("PTX_UNKNOWN_SYMBOL", line, `${text} is not declared`);
    return { kind: "memory", base, offset: cursor.at("+") || cursor.at("-") ? Number(cursor.integer()) : 0 };
  };

  const instruction = (): void => {
    const first = cursor.token;
    let guard: Guard | undefined;
    if (cursor.accept("@")) {
      const negated = cursor.accept("!");
      const name = cursor.word("a predicate");
      const predicate = named(name);
      if (predicate?.kind !== "register" || predicate.type.name !== "pred")
        throw new PtxError("PTX_UNKNOWN_SYMBOL", first.line, `${name} is not a predicate`);
      guard = { predicate, negated };
    }
    const [opcode, ...modifiers] = cursor.word("an instruction").split(".");
    const operands = cursor.at(";") ? [] : commaSeparated(cursor, operand, ";", true);
    const { end } = cursor.expect(";");
    const text = cursor.text.slice(first.start, end).replace(/\s+/g, " ");
    drafts.push({
      opcode: opcode!,
      modifiers,
      operands,
      line: first.line,
      text,
      scope,
      ...(guard && { guard }),
      ...(source && { source }),
    });
  };

  cursor.expect("{");
  for (let depth = 1; depth > 0; ) {
    const { token } = cursor;
    if (token.kind === "end") cursor.fail("the body of the entry has no end");
    if (cursor.accept("{")) {
      depth++;
      scope = opened(scope);
    } else if (cursor.accept("}")) {
      depth--;
      scope = scope.outer ?? scope;
    } else if (cursor.accept(";")) {
      // An empty statement.
    } else if (token.kind === "word" && cursor.peek(1).text === ":") {
      cursor.take();
      cursor.take();
      if (cursor.accept(".branchtargets")) {
        scope.tables.set(
          token.text,
          commaSeparated(cursor, () => cursor.word("a label"), ";", true),
        );
        cursor.expect(";");
      } else scope.labels.set(token.text, drafts.length);
    } else if (token.kind === "word" && token.text.startsWith(".")) directive();
    else instruction();
  }

  const targetsOf = ({ opcode, operands, scope, line }: Draft): readonly number[] | undefined => {
    if (opcode !== "bra" && opcode !== "brx") return undefined;
    const last = operands.at(-1);
    const name = last?.kind === "name" ? last.name : "";
    const labels = opcode === "brx" ? (lookUp(scope, ({ tables }) => tables, name) ?? []) : [name];
    const targets = labels.map((label) => lookUp(scope, (at) => at.labels, label));
    if (targets.length === 0 || targets.includes(undefined))
      throw new PtxError("PTX_UNKNOWN_SYMBOL", line, `there is no label ${name}`);
    return targets as number[];
  };
  const instructions = drafts.map((draft): Instruction => {
    const { scope: _, ...rest } = draft;
    const targets = targetsOf(draft);
    return targets ? { ...rest, targets } : rest;
  });
  return { instructions, variables };
}

/** Items up to the closing mark, which is taken too unless `keep`. */
function commaSeparated<T>(cursor: Cursor, item: () => T, close: string, keep = false): T[] {
  const items: T[] = [];
  if (!cursor.at(close))
    do items.push(item());
    while (cursor.accept(","));
  if (!keep) cursor.expect(close);
  return items;
}
