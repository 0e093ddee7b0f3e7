import { Command } from "commander";
import type { Message, PromptCacheMlxOptions } from "../index.js";
import { openClient } from "./client.js";
import {
  addCommonFlags,
  chooseMlx,
  type CommonFlags,
  type CommonOptions,
  commonOptions,
} from "./flags.js";
import { formatBytes } from "./format.js";
import type { Io } from "./io.js";
import { addKeptFlags, addRawFlag, splitMlxFlags } from "./mlx-flags.js";
import { readPrompt } from "./prompt.js";
import { cellText } from "./table.js";

/** What `llm-client cache-prompt` was asked to do. */
export interface CachePromptOptions extends CommonOptions {
  words: string[];
  system?: string;
  file: string;
  mlx: PromptCacheMlxOptions;
}

interface Flags extends CommonFlags, Omit<PromptCacheMlxOptions, "templateVariables"> {
  system?: string;
  promptCacheFile: string;
}

const EXAMPLES = `
Examples:
  $ llm-client cache-prompt --prompt-cache-file manual.safetensors < manual.txt
  $ llm-client generate --prompt-cache-file manual.safetensors "How do I clean the filter?"
  $ mlx_lm.generate --prompt-cache-file manual.safetensors --prompt "How do I clean the filter?"`;

/** The flags and help of `llm-client cache-prompt`. */
export function cachePromptCommand(run: (options: CachePromptOptions) => Promise<void>): Command {
  const command = new Command("cache-prompt")
    .description("read the beginning of a prompt once, and keep it in a file (mlx)")
    .argument("[prompt...]", 'the beginning; piped text comes before it; "-" reads stdin');
  return addRawFlag(addKeptFlags(addCommonFlags(command)))
    .requiredOption("--prompt-cache-file <file>", "file to write, which ends in .safetensors")
    .option("--system <text>", "system message")
    .addHelpText("after", EXAMPLES)
    .action((words: string[], { promptCacheFile: file, system, ...flags }: Flags) => {
      const { mlx, others } = splitMlxFlags(flags);
      const common = chooseMlx(commonOptions(others, command), ["cache-prompt"], command);
      return run({ ...common, words, system, file, mlx });
    });
}

/** Reads a prompt and tells which file holds it. */
export async function runCachePrompt(options: CachePromptOptions, io: Io): Promise<void> {
  const { words, system, file, mlx, json } = options;
  const messages: Message[] = [{ role: "user", content: await readPrompt(words, io) }];
  if (system) messages.unshift({ role: "system", content: system });
  await using client = await openClient(options, io);
  const question = { file, messages, providerOptions: { mlx }, signal: io.signal };
  const written = await client.writePromptCache(question);
  if (json) return io.stdout.write(`${JSON.stringify(written, undefined, 2)}\n`);
  const { tokens, bytes } = written;
  await io.stdout.write(`${cellText(written.file)}: ${tokens} tokens, ${formatBytes(bytes)}\n`);
}
