import { Command } from "commander";
import type { ModelInfo } from "../index.js";
import { addCommonFlags, type CommonFlags, type CommonOptions, commonOptions } from "./flags.js";
import { formatBytes } from "./format.js";
import type { Io } from "./io.js";

const EXAMPLES = `
Examples:
  $ llm-client models
  $ llm-client models -m org/name
  $ llm-client models --json | jq -r '.[].id'
  $ llm-client models | cut -f1`;

/** The flags and help of `llm-client models`. */
export function modelsCommand(run: (options: CommonOptions) => Promise<void>): Command {
  const command = new Command("models").description("list the models that can be used here");
  return addCommonFlags(command)
    .addHelpText("after", EXAMPLES)
    .action((flags: CommonFlags) => run(commonOptions(flags, command)));
}

/** Prints the models: a table for people, tab-separated lines for programs. */
export async function runModels(options: CommonOptions, io: Io): Promise<void> {
  const { LLMClient, ModelNotFoundError } = await import("../index.js");
  await using client = new LLMClient(options.config);
  const { model } = options.config;
  const all = await client.listModels();
  const models = model === undefined ? all : all.filter(({ id }) => id === model);
  if (model !== undefined && models.length === 0) {
    const hint = 'Without --model, "llm-client models" lists all.';
    throw new ModelNotFoundError(`Model "${model}" is not among those listed.`, { model, hint });
  }
  if (options.json) return io.stdout.write(`${JSON.stringify(models, undefined, 2)}\n`);
  if (io.stdout.isTTY) return io.stdout.write(await table(models, options, io));
  await io.stdout.write(models.map(tabbedLine).join(""));
}

function tabbedLine(model: ModelInfo): string {
  const { id, provider, size, quantization, contextLength, family, description } = model;
  const cells = [id, provider, size, quantization, contextLength, family, description];
  return `${cells.map(cellText).join("\t")}\n`;
}

/** Names come from folders, which may hold anything, also what would steer a terminal. */
function cellText(value: string | number | undefined): string {
  return String(value ?? "").replace(/[\s\p{Cc}]+/gu, " ");
}

async function table(models: ModelInfo[], { verbose }: CommonOptions, { stdout }: Io) {
  const { default: Table } = await import("cli-table3");
  const head = ["model", "size", "quantization", "context", "architecture", "note"];
  if (verbose) head.push("folder");
  const result = new Table({
    head: head.map((title) => stdout.bold(title)),
    chars: NO_LINES,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 2 },
  });
  for (const model of models) {
    const { id, size, quantization, contextLength, family, description, path } = model;
    const cells = [id, formatBytes(size), quantization, contextLength, family, description];
    if (verbose) cells.push(path);
    result.push(cells.map(cellText));
  }
  return `${result.toString().replace(/ +$/gm, "")}\n`;
}

const NO_LINES = Object.fromEntries(
  [
    ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left"],
    ["bottom-right", "left", "left-mid", "mid", "mid-mid", "right", "right-mid", "middle"],
  ]
    .flat()
    .map((part) => [part, ""]),
);
