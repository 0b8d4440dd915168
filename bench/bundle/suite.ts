/**
 * @file Suite `bundle`: what a page pays for the compiler: a page's entry that writes a kernel and compiles it, bundled as a web
 * project would, with nothing of Node in it.
 */
import { gzipSync } from "node:zlib";
import type { Command } from "commander";
import { type BuildFailure, build } from "esbuild";
import { projectDirectory } from "../support/project.ts";
import { Report } from "../support/report.ts";

/** Uses the three names that stand for the compiler; the target is known only when it runs, so that both code generators stay. */
const entry = `
import { compile, kernel, tl } from "tilewright";

const scale = kernel({
  name: "scale",
  constants: { BLOCK: 256 },
  params: { x: tl.tensor("T", 1), out: tl.tensor("T", 1) },
  grid: (p, { BLOCK }) => [tl.cdiv(p.x.shape(0), BLOCK)],
  body(p, { BLOCK }) {
    const start = tl.programId(0).mul(BLOCK);
    p.out.store([start], p.x.load([start], [BLOCK]).mul(2));
  },
});
export const compileScale = (target) => compile(scale, target, { dtypes: { T: "f16" } });
`;

/** What only exists in Node, as it would stand in the text of a bundle. */
const nodeOnly = /["'`](?:node:[\w/]+|koffi|webgpu|@sparticuz\/chromium)["'`]/g;

interface Options {
  readonly modules: number;
  readonly json?: string;
}

async function run({ modules: shown, json }: Options): Promise<void> {
  const report = new Report("bundle");
  const built = await build({
    stdin: { contents: entry, resolveDir: projectDirectory, sourcefile: "entry.js" },
    absWorkingDir: projectDirectory,
    bundle: true,
    write: false,
    metafile: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    // Without the project's tsconfig, which maps `tilewright` to the sources: users get the package.
    tsconfigRaw: {},
    logLevel: "silent",
  }).catch((failure: BuildFailure) => failure);
  if (built instanceof Error) {
    // A static import of one of Node's modules ends here: a page has none.
    report.finish(undefined, { json, failures: built.errors.map(({ text }) => text) });
    return;
  }
  const { outputFiles, metafile } = built;
  const text = outputFiles[0]!.contents;
  const [output] = Object.values(metafile.outputs);
  const modules = Object.entries(output!.inputs)
    .map(([path, { bytesInOutput }]) => ({ path, bytes: bytesInOutput }))
    .filter(({ bytes }) => bytes > 0)
    .sort((a, b) => b.bytes - a.bytes);
  const bytes = text.length;
  const gzipBytes = gzipSync(text, { level: 9 }).length;

  const kibibytes = (count: number): string => (count / 1024).toFixed(1);
  report.table(
    ["compile-only bundle", "KiB"],
    [
      ["minified", kibibytes(bytes)],
      ["minified, gzip", kibibytes(gzipBytes)],
    ],
  );
  report.table(
    [`the ${Math.min(shown, modules.length)} largest of ${modules.length} modules`, "KiB minified", "share"],
    modules
      .slice(0, shown)
      .map((module) => [module.path, kibibytes(module.bytes), `${((100 * module.bytes) / bytes).toFixed(1)} %`]),
  );
  const failures = [
    ...output!.imports.map(({ path }) => `the bundle imports "${path}"`),
    ...new Set(outputFiles[0]!.text.match(nodeOnly) ?? []),
    ...modules.filter(({ path }) => /(^|\/)runtime\/node\//.test(path)).map(({ path }) => path),
  ].map((what) => `something of Node is in the bundle: ${what}`);
  report.finish({ bytes, gzipBytes, modules }, { json, failures });
}

export function addBundle(program: Command): void {
  program
    .command("bundle")
    .description("size of the compiler alone, minified for a page; fails if anything of Node is in it")
    .option("--modules <count>", "how many of the largest modules to list", Number, 15)
    .option("--json <file>", "also write the results here")
    .action(run);
}
