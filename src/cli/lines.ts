import { UsageError } from "./exit-codes.js";
import type { Io } from "./io.js";

/** The texts of a command: its words, or else the lines that were piped in, but for empty ones. */
export async function readTexts(words: string[], { stdin }: Io, what: string): Promise<string[]> {
  const isPiped = words.length === 0 ? stdin.piped : words.length === 1 && words[0] === "-";
  if (!isPiped && words.length > 0) return words;
  const lines = isPiped ? (await stdin.read()).split(/\r?\n/) : [];
  const texts = lines.filter((line) => line.trim() !== "");
  if (texts.length > 0) return texts;
  throw new UsageError(
    `There are no ${what}.`,
    "Write them after the command, or pipe in a line for each.",
  );
}
