/**
 * @file Reads the records that a compiled kernel's `tl.print` and `tl.assert` leave in its debug buffer (see `DebugOutput` in the
 * launch metadata) and turns them into lines and errors.
 */
import type { DebugOutput } from "../codegen/metadata.ts";
import type { DType } from "../ir/index.ts";
import { bf16BitsToF32, f16BitsToF32 } from "../support/float16.ts";

/** What one launch printed, and the assertions that failed, in the order of the records. */
export interface DebugReport {
  readonly lines: readonly string[];
  readonly failures: readonly string[];
}

/** Decodes the buffer of one launch of `kernel`. Records that found no room are counted, not shown. */
export function decodeDebugOutput(kernel: string, debug: DebugOutput, words: Uint32Array): DebugReport {
  const lines: string[] = [];
  const failures: string[] = [];
  const asked = words[0]!;
  const end = Math.min(1 + asked, debug.words);
  for (let position = 1; position < end; ) {
    const site = debug.sites[words[position]!];
    if (site === undefined) break; // A record that was cut off.
    const length = 5 + site.dtypes.reduce((total, dtype) => total + (dtype === "i64" ? 2 : 1), 0);
    if (position + length > end) break;
    const [x, y, z, element] = words.subarray(position + 1, position + 5);
    const where = `program (${x}, ${y}, ${z})${site.shape.length > 0 ? `, element [${coordinates(element!, site.shape).join(", ")}]` : ""}`;
    if (site.kind === "assert")
      failures.push(`kernel "${kernel}": assertion failed: ${site.message} (${where}, ${site.location})`);
    else
      lines.push(
        `${where}: ${[site.message, ...readValues(words, position + 5, site.dtypes)].filter(Boolean).join(" ")}`,
      );
    position += length;
  }
  if (1 + asked > debug.words)
    lines.push(`kernel "${kernel}": the debug buffer is full: ${1 + asked - debug.words} words of output are missing`);
  return { lines, failures };
}

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
