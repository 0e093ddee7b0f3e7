import { Command } from "commander";
import type { RerankOptions } from "../index.js";
import { openClient } from "./client.js";
import { addCommonFlags, type CommonFlags, type CommonOptions, commonOptions } from "./flags.js";
import type { Io } from "./io.js";
import { readTexts } from "./lines.js";
import { numberFlag } from "./number-flag.js";
import { cellText } from "./table.js";

/** What `llm-client rerank` was asked to do. */
export interface RerankCommandOptions extends CommonOptions {
  query: string;
  words: string[];
  options: RerankOptions;
}

type Flags = CommonFlags & Omit<RerankOptions, "model" | "signal">;

const EXAMPLES = `
Examples:
  $ llm-client rerank -m BAAI/bge-reranker-v2-m3 "Who lends money?" < passages.txt
  $ llm-client rerank -m org/name --top-n 1 "Who lends money?" "A bank." "A river." | jq -r .document`;

/** The flags and help of `llm-client rerank`. */
export function rerankCommand(run: (options: RerankCommandOptions) => Promise<void>): Command {
  const command = new Command("rerank")
    .description(
      "put documents in order by how well they answer a query (mlx), a line of JSON each",
    )
    .argument("<query>", "what the documents are to answer")
    .argument("[documents...]", 'documents; without any, or for "-", the lines of stdin');
  return addCommonFlags(command)
    .option(
      "--top-n <number>",
      "print the best so many only",
      numberFlag("--top-n", { whole: true, min: 1 }),
    )
    .option("--instruction <text>", "what the query is looking for, for models that take that")
    .option("--truncate", "cut documents that are too long, instead of refusing them")
    .addHelpText("after", EXAMPLES)
    .action((query: string, words: string[], flags: Flags) => {
      const { topN, instruction, truncate } = flags;
      const options = { topN, instruction, truncate };
      return run({ ...commonOptions(flags, command), query, words, options });
    });
}

/** Prints the documents, the best first. */
export async function runRerank(
  { query, words, options, ...common }: RerankCommandOptions,
  io: Io,
): Promise<void> {
  const documents = await readTexts(words, io, "documents");
  await using client = await openClient(common, io);
  const response = await client.rerank(query, documents, { ...options, signal: io.signal });
  for (const warning of response.warnings) {
    await io.stderr.write(`warning: ${cellText(warning)}\n`);
  }
  if (common.json) return io.stdout.write(`${JSON.stringify(response, undefined, 2)}\n`);
  for (const ranked of response.results) await io.stdout.write(`${JSON.stringify(ranked)}\n`);
}
