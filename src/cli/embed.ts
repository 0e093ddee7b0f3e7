import { Command, Option } from "commander";
import type { EmbedOptions, Pooling } from "../index.js";
import { openClient } from "./client.js";
import { addCommonFlags, type CommonFlags, type CommonOptions, commonOptions } from "./flags.js";
import type { Io } from "./io.js";
import { readTexts } from "./lines.js";
import { numberFlag } from "./number-flag.js";
import { cellText } from "./table.js";

/** What `llm-client embed` was asked to do. */
export interface EmbedCommandOptions extends CommonOptions {
  words: string[];
  options: EmbedOptions;
}

type Flags = CommonFlags & Omit<EmbedOptions, "model" | "signal">;

const EXAMPLES = `
Examples:
  $ llm-client embed -m ./all-MiniLM-L6-v2 "A river runs past the mill."
  $ llm-client embed -m org/name --input-type document < passages.txt > vectors.jsonl
  $ llm-client embed -m ollama:nomic-embed-text --json river bank | jq .usage`;

const POOLINGS: Pooling[] = [
  "cls",
  "lasttoken",
  "max",
  "mean",
  "mean_sqrt_len_tokens",
  "weightedmean",
];

/** The flags and help of `llm-client embed`. */
export function embedCommand(run: (options: EmbedCommandOptions) => Promise<void>): Command {
  const command = new Command("embed")
    .description("print a vector for each text, as a line of JSON")
    .argument("[texts...]", 'texts; without any, or for "-", the lines of stdin');
  return addCommonFlags(command)
    .addOption(
      new Option(
        "--input-type <type>",
        "put the model's own prompt before each text (mlx)",
      ).choices(["query", "document"]),
    )
    .option("--prompt <text>", "put this before each text")
    .option(
      "--dimensions <number>",
      "keep so many numbers of each vector",
      numberFlag("--dimensions", { whole: true, min: 1 }),
    )
    .option("--truncate", "cut texts that are too long, instead of refusing them")
    .addOption(
      new Option("--pooling <way>", "for a model that does not say its own (mlx)").choices(
        POOLINGS,
      ),
    )
    .addHelpText("after", EXAMPLES)
    .action((words: string[], flags: Flags) => {
      const { inputType, prompt, dimensions, truncate, pooling } = flags;
      const options = { inputType, prompt, dimensions, truncate, pooling };
      return run({ ...commonOptions(flags, command), words, options });
    });
}

/** Prints the vectors, in the order of the texts. */
export async function runEmbed(
  { words, options, ...common }: EmbedCommandOptions,
  io: Io,
): Promise<void> {
  const texts = await readTexts(words, io, "texts");
  await using client = await openClient(common, io);
  const response = await client.embed(texts, { ...options, signal: io.signal });
  for (const warning of response.warnings) {
    await io.stderr.write(`warning: ${cellText(warning)}\n`);
  }
  if (common.json) return io.stdout.write(`${JSON.stringify(response, undefined, 2)}\n`);
  for (const vector of response.embeddings) await io.stdout.write(`${JSON.stringify(vector)}\n`);
}
