/**
 * @file Makes Vulkan reachable for Dawn in Node. Dawn opens `libvulkan.so.1` by name: where the system has none, the loader that comes
 * with SwiftShader is loaded first, so that the name is taken. Which drivers that loader offers is said by an environment variable
 * that it reads at each creation of an instance: `withDrivers` sets it for as long as one adapter is being opened.
 */
import type { Optional } from "./modules.ts";
import { messageOf, nodeModules, optionalPackage } from "./modules.ts";
import { swiftShader } from "./swiftshader.ts";

/** The part of koffi that is used here. */
interface Koffi {
  load(
    path: string | null,
    options?: { global?: boolean },
  ): { func(definition: string): (...values: unknown[]) => unknown };
  /** Native memory, which is never freed. */
  alloc(type: string, length: number): object;
  address(pointer: object): bigint;
  view(pointer: object, bytes: number): ArrayBuffer;
}

/** Where the Vulkan loader came from, or why there is none. */
export interface VulkanLoader {
  readonly source: "system" | "swiftshader" | "none";
  readonly detail: string;
}

const driverVariables = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] as const;

// Keeps the loader's handle alive: a collected handle may unload the library under Dawn.
const keptLibraries: unknown[] = [];
let loader: Promise<VulkanLoader> | undefined;

/** The foreign-function package, once a process. */
export async function koffi(): Promise<Optional<Koffi>> {
  const loaded = await optionalPackage<{ default: Koffi }>("koffi");
  return "value" in loaded ? { value: loaded.value.default } : loaded;
}

/** Loads a Vulkan loader into the process, once. Must come before Dawn is imported. */
export function vulkanLoader(): Promise<VulkanLoader> {
  loader ??= findLoader();
  return loader;
}

async function findLoader(): Promise<VulkanLoader> {
  if (process.platform !== "linux") return { source: "none", detail: `not needed on ${process.platform}` };
  const ffi = await koffi();
  if ("reason" in ffi) {
    return {
      source: "none",
      detail: `a system libvulkan.so.1 is used if there is one; another cannot be loaded: ${ffi.reason}`,
    };
  }
  try {
    keptLibraries.push(ffi.value.load("libvulkan.so.1", { global: true }));
    return { source: "system", detail: "libvulkan.so.1 of the system" };
  } catch {
    // None on this machine, the usual case without a GPU.
  }
  const software = await swiftShader();
  if ("reason" in software) return { source: "none", detail: `no libvulkan.so.1 on this system; ${software.reason}` };
  try {
    keptLibraries.push(ffi.value.load(software.value.loader, { global: true }));
    return { source: "swiftshader", detail: software.value.loader };
  } catch (error) {
    return { source: "none", detail: `${software.value.loader} does not load: ${messageOf(error)}` };
  }
}

/** The driver choice that the user made in the environment, which is never overridden. */
export function userDrivers(): { readonly variable: string; readonly value: string } | undefined {
  for (const variable of driverVariables) {
    const value = process.env[variable];
    if (value) return { variable, value };
  }
  return undefined;
}

/** The driver description files (`*.json`) where the Vulkan loader looks for them, as absolute paths. */
export async function installedDrivers(): Promise<readonly string[]> {
  const { fs, os, path } = await nodeModules();
  const { XDG_CONFIG_HOME, XDG_CONFIG_DIRS, XDG_DATA_HOME, XDG_DATA_DIRS } = process.env;
  const home = os.homedir();
  const roots = [
    XDG_CONFIG_HOME || path.join(home, ".config"),
    ...(XDG_CONFIG_DIRS || "/etc/xdg").split(":"),
    "/etc",
    XDG_DATA_HOME || path.join(home, ".local/share"),
    ...(XDG_DATA_DIRS || "/usr/local/share:/usr/share").split(":"),
  ];
  const directories = roots
    .map((root) => path.join(root, "vulkan", "icd.d"))
    .filter((directory) => fs.existsSync(directory));
  return directories.flatMap((directory) =>
    fs
      .readdirSync(directory)
      .filter((name) => name.endsWith(".json"))
      .map((name) => path.join(directory, name)),
  );
}

/** The description file of Mesa's lavapipe, or the reason for which there is none. */
export async function lavapipeDriver(): Promise<Optional<string>> {
  const driver = (await installedDrivers()).find((file) => /\/lvp_icd[^/]*\.json$/.test(file));
  if (driver !== undefined) return { value: driver };
  return { reason: "lavapipe: no lvp_icd*.json is installed (Debian, Ubuntu: apt install mesa-vulkan-drivers)" };
}

let turn: Promise<unknown> = Promise.resolve();

/**
 * Runs `open` while the Vulkan loader sees `driver` alone (or, if undefined, what the system offers). One at a time: the variable
 * belongs to the process.
 */
export function withDrivers<T>(driver: string | undefined, open: () => Promise<T>): Promise<T> {
  const run = async (): Promise<T> => {
    if (driver === undefined) return open();
    const set = await environmentSetter();
    set("VK_DRIVER_FILES", driver);
    try {
      return await open();
    } finally {
      set("VK_DRIVER_FILES", undefined);
    }
  };
  const result = turn.then(run, run);
  turn = result.catch(() => undefined);
  return result;
}

/** In a worker thread `process.env` is a copy that native code does not see, so there the C library is asked. */
async function environmentSetter(): Promise<(name: string, value: string | undefined) => void> {
  const { workers } = await nodeModules();
  if (workers.isMainThread) {
    return (name, value) => {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    };
  }
  const ffi = await koffi();
  if ("reason" in ffi) throw new Error(`a Vulkan driver cannot be chosen from a worker thread: ${ffi.reason}`);
  const library = ffi.value.load(null);
  const setenv = library.func("int setenv(const char *name, const char *value, int overwrite)");
  const unsetenv = library.func("int unsetenv(const char *name)");
  return (name, value) => {
    if (value === undefined) unsetenv(name);
    else setenv(name, value, 1);
  };
}
