/** @file What stands in the loops of generated PTX. */

/** The opcodes of each loop of the text, inner loops included, guards left out. */
export function instructionsOfLoops(source: string): string[][] {
  const lines = source.split("\n").map((line) => line.trim());
  return lines.flatMap((line, end) => {
    const label = /bra\.uni (\$loop_\d+);/.exec(line)?.[1];
    const start = label === undefined ? -1 : lines.indexOf(`${label}:`);
    if (start < 0 || start > end) return [];
    const opcodes = lines.slice(start + 1, end).map((text) => /^(?:@!?%\w+ )?([a-z][\w.]*)/.exec(text)?.[1]);
    return [opcodes.filter((opcode) => opcode !== undefined)];
  });
}
