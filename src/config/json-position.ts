import { createRequire } from "node:module";
import type { ParseError } from "jsonc-parser";

const require = createRequire(import.meta.url);

/** A place in a text; lines and columns count from 1. */
export interface Position {
  line: number;
  column: number;
}

/**
 * Where a text that `JSON.parse` refuses stops being JSON, as far as that can be told. Node's own
 * message does not always say it, and quotes the text, in which there may be a key.
 * @example
 * findJsonMistake('{ "model": demo }'); // { line: 1, column: 12 }
 */
export function findJsonMistake(text: string): Position | undefined {
  // Only who made a mistake pays for loading it.
  const { parse } = require("jsonc-parser") as typeof import("jsonc-parser");
  const mistakes: ParseError[] = [];
  try {
    parse(text, mistakes, { disallowComments: true });
  } catch (error) {
    // Nested deeper than it can follow.
    if (!(error instanceof RangeError)) throw error;
  }
  const [first] = mistakes;
  return first && positionOf(text, first.offset);
}

function positionOf(text: string, offset: number): Position {
  const lines = text.slice(0, offset).split(/\r\n|\r|\n/);
  return { line: lines.length, column: lines.at(-1)!.length + 1 };
}
