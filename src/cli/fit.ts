import { Command } from "commander";
import type { ModelFit, Quantize } from "../index.js";
import { EXIT } from "./exit-codes.js";
import { contextFlag } from "./flags.js";
import { quantizeFlag } from "./mlx-flags.js";
import { formatBytes } from "./format.js";
import type { Io } from "./io.js";
import { cellText } from "./table.js";

/** What `llm-client fit` was asked to do. */
export interface FitCommandOptions {
  model: string;
  quantize?: Quantize;
  context?: number;
  json: boolean;
}

const EXAMPLES = `
Examples:
  $ llm-client fit mlx-community/Qwen3-8B-4bit
  $ llm-client fit ./model --context 32768 && echo it fits
  $ llm-client fit Qwen/Qwen3-8B --quantize 4
  $ llm-client fit --json org/name | jq .longestContext`;

/** The flags and help of `llm-client fit`. */
export function fitCommand(run: (options: FitCommandOptions) => Promise<void>): Command {
  return new Command("fit")
    .description("tell whether an MLX model fits into this machine's memory, without loading it")
    .argument("<model>", '"demo", org/name, a folder, or a GGUF file')
    .addOption(quantizeFlag("as if its weights were quantized while they are loaded"))
    .addOption(contextFlag("tokens of prompt and reply that must fit"))
    .option("--json", "print one JSON object")
    .addHelpText("after", EXAMPLES)
    .action((model: string, { json = false, ...flags }: Partial<FitCommandOptions>) =>
      run({ ...flags, model, json }),
    );
}

/** Prints what the model takes, a line for each part; resolves to the exit code. */
export async function runFit(
  { json, model, ...options }: FitCommandOptions,
  { stdout, stderr }: Io,
): Promise<number> {
  const { fitModel } = await import("../index.js");
  const fit = await fitModel(model, options);
  await stdout.write(json ? `${JSON.stringify(fit, undefined, 2)}\n` : describe(fit));
  if (fit.fits) return EXIT.ok;
  await stderr.write(`${cellText(model)} does not fit here. ${hintFor(fit)}\n`);
  return EXIT.failure;
}

/** What a model does not have is left out. */
function describe(fit: ModelFit): string {
  const { longestContext, contextLength, context } = fit;
  const facts: [string, number | string][] = [
    ["model", fit.id],
    ["weights", fit.weightBytes],
    ["cache of 1000 tokens", fit.cacheBytesPer1000Tokens],
    ["cache of sliding windows", fit.windowBytes],
    ["state", fit.stateBytes],
    [`in all, with ${context} tokens`, fit.weightBytes + fit.cacheBytes],
    ["memory for models", fit.memoryLimit],
    ["longest context", longestContext === undefined ? "any" : `${longestContext} tokens`],
    ["made for", contextLength === undefined ? "" : `${contextLength} tokens`],
    ["fits", fit.fits ? "yes" : "no"],
  ];
  const known = facts.filter(([, fact]) => fact !== 0 && fact !== "");
  return known
    .map(([name, fact]) => [name, typeof fact === "number" ? formatBytes(fact) : fact])
    .map(([name, fact]) => `${name}: ${cellText(fact)}\n`)
    .join("");
}

function hintFor({ longestContext = 0, contextLength = Infinity }: ModelFit): string {
  if (longestContext === 0) return "Choose a smaller or more quantized model, or try --quantize.";
  if (longestContext === contextLength) return `It is made for at most ${contextLength} tokens.`;
  return `There is room for ${longestContext} tokens: shorten the context, or quantize the weights more.`;
}
