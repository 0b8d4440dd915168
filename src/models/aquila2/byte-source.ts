/**
 * @file Where a checkpoint's bytes come from. Readers of this folder see only `ByteSource` (random access to one file) and
 * `ModelFiles` (a directory of them), so the same parser reads a file of 67 GB piecewise in Node and a `Blob` in a page.
 * Node's modules are loaded only when a directory is opened.
 */
import { isNode, nodeModules } from "../../runtime/node/modules.ts";
import { CheckpointError } from "../../support/errors.ts";

/** Random access to the bytes of one file. `read` may return fewer bytes than asked only where the file ends. */
export interface ByteSource {
  /** The file's name, as errors print it. */
  readonly name: string;
  /** Size in bytes. */
  readonly size: number;
  read(offset: number, length: number): Promise<Uint8Array>;
  close?(): Promise<void>;
}

/** The files of one model. */
export interface ModelFiles {
  /** What the files are called together (a directory, a URL): for errors. */
  readonly location: string;
  /** Names of the files, without directories. */
  list(): Promise<string[]>;
  /** Opens one file; throws `CheckpointError` (`FILE_MISSING`) when there is none of that name. */
  open(name: string): Promise<ByteSource>;
}

/** Bytes `[offset, offset + length)` of `source`, exactly: never fewer, never from beyond its end. `what` names them in the error. */
export async function readExactly(
  source: ByteSource,
  offset: number,
  length: number,
  what: string,
): Promise<Uint8Array> {
  const bytes = offset + length <= source.size ? await source.read(offset, length) : undefined;
  if (bytes?.length === length) return bytes;
  throw new CheckpointError(
    "FILE_TRUNCATED",
    `${source.name}: ${what} needs bytes ${offset} to ${offset + length}, but the file ends at ${bytes ? offset + bytes.length : source.size}. ` +
      "The file is truncated (an interrupted download or copy?): fetch it again.",
  );
}

/** A file that is in memory already. */
export function byteSourceOf(name: string, contents: Uint8Array | Blob): ByteSource {
  if (contents instanceof Uint8Array) {
    return {
      name,
      size: contents.length,
      read: async (offset, length) => contents.subarray(offset, offset + length),
    };
  }
  return {
    name,
    size: contents.size,
    read: async (offset, length) => new Uint8Array(await contents.slice(offset, offset + length).arrayBuffer()),
  };
}

/** Model files held in memory or chosen in a page: name → contents. */
export function modelFilesOf(files: ReadonlyMap<string, Uint8Array | Blob>, location = "the given files"): ModelFiles {
  return {
    location,
    list: async () => [...files.keys()],
    open: async (name) => {
      const contents = files.get(name);
      if (contents === undefined) throw missingFile(location, name);
      return byteSourceOf(name, contents);
    },
  };
}

/** The model files of a directory (Node). */
export async function modelFilesOfDirectory(directory: string): Promise<ModelFiles> {
  if (!isNode) {
    throw new CheckpointError(
      "NO_FILE_SYSTEM",
      `the directory ${directory} cannot be opened in a page: pass modelFilesOf(...) instead.`,
    );
  }
  const { fs, path } = await nodeModules();
  const { open, readdir } = fs.promises;
  return {
    location: directory,
    list: () =>
      readdir(directory).catch((cause) => {
        throw new CheckpointError(
          "FILE_MISSING",
          `the model directory ${directory} cannot be read: ${String(cause)}. Give the directory that holds config.json.`,
          { cause },
        );
      }),
    open: async (name) => {
      const location = path.join(directory, name);
      const handle = await open(location, "r").catch((cause) => {
        throw missingFile(directory, name, cause);
      });
      const { size } = await handle.stat();
      return {
        name: location,
        size,
        read: (offset, length) => readAt(handle, offset, length),
        close: () => handle.close(),
      };
    },
  };
}

/** The whole of a small text file (JSON). Throws `CheckpointError` when it is missing or not UTF-8. */
export async function readText(files: ModelFiles, name: string): Promise<string> {
  const source = await files.open(name);
  try {
    const bytes = await readExactly(source, 0, source.size, "the file");
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    throw new CheckpointError("FILE_MALFORMED", `${source.name}: not UTF-8 text. Fetch the file again.`, { cause });
  } finally {
    await source.close?.();
  }
}

interface PositionalReader {
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
}

/** Node reads at most 2^31 - 1 bytes in one call, and may return fewer than asked. */
async function readAt(handle: PositionalReader, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(length - done, 2 ** 30), offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

function missingFile(location: string, name: string, cause?: unknown): CheckpointError {
  const reason = cause === undefined ? "" : ` (${String(cause)})`;
  return new CheckpointError("FILE_MISSING", `${location}: no file ${name}${reason}. Fetch all files of the model.`, {
    cause,
  });
}
