/**
 * @file The mistakes that neither TypeScript nor the tracing can see: JavaScript asks a value of a kernel for its truth. `if (a.lt(b))` is always
 * taken, `!a` is always false, `a === b` compares handles. This check knows the types and finds them:
 *
 *     node lint/conditions.mjs [tsconfig.json | file.ts ...]
 *
 * It prints `file:line:column message` for each and ends with code 1 if there is any. Needs `typescript` only, so it fits any linter's set-up.
 */
import { resolve } from "node:path";
import ts from "typescript";

/** The classes whose values are known only when the kernel runs (or, of the grid, is launched). */
const handles = new Set(["Tile", "Pointer", "TensorView", "GridExpression"]);

/** What to write instead, by where the value stands. */
const instead = {
  condition: "it is an object, so always true: use tl.if for a bool scalar, tl.where for tiles",
  logical: "it is an object, so always true: combine masks with .and, .or and .not",
  equality: "this compares handles, not values: use .eq or .ne",
};

const equalities = new Set([
  ts.SyntaxKind.EqualsEqualsToken,
  ts.SyntaxKind.EqualsEqualsEqualsToken,
  ts.SyntaxKind.ExclamationEqualsToken,
  ts.SyntaxKind.ExclamationEqualsEqualsToken,
]);
const logicals = new Set([ts.SyntaxKind.AmpersandAmpersandToken, ts.SyntaxKind.BarBarToken]);

/** The handle's name if an expression can be nothing but a handle; an optional one may well be asked for. */
function handleName(checker, expression) {
  const type = checker.getTypeAtLocation(expression);
  const parts = type.isUnion() ? type.types : [type];
  const names = parts.map((part) => part.getSymbol()?.getName());
  return names.every((name) => name !== undefined && handles.has(name)) ? names[0] : undefined;
}

/** The expressions of a node that JavaScript asks for their truth or compares, each with the advice for it. */
function questions(node) {
  if (ts.isIfStatement(node) || ts.isWhileStatement(node) || ts.isDoStatement(node))
    return [[node.expression, "condition"]];
  if (ts.isForStatement(node) && node.condition) return [[node.condition, "condition"]];
  if (ts.isConditionalExpression(node)) return [[node.condition, "condition"]];
  if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken)
    return [[node.operand, "logical"]];
  if (!ts.isBinaryExpression(node)) return [];
  if (logicals.has(node.operatorToken.kind)) return [[node.left, "logical"]];
  if (!equalities.has(node.operatorToken.kind)) return [];
  const sides = [node.left, node.right];
  // x === undefined and x === null ask whether there is a value at all.
  const absent = sides.some((side) => side.kind === ts.SyntaxKind.NullKeyword || side.getText() === "undefined");
  return absent ? [] : [[node.left, "equality"]];
}

/** All such places in the program's own files, as { file, line, column, message }. */
export function findConditions(program) {
  const checker = program.getTypeChecker();
  const found = [];
  const visit = (source, node) => {
    for (const [expression, kind] of questions(node)) {
      const name = handleName(checker, expression);
      if (name === undefined) continue;
      const { line, character } = source.getLineAndCharacterOfPosition(expression.getStart(source));
      const message = `a ${name} has no value while tracing; ${instead[kind]}`;
      found.push({ file: source.fileName, line: line + 1, column: character + 1, message });
    }
    ts.forEachChild(node, (child) => visit(source, child));
  };
  for (const source of program.getSourceFiles())
    if (!source.isDeclarationFile && !program.isSourceFileFromExternalLibrary(source)) visit(source, source);
  return found;
}

/** The program of a tsconfig, or of files with the options of the nearest one. */
function programOf(names) {
  const files = names.filter((name) => !name.endsWith(".json"));
  const configPath =
    names.find((name) => name.endsWith(".json")) ?? ts.findConfigFile(resolve(files[0] ?? "."), ts.sys.fileExists);
  const config = configPath
    ? ts.parseJsonConfigFileContent(
        ts.readConfigFile(configPath, ts.sys.readFile).config,
        ts.sys,
        resolve(configPath, ".."),
      )
    : { options: ts.getDefaultCompilerOptions(), fileNames: [] };
  return ts.createProgram(files.length > 0 ? files : config.fileNames, config.options);
}

const found = findConditions(programOf(process.argv.slice(2)));
for (const { file, line, column, message } of found) console.log(`${file}:${line}:${column} ${message}`);
process.exitCode = found.length > 0 ? 1 : 0;
