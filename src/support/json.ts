/** @file What readers of JSON files share: one type guard, and values as they appear in an error. */

/** Whether `value` is a JSON object. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `value` as an error prints it: short, whatever a damaged file holds. */
export function describe(value: unknown): string {
  const isShort = !Array.isArray(value) || (value.length <= 8 && value.every((item) => typeof item !== "object"));
  if (isRecord(value)) return "an object";
  if (!isShort) return `a list of ${(value as unknown[]).length} items`;
  const text = JSON.stringify(value) ?? "undefined";
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
