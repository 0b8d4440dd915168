/**
 * @file Finds programs on this machine, without running them: the browsers that could run WebGPU, and any program of the PATH.
 */
import { nodeModules } from "./modules.ts";

/** The first executable of one of these names, on the PATH or in `directories`. */
export async function findProgram(
  names: readonly string[],
  directories: readonly string[] = [],
): Promise<string | undefined> {
  const { fs, path } = await nodeModules();
  const places = [...(process.env.PATH ?? "").split(path.delimiter), ...directories].filter(Boolean);
  const extensions = process.platform === "win32" ? [".exe", ""] : [""];
  for (const name of names) {
    for (const place of places) {
      for (const extension of extensions) {
        const file = path.join(place, name + extension);
        try {
          fs.accessSync(file, fs.constants.X_OK);
          if (fs.statSync(file).isFile()) return file;
        } catch {
          // Not there.
        }
      }
    }
  }
  return undefined;
}

const browserNames: Readonly<Record<string, readonly string[]>> = {
  Chromium: ["chromium", "chromium-browser"],
  Chrome: ["google-chrome-stable", "google-chrome", "chrome"],
  Edge: ["microsoft-edge-stable", "microsoft-edge", "msedge"],
  Firefox: ["firefox"],
};

const browserApplications: Readonly<Record<string, string>> = {
  Chromium: "/Applications/Chromium.app/Contents/MacOS",
  Chrome: "/Applications/Google Chrome.app/Contents/MacOS",
  Edge: "/Applications/Microsoft Edge.app/Contents/MacOS",
  Firefox: "/Applications/Firefox.app/Contents/MacOS",
};

/** A browser's name and the path of its program. */
export interface Browser {
  readonly name: string;
  readonly path: string;
}

/** The browsers found on the PATH (on macOS also in /Applications). */
export async function findBrowsers(): Promise<readonly Browser[]> {
  const browsers: Browser[] = [];
  for (const [name, programs] of Object.entries(browserNames)) {
    const application = browserApplications[name]!;
    const program = /([^/]+)\.app/.exec(application)![1]!;
    const path = await findProgram([...programs, program], [application]);
    if (path !== undefined) browsers.push({ name, path });
  }
  return browsers;
}
