import { UsageError } from "./exit-codes.js";
import type { Io } from "./io.js";

/** The prompt: what was piped in, a blank line, then the words; `-` asks for stdin by name. */
export async function readPrompt(words: string[], { stdin }: Io): Promise<string> {
  const text = words.filter((word) => word !== "-").join(" ");
  const wantsStdin = stdin.piped || words.includes("-");
  const piped = wantsStdin ? (await stdin.read()).replace(/(?:\r?\n)+$/, "") : "";
  const prompt = [piped, text].filter((part) => part.trim() !== "").join("\n\n");
  if (prompt !== "") return prompt;
  throw new UsageError(
    wantsStdin || words.length > 0 ? "The prompt is empty." : "There is no prompt.",
    'Write it after the command, or pipe it in: llm-client generate "Hello"',
  );
}
