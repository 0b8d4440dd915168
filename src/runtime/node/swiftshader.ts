/**
 * @file SwiftShader for machines without a GPU, without root and without a system Vulkan: the optional package `@sparticuz/chromium`
 * carries Chromium's Vulkan loader and software driver in `bin/swiftshader.tar.br` (linux x64). They are unpacked once into the
 * user's cache directory, beside a manifest of their hashes, and verified at each use.
 */

import type { Optional } from "./modules.ts";
import { messageOf, nodeModules, packageDirectory, packageVersion } from "./modules.ts";

/** An unpacked SwiftShader: its Vulkan loader and the description of its driver, as absolute paths. */
export interface SwiftShader {
  readonly version: string;
  readonly directory: string;
  readonly loader: string;
  readonly driver: string;
}

const packageName = "@sparticuz/chromium";
const loaderName = "libvulkan.so.1";
const driverName = "vk_swiftshader_icd.json";
const wanted: readonly string[] = [loaderName, driverName, "libvk_swiftshader.so"];
const manifestName = "manifest.json";

let found: Promise<Optional<SwiftShader>> | undefined;

/** Finds or unpacks SwiftShader, once a process. Every missing piece is named in the reason. */
export function swiftShader(): Promise<Optional<SwiftShader>> {
  found ??= unpackSwiftShader().catch((error: unknown) => ({ reason: `SwiftShader: ${messageOf(error)}` }));
  return found;
}

/**
 * Unpacks into `cacheRoot` (default: `$XDG_CACHE_HOME/tilewright` or `~/.cache/tilewright`), unless a verified copy is there.
 * Two processes may do so at once: each unpacks into a directory of its own, and the rename of the first wins.
 */
export async function unpackSwiftShader(cacheRoot?: string): Promise<Optional<SwiftShader>> {
  const { fs, path, url } = await nodeModules();
  if (process.platform !== "linux" || process.arch !== "x64") {
    return {
      reason: `SwiftShader: ${packageName} carries it for linux x64 only (this is ${process.platform} ${process.arch})`,
    };
  }
  const source = await packageDirectory(packageName, import.meta.url);
  if (source === undefined) {
    return {
      reason: `SwiftShader: the optional package "${packageName}" is not installed (npm install ${packageName})`,
    };
  }
  const archive = path.join(source, "bin", "swiftshader.tar.br");
  if (!fs.existsSync(archive)) return { reason: `SwiftShader: ${archive} is missing: reinstall ${packageName}` };
  const version = await packageVersion(source);
  const tarDirectory = await packageDirectory("tar-fs", url.pathToFileURL(path.join(source, "package.json")));
  if (tarDirectory === undefined)
    return { reason: `SwiftShader: the package "tar-fs" (a dependency of ${packageName}) is not installed` };

  const root = cacheRoot ?? (await cacheDirectory());
  const directory = path.join(root, `swiftshader-${version}`);
  const result: SwiftShader = {
    version,
    directory,
    loader: path.join(directory, loaderName),
    driver: path.join(directory, driverName),
  };
  if (await verified(directory)) return { value: result };

  fs.mkdirSync(root, { recursive: true, mode: 0o700 });
  const staging = fs.mkdtempSync(path.join(root, "unpacking-"));
  try {
    await extract(archive, tarDirectory, staging);
    const missing = wanted.filter((name) => !fs.existsSync(path.join(staging, name)));
    if (missing.length > 0) return { reason: `SwiftShader: ${archive} does not contain ${missing.join(", ")}` };
    const hashes = Object.fromEntries(
      await Promise.all(wanted.map(async (name) => [name, await sha256(path.join(staging, name))])),
    );
    fs.writeFileSync(path.join(staging, manifestName), JSON.stringify(hashes, undefined, 2));
    if (fs.existsSync(directory) && !(await verified(directory)))
      fs.rmSync(directory, { recursive: true, force: true });
    try {
      fs.renameSync(staging, directory);
    } catch (error) {
      if (!(await verified(directory))) throw error; // Another process was first.
    }
  } finally {
    fs.rmSync(staging, { recursive: true, force: true });
  }
  return { value: result };
}

/** The user's cache directory for Tilewright; a private directory under the temporary one where home cannot be written. */
async function cacheDirectory(): Promise<string> {
  const { fs, os, path } = await nodeModules();
  const base = process.env.XDG_CACHE_HOME || path.join(os.homedir(), ".cache");
  const preferred = path.join(base, "tilewright");
  try {
    fs.mkdirSync(preferred, { recursive: true, mode: 0o700 });
    fs.accessSync(preferred, fs.constants.W_OK);
    return preferred;
  } catch {
    const fallback = path.join(os.tmpdir(), `tilewright-${os.userInfo().uid}`);
    fs.mkdirSync(fallback, { recursive: true, mode: 0o700 });
    const status = fs.lstatSync(fallback);
    // Libraries are loaded from here: nobody else may have put it in place or be able to write to it.
    if (!status.isDirectory() || status.uid !== os.userInfo().uid || (status.mode & 0o022) !== 0) {
      throw new Error(`neither ${preferred} can be written, nor is ${fallback} a private directory of this user`);
    }
    return fallback;
  }
}

async function extract(archive: string, tarDirectory: string, into: string): Promise<void> {
  const { fs, module, path, stream, url, zlib } = await nodeModules();
  const tar = module.createRequire(url.pathToFileURL(path.join(tarDirectory, "package.json")))(tarDirectory) as {
    extract(directory: string, options: { ignore(name: string): boolean }): NodeJS.WritableStream;
  };
  const ignore = (name: string): boolean => !wanted.includes(path.relative(into, name));
  await stream.pipeline(fs.createReadStream(archive), zlib.createBrotliDecompress(), tar.extract(into, { ignore }));
}

/** Whether `directory` holds each wanted file with the hash that its manifest states. */
async function verified(directory: string): Promise<boolean> {
  const { fs, path } = await nodeModules();
  try {
    const hashes = JSON.parse(fs.readFileSync(path.join(directory, manifestName), "utf8")) as Record<string, string>;
    for (const name of wanted) if (hashes[name] !== (await sha256(path.join(directory, name)))) return false;
    return true;
  } catch {
    return false;
  }
}

async function sha256(file: string): Promise<string> {
  const { crypto, fs } = await nodeModules();
  return crypto.createHash("sha256").update(fs.readFileSync(file)).digest("hex");
}
