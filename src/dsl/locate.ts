/**
 * @file Where in the author's source something was written: found from the stack at the call. Capturing a stack is cheap (a few
 * microseconds) and writing it out is not, so an operation keeps the capture and reads it when somebody asks for the line.
 * Works on the stacks of V8, SpiderMonkey and JavaScriptCore; needs nothing of Node. Without a stack there is no location.
 */
import type { Location } from "../ir/index.ts";

/** One line of a stack: a location and the function it is in, if that has a name. */
export interface Frame extends Location {
  readonly function: string | undefined;
}

/** V8 has these two; others may not. */
const errors = Error as {
  captureStackTrace?: (holder: object, callee?: Callee) => void;
  stackTraceLimit?: number;
};
export type Callee = (...args: never[]) => unknown;

/**
 * Deep enough for the frames of this folder beyond the one that asks, and one of the author (test/dsl/trace.ts sees to it that it is); the
 * chain of an error is deeper.
 */
const locationDepth = 7;
const chainDepth = 64;

/**
 * Something whose `stack` is the stack of the caller, written out when first read; with `callee`, in V8, the stack of its caller. Each
 * frame costs, even if nobody reads it.
 */
function capture(depth: number, callee?: Callee): { readonly stack?: string } {
  const limit = errors.stackTraceLimit;
  errors.stackTraceLimit = depth;
  try {
    if (!errors.captureStackTrace) return new Error();
    const holder: { stack?: string } = {};
    errors.captureStackTrace(holder, callee);
    return holder;
  } finally {
    errors.stackTraceLimit = limit;
  }
}

/** "    at name (file:line:column)", "    at file:line:column" or "name@file:line:column". */
const framePattern = /^\s*at (?:(?:async )?(?:new )?(.*?) \()?(.+?):(\d+):(\d+)\)?$|^(.*?)@(.+?):(\d+):(\d+)$/;

/** A path for a file URL, another URL as it is; without a query, which some loaders append. */
function pathOf(file: string): string {
  const query = file.indexOf("?");
  const plain = query < 0 ? file : file.slice(0, query);
  if (!plain.startsWith("file://")) return plain;
  const path = plain.slice("file://".length);
  return path.includes("%") ? decodeURI(path) : path;
}

/** The frame that a line of a stack's text stands for, if it stands for one. */
function parseFrame(text: string): Frame | undefined {
  const match = framePattern.exec(text);
  if (!match) return undefined;
  const [, name, file, line, column, otherName, otherFile, otherLine, otherColumn] = match;
  return {
    function: (name ?? otherName) || undefined,
    file: pathOf((file ?? otherFile)!),
    line: Number(line ?? otherLine),
    column: Number(column ?? otherColumn),
  };
}

/** The frames of a stack's text, innermost first; lines that are no frame are left out. */
export const parseStack = (stack: string): Frame[] => stack.split("\n").flatMap((text) => parseFrame(text) ?? []);

/**
 * Where the frames that are not the author's come from: this folder and the builder's. A bundle puts the whole library into one file,
 * and then that file is it.
 */
const ownFile = parseStack(capture(1).stack ?? "")[0]?.file ?? "";
const ownPlaces = /[\\/]dsl[\\/]locate\.[jt]s$/.test(ownFile)
  ? ["dsl", "ir"].map((folder) => ownFile.replace(/dsl([\\/])locate\.[jt]s$/, `${folder}$1`))
  : [ownFile].filter((file) => file !== "");

const isOwn = (frame: Frame): boolean => ownPlaces.some((place) => frame.file.startsWith(place));
const isEngine = (frame: Frame): boolean => frame.file.startsWith("node:") || frame.file === "native";

/** As lines of a stack name those places, so that most frames need not be taken apart to see that they are not the author's. */
const ownMarks = ownPlaces.flatMap((place) => [`(file://${place}`, ` file://${place}`, `(${place}`, ` ${place}`]);

/** The innermost frame of the author's. */
function findAuthor(stack: string): Frame | undefined {
  for (const text of stack.split("\n")) {
    if (ownMarks.some((mark) => text.includes(mark))) continue;
    const frame = parseFrame(text);
    if (frame && !isOwn(frame) && !isEngine(frame)) return frame;
  }
  return undefined;
}

/** A location that is read from its capture when first asked for. */
class CapturedLocation implements Location {
  #capture: { readonly stack?: string } | undefined;
  #frame: Frame | undefined;

  constructor(captured: { readonly stack?: string }) {
    this.#capture = captured;
  }

  #read(): Frame | undefined {
    if (this.#capture) {
      this.#frame = findAuthor(this.#capture.stack ?? "");
      this.#capture = undefined;
    }
    return this.#frame;
  }

  get file(): string {
    return this.#read()?.file ?? "unknown";
  }
  get line(): number {
    return this.#read()?.line ?? 0;
  }
  get column(): number {
    return this.#read()?.column ?? 0;
  }
  toJSON(): Location {
    return { file: this.file, line: this.line, column: this.column };
  }
}

/** The location of the author's call that led to `callee`, which asks. */
export const locateCall = (callee: Callee): Location => new CapturedLocation(capture(locationDepth, callee));

/** The function of this folder that calls the author's body: nothing outside of it belongs to the kernel. */
export const bodyCaller = "callAuthorsBody";

/** The author's frames from the call that led here out to the kernel's body, innermost first. */
export function callChain(): Frame[] {
  const frames = parseStack(capture(chainDepth).stack ?? "");
  const end = frames.findIndex((frame) => frame.function?.endsWith(bodyCaller));
  const inside = frames.slice(0, end < 0 ? frames.length : end).filter((frame) => !isOwn(frame) && !isEngine(frame));
  // Outside a body only the call itself is of interest.
  return end < 0 ? inside.slice(0, 1) : inside;
}

/** The chain as the end of an error message: "at file:1:2 (scores)", "called from file:3:4 (body)". */
export function describeChain(frames: readonly Frame[]): string {
  return frames
    .map(({ file, line, column, function: name }, i) => {
      const where = `${file}:${line}:${column}${name ? ` (${name})` : ""}`;
      return `\n    ${i === 0 ? "at" : "called from"} ${where}`;
    })
    .join("");
}
