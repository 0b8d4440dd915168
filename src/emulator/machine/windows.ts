/**
 * @file Where shared, local and parameter memory lie among generic addresses: windows of 4 GiB, far above global memory.
 */
const windows: Readonly<Record<string, number>> = {
  shared: 2 ** 48,
  local: 2 ** 48 + 2 ** 32,
  param: 2 ** 48 + 2 * 2 ** 32,
};

/** Start of the space's window; 0 for global and constant memory, whose addresses are generic as they are. */
export const windowOf = (space: "global" | "const" | "shared" | "local" | "param"): number => windows[space] ?? 0;

/** The space of a generic address and the address within it. */
export function spaceOf(address: number): { space: "global" | "shared" | "local" | "param"; offset: number } {
  if (address < windows.shared!) return { space: "global", offset: address };
  for (const space of ["shared", "local", "param"] as const) {
    const offset = address - windows[space]!;
    if (offset < 2 ** 32) return { space, offset };
  }
  return { space: "global", offset: address };
}
