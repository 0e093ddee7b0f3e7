import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the repository. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

/** A table of a page, under the nearest heading above it. */
export interface Table {
  heading: string;
  header: string[];
  rows: string[][];
}

/** The text of a file of the repository. */
export function readPage(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** All tables of a page. */
export function tablesOf(path: string): Table[] {
  const tables: Table[] = [];
  let heading = "";
  let isInside = false;
  for (const line of readPage(path).split("\n")) {
    heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading;
    const cells = cellsOf(line);
    const isDelimiter = cells?.every((cell) => /^:?-+:?$/.test(cell)) ?? false;
    if (cells && !isInside) tables.push({ heading, header: cells, rows: [] });
    else if (cells && !isDelimiter) tables.at(-1)!.rows.push(cells);
    isInside = cells !== undefined;
  }
  return tables;
}

/** The table under a heading; the only one, or the first. */
export function tableUnder(path: string, heading: string): Table {
  const table = tablesOf(path).find((other) => other.heading === heading);
  if (!table) throw new Error(`${path} has no table under "${heading}".`);
  return table;
}

/** What stands in backquotes at the beginning of a cell. */
export function quoted(cell: string | undefined): string {
  return /^`([^`]+)`/.exec(cell ?? "")?.[1] ?? "";
}

function cellsOf(line: string): string[] | undefined {
  if (!line.startsWith("|")) return undefined;
  return line
    .slice(1, line.lastIndexOf("|"))
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}
