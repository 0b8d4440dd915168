/** @file A table with a column for each context length and a row for each scheme. */
import Table from "cli-table3";

export interface SchemeRow {
  readonly scheme: string;
  /** One for each column. */
  readonly cells: readonly string[];
}

/** `columns`: their heads, right of "scheme". */
export function printTable(columns: readonly string[], rows: readonly SchemeRow[]): void {
  const table = new Table({
    head: ["scheme", ...columns],
    colAligns: ["left", ...columns.map(() => "right" as const)],
    style: { head: [], border: [] },
  });
  for (const { scheme, cells } of rows) table.push([scheme, ...cells]);
  console.log(table.toString());
}
