/**
 * @file The only door from the runtime to Node. The runtime also runs in a page, so nothing of Node is imported statically: built-in
 * modules and optional packages are imported at run time, by a specifier that a bundler does not see and so leaves alone.
 */

/** Whether this is Node, or an engine that offers Node's modules (Deno, Bun). */
export const isNode: boolean = typeof process !== "undefined" && typeof process.versions?.node === "string";

async function load<T>(specifier: string): Promise<T> {
  return (await import(/* @vite-ignore */ /* webpackIgnore: true */ specifier)) as T;
}

/** Node's built-in modules that the runtime uses. */
export interface NodeModules {
  readonly fs: typeof import("node:fs");
  readonly os: typeof import("node:os");
  readonly path: typeof import("node:path");
  readonly url: typeof import("node:url");
  readonly zlib: typeof import("node:zlib");
  readonly crypto: typeof import("node:crypto");
  readonly module: typeof import("node:module");
  readonly stream: typeof import("node:stream/promises");
  readonly workers: typeof import("node:worker_threads");
  readonly childProcess: typeof import("node:child_process");
}

let modules: Promise<NodeModules> | undefined;

/** Loads the built-in modules once. Call it only where `isNode` holds. */
export function nodeModules(): Promise<NodeModules> {
  modules ??= (async () => ({
    fs: await load<NodeModules["fs"]>("node:fs"),
    os: await load<NodeModules["os"]>("node:os"),
    path: await load<NodeModules["path"]>("node:path"),
    url: await load<NodeModules["url"]>("node:url"),
    zlib: await load<NodeModules["zlib"]>("node:zlib"),
    crypto: await load<NodeModules["crypto"]>("node:crypto"),
    module: await load<NodeModules["module"]>("node:module"),
    stream: await load<NodeModules["stream"]>("node:stream/promises"),
    workers: await load<NodeModules["workers"]>("node:worker_threads"),
    childProcess: await load<NodeModules["childProcess"]>("node:child_process"),
  }))();
  return modules;
}

/** An optional npm package: either its exports, or the reason for which there are none. */
export type Optional<T> = { readonly value: T } | { readonly reason: string };

/** Imports the optional package `name`; a missing or broken package is an answer, not an error. */
export async function optionalPackage<T>(name: string): Promise<Optional<T>> {
  try {
    return { value: await load<T>(name) };
  } catch (error) {
    const code = (error as { code?: string }).code;
    const missing = code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND";
    return {
      reason: missing
        ? `the optional package "${name}" is not installed (npm install ${name})`
        : `the package "${name}" does not load: ${messageOf(error)}`,
    };
  }
}

/** The directory of an installed package, found from the module at `from` (a URL or path), or undefined. */
export async function packageDirectory(name: string, from: string | URL): Promise<string | undefined> {
  const { fs, path, module } = await nodeModules();
  let directory: string;
  try {
    directory = path.dirname(module.createRequire(from).resolve(name));
  } catch {
    return undefined;
  }
  for (;;) {
    try {
      const manifest = JSON.parse(fs.readFileSync(path.join(directory, "package.json"), "utf8")) as { name?: string };
      if (manifest.name === name) return directory;
    } catch {
      // No manifest here: a folder inside the package.
    }
    const parent = path.dirname(directory);
    if (parent === directory) return undefined;
    directory = parent;
  }
}

/** The `version` that the manifest in `directory` states, or "unknown". */
export async function packageVersion(directory: string): Promise<string> {
  const { fs, path } = await nodeModules();
  const manifest = JSON.parse(fs.readFileSync(path.join(directory, "package.json"), "utf8")) as { version?: string };
  return manifest.version ?? "unknown";
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
