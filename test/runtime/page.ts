/**
 * @file A real page for tests: headless Chromium with WebGPU on SwiftShader, from the npm package `@sparticuz/chromium`, without root and
 * without an installed browser (linux x64). Unpacked once into the user's cache (about 200 MB).
 */
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
import { build } from "esbuild";
import { chromium, type Page } from "playwright-core";

const require = createRequire(import.meta.url);

/** Why there can be no page here, or undefined. */
export function whyNoPage(): string | undefined {
  if (process.platform === "linux" && process.arch === "x64") return undefined;
  return `the browser of @sparticuz/chromium is for linux x64 (this is ${process.platform} ${process.arch})`;
}

async function unpackBrowser(): Promise<string> {
  const entry = require.resolve("@sparticuz/chromium");
  const root = join(dirname(entry), "..", "..");
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "tilewright");
  const directory = join(cache, `chromium-${version}`);
  if (existsSync(directory)) return directory;
  mkdirSync(cache, { recursive: true });
  const staging = mkdtempSync(join(cache, "unpacking-"));
  try {
    const tar = createRequire(entry)("tar-fs");
    const unpack = (name: string, target: NodeJS.WritableStream) =>
      pipeline(createReadStream(join(root, "bin", name)), createBrotliDecompress(), target);
    await unpack("chromium.br", createWriteStream(join(staging, "chromium"), { mode: 0o755 }));
    for (const libraries of ["al2023.tar.br", "swiftshader.tar.br"]) await unpack(libraries, tar.extract(staging));
    renameSync(staging, directory);
  } catch (error) {
    if (!existsSync(directory)) throw error; // Another process was first.
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return directory;
}

/** A page on a local server that serves the module `entry`, bundled for browsers, as `/module.js`. */
export async function openPage(entry: string): Promise<{ page: Page; close(): Promise<void> }> {
  const bundle = await build({
    entryPoints: [entry],
    bundle: true,
    platform: "browser",
    format: "esm",
    write: false,
    logLevel: "silent",
  });
  const server = createServer(({ url }, response) => {
    const script = url === "/module.js";
    response.setHeader("content-type", script ? "text/javascript" : "text/html");
    response.end(script ? bundle.outputFiles[0]!.text : "<!doctype html><title>tilewright</title>");
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const directory = await unpackBrowser();
  const browser = await chromium.launch({
    executablePath: join(directory, "chromium"),
    env: { ...process.env, LD_LIBRARY_PATH: `${join(directory, "lib")}:${directory}` } as Record<string, string>,
    args: ["--no-sandbox", "--headless=new", "--enable-unsafe-webgpu"],
  });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return {
    page,
    async close() {
      await browser.close();
      server.close();
    },
  };
}
