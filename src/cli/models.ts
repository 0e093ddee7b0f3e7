import { Command } from "commander";
import type { ModelInfo } from "../index.js";
import { openClient } from "./client.js";
import { addCommonFlags, type CommonFlags, type CommonOptions, commonOptions } from "./flags.js";
import { formatBytes } from "./format.js";
import type { Io } from "./io.js";
import { type Cell, table, tabbedLines } from "./table.js";

const EXAMPLES = `
Examples:
  $ llm-client models
  $ llm-client models -p ollama
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
  const { ModelNotFoundError } = await import("../index.js");
  await using client = await openClient(options, io);
  const { model } = options.sources.flags;
  const all = await client.listModels();
  const models = model === undefined ? all : all.filter(({ id }) => isNamed(model, id));
  if (model !== undefined && models.length === 0) {
    const hint = 'Without --model, "llm-client models" lists all.';
    throw new ModelNotFoundError(`Model "${model}" is not among those listed.`, { model, hint });
  }
  if (options.json) return io.stdout.write(`${JSON.stringify(models, undefined, 2)}\n`);
  if (!io.stdout.isTTY) return io.stdout.write(tabbedLines(models.map(cellsForPrograms)));
  await io.stdout.write(await tableOf(models, options, io));
}

/** Ollama adds a tag where none is given. */
function isNamed(name: string, id: string): boolean {
  return id === name || id === `${name}:latest`;
}

function cellsForPrograms(model: ModelInfo): Cell[] {
  const { id, provider, size, quantization, contextLength, family, description, loaded } = model;
  const state = loaded ? "loaded" : "";
  return [id, provider, size, quantization, contextLength, family, description, state];
}

function tableOf(
  models: ModelInfo[],
  { sources, verbose }: CommonOptions,
  { stdout }: Io,
): Promise<string> {
  const isOfOne = models.every(({ provider }) => provider === sources.flags.provider);
  const columns: [string, (model: ModelInfo) => Cell][] = [
    ["model", ({ id }) => id],
    ["provider", ({ provider }) => provider],
    ["size", ({ size }) => formatBytes(size)],
    ["quantization", ({ quantization }) => quantization],
    ["context", ({ contextLength }) => contextLength],
    ["architecture", ({ family }) => family],
    ["loaded", ({ loaded }) => (loaded ? "yes" : "")],
    ["note", ({ description }) => description],
    ["folder", ({ path }) => path],
  ];
  const shown = columns.filter(
    ([title]) => (title !== "provider" || !isOfOne) && (title !== "folder" || verbose),
  );
  const rows = models.map((model) => shown.map(([, cell]) => cell(model)));
  return table(
    shown.map(([title]) => title),
    rows,
    stdout,
  );
}
