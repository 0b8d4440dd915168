/**
 * @file PTX text to a module: directives at the top level, entries with their parameters. Bodies are parsed in body.ts.
 */
import { PtxError } from "../errors.ts";
import { parseBody } from "./body.ts";
import { Cursor } from "./cursor.ts";
import type { Entry, ModuleTree, Parameter, Space, Variable } from "./tree.ts";
import { parseTyped, parseVariables } from "./variables.ts";

/** What declares that a name is visible elsewhere; without meaning here. */
const linkage = new Set([".visible", ".weak", ".extern", ".common"]);
const moduleSpaces: Readonly<Record<string, Space>> = { ".global": "global", ".const": "const", ".shared": "shared" };

export function parseModule(text: string): ModuleTree {
  const cursor = new Cursor(text);
  const variables: Variable[] = [];
  const named = new Map<string, Variable>();
  const functions = new Set<string>();
  const entries: Entry[] = [];
  const files = new Map<string, string>();
  let version = "";
  let target = "";

  while (cursor.token.kind !== "end") {
    const { token } = cursor;
    if (cursor.accept(";") || linkage.has(token.text)) {
      if (linkage.has(token.text)) cursor.take();
      continue;
    }
    const space = moduleSpaces[token.text];
    if (space) {
      cursor.take();
      for (const variable of parseVariables(cursor, space)) {
        variables.push(variable);
        named.set(variable.name, variable);
      }
      cursor.expect(";");
      continue;
    }
    switch (cursor.word("a directive")) {
      case ".version":
        version = cursor.take().text;
        break;
      case ".target":
        target = cursor.word("a target");
        while (cursor.accept(",")) cursor.take();
        break;
      case ".address_size":
        if (cursor.integer() !== 64n) throw new PtxError("PTX_UNSUPPORTED", token.line, ".address_size must be 64");
        break;
      case ".file": {
        const number = cursor.take().text;
        files.set(number, cursor.take().text.slice(1, -1));
        while (cursor.accept(",")) cursor.take();
        break;
      }
      case ".section":
        cursor.take();
        skipBlock(cursor);
        break;
      case ".pragma":
        cursor.take();
        cursor.expect(";");
        break;
      case ".func":
        functions.add(skipFunction(cursor));
        break;
      case ".entry":
        entries.push(parseEntry(cursor, { variables: named, functions, files }));
        break;
      default:
        throw new PtxError("PTX_SYNTAX", token.line, `unknown directive ${token.text}`);
    }
  }
  if (version === "" || target === "") throw new PtxError("PTX_SYNTAX", 1, "a module begins with .version and .target");
  return { version, target, variables, entries };
}

/** From `{` to its `}`. */
function skipBlock(cursor: Cursor): void {
  cursor.expect("{");
  for (let depth = 1; depth > 0; ) {
    const { kind, text } = cursor.take();
    if (kind === "end") cursor.fail("a block has no end");
    if (kind === "mark") depth += text === "{" ? 1 : text === "}" ? -1 : 0;
  }
}

/** A function: declared, or defined and not executable here. Its name; a call to it is judged where it stands. */
function skipFunction(cursor: Cursor): string {
  const skipList = (): void => {
    while (!cursor.accept(")")) cursor.take();
  };
  while (cursor.token.text.startsWith(".")) cursor.take();
  if (cursor.accept("(")) skipList();
  const name = cursor.word("a function's name");
  if (cursor.accept("(")) skipList();
  while (cursor.token.text.startsWith(".")) cursor.take();
  if (cursor.at("{")) skipBlock(cursor);
  return name;
}

interface ModuleScope {
  readonly variables: ReadonlyMap<string, Variable>;
  readonly functions: ReadonlySet<string>;
  readonly files: ReadonlyMap<string, string>;
}

function parseEntry(cursor: Cursor, scope: ModuleScope): Entry {
  const { line } = cursor.token;
  const name = cursor.word("an entry's name");
  const parameters: Parameter[] = [];
  if (cursor.accept("(") && !cursor.accept(")")) {
    do {
      cursor.expect(".param");
      parameters.push(parseParameter(cursor));
    } while (cursor.accept(","));
    cursor.expect(")");
  }
  const threads = (): readonly [number, number, number] => {
    const extents = [Number(cursor.integer())];
    while (cursor.accept(",")) extents.push(Number(cursor.integer()));
    return [extents[0]!, extents[1] ?? 1, extents[2] ?? 1];
  };
  let maxThreads: Entry["maxThreads"];
  let requiredThreads: Entry["requiredThreads"];
  while (!cursor.at("{")) {
    const directive = cursor.word("a directive or the body of the entry");
    if (directive === ".maxntid") maxThreads = threads();
    else if (directive === ".reqntid") requiredThreads = threads();
    else if (directive === ".minnctapersm" || directive === ".maxnreg" || directive === ".maxnctapersm") threads();
    else if (directive === ".pragma") {
      cursor.take();
      cursor.expect(";");
    } else cursor.fail(`unknown directive ${directive} of an entry`);
  }
  const body = parseBody(cursor, { ...scope, parameters });
  return {
    name,
    line,
    parameters,
    ...body,
    ...(maxThreads && { maxThreads }),
    ...(requiredThreads && { requiredThreads }),
  };
}

function parseParameter(cursor: Cursor): Parameter {
  const { type, lanes, alignment } = parseTyped(cursor);
  const name = cursor.word("a parameter's name");
  const size = (type.bits / 8) * lanes;
  let bytes = size;
  if (cursor.accept("[")) {
    bytes *= Number(cursor.integer());
    cursor.expect("]");
  }
  return { type, variable: { kind: "variable", name, space: "param", alignment: alignment ?? size, bytes } };
}
