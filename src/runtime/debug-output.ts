/**
 * @file Reads the records that a compiled kernel's `tl.print` and `tl.assert` leave in its debug buffer (see `DebugOutput` in the
 * launch metadata) and turns them into lines and errors.
 */
import type { DebugOutput } from "../codegen/metadata.ts";
import type { DType } from "../ir/index.ts";
import { bf16BitsToF32, f16BitsToF32 } from "../support/float16.ts";

/** What one launch printed, and the assertions that failed: by program (x fastest), within one program in the order of the records. */
export interface DebugReport {
  readonly lines: readonly string[];
  readonly failures: readonly string[];
}

interface Message {
  readonly program: readonly [number, number, number];
  readonly text: string;
}

/** Decodes the buffer of one launch of `kernel`. Records that found no room are counted, not shown. */
export function decodeDebugOutput(kernel: string, debug: DebugOutput, words: Uint32Array): DebugReport {
  const printed: Message[] = [];
  const failed: Message[] = [];
  const asked = words[0]!;
  const end = Math.min(1 + asked, debug.words);
  for (let position = 1; position < end; ) {
    const site = debug.sites[words[position]!];
    if (site === undefined) break; // A record that was cut off.
    const length = 5 + site.dtypes.reduce((total, dtype) => total + (dtype === "i64" ? 2 : 1), 0);
    if (position + length > end) break;
    const [x, y, z, element] = words.subarray(position + 1, position + 5) as unknown as [
      number,
      number,
      number,
      number,
    ];
    const at = site.shape.length > 0 ? ` [${coordinates(element, site.shape).join(", ")}]` : "";
    const text =
      site.kind === "print"
        ? `${kernel}[${x},${y},${z}] ${site.message}${at}: ${readValues(words, position + 5, site.dtypes).join(", ")}`
        : `kernel "${kernel}", program (${x}, ${y}, ${z}), assert at ${site.location}${at && `, element${at}`}: assertion failed: ${site.message}`;
    (site.kind === "print" ? printed : failed).push({ program: [x, y, z], text });
    position += length;
  }
  const lines = inOrder(printed);
  if (1 + asked > debug.words)
    lines.push(`${kernel}: the debug buffer is full: ${1 + asked - debug.words} words of output are missing`);
  return { lines, failures: inOrder(failed) };
}

const inOrder = (messages: Message[]): string[] =>
  messages.sort(({ program: a }, { program: b }) => a[2] - b[2] || a[1] - b[1] || a[0] - b[0]).map(({ text }) => text);

function coordinates(linear: number, shape: readonly number[]): number[] {
  const result = new Array<number>(shape.length);
  let rest = linear;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    result[axis] = rest % shape[axis]!;
    rest = Math.floor(rest / shape[axis]!);
  }
  return result;
}

const f32 = new Float32Array(1);
const f32Bits = new Uint32Array(f32.buffer);

function readValues(words: Uint32Array, start: number, dtypes: readonly DType[]): string[] {
  let position = start;
  return dtypes.map((dtype) => {
    const low = words[position++]!;
    switch (dtype) {
      case "f32":
        f32Bits[0] = low;
        return String(f32[0]);
      case "f16":
        return String(f16BitsToF32(low & 0xffff));
      case "bf16":
        return String(bf16BitsToF32(low & 0xffff));
      case "bool":
        return String((low & 1) !== 0);
      case "u32":
        return String(low);
      case "i8":
        return String((low << 24) >> 24);
      case "i64":
        return String(BigInt.asIntN(64, (BigInt(words[position++]!) << 32n) | BigInt(low)));
      default:
        return String(low | 0);
    }
  });
}
