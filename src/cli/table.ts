import type { Output } from "./io.js";

/** What stands in one cell. */
export type Cell = string | number | undefined;

/** One line for each row, with tabs between the cells; for programs. */
export function tabbedLines(rows: Cell[][]): string {
  return rows.map((row) => `${row.map(cellText).join("\t")}\n`).join("");
}

/** A table with a head; for people. */
export async function table(head: string[], rows: Cell[][], stdout: Output): Promise<string> {
  const { default: Table } = await import("cli-table3");
  const result = new Table({
    head: head.map((title) => stdout.bold(title)),
    chars: NO_LINES,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 2 },
  });
  result.push(...rows.map((row) => row.map(cellText)));
  return `${result.toString().replace(/ +$/gm, "")}\n`;
}

/** One line of text: names of models and folders may hold anything, also what steers a terminal. */
export function cellText(value: Cell): string {
  return String(value ?? "").replace(/[\s\p{Cc}\p{Bidi_Control}]+/gu, " ");
}

const NO_LINES = Object.fromEntries(
  [
    ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left"],
    ["bottom-right", "left", "left-mid", "mid", "mid-mid", "right", "right-mid", "middle"],
  ]
    .flat()
    .map((part) => [part, ""]),
);
