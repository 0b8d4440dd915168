/**
 * @file A plugin of vitest: a folder of sources as one module. Vitest reads every imported name through a getter, which makes inner loops
 * that use one (the emulator's all do) up to ten times slower than they are in Node or in a page; names of one module are plain variables.
 */
import { resolve } from "node:path";
import { build, type Plugin } from "esbuild";

/** Loads `folder/index.ts` with all that it imports from `folder`; what lies outside stays an import. */
export function oneModule(folder: string) {
  const outside: Plugin = {
    name: "outside",
    setup({ onResolve }) {
      onResolve({ filter: /^\./ }, ({ path, resolveDir, kind }) => {
        const file = resolve(resolveDir, path);
        return kind === "entry-point" || file.startsWith(`${folder}/`) ? undefined : { path: file, external: true };
      });
    },
  };
  return {
    name: "one-module",
    enforce: "pre" as const,
    async load(this: { addWatchFile(file: string): void }, id: string) {
      if (id !== `${folder}/index.ts`) return undefined;
      const { outputFiles, metafile } = await build({
        entryPoints: [id],
        bundle: true,
        write: false,
        format: "esm",
        target: "node20",
        sourcemap: "inline",
        metafile: true,
        plugins: [outside],
      });
      for (const file of Object.keys(metafile.inputs)) this.addWatchFile(resolve(file));
      return outputFiles[0]!.text;
    },
  };
}
