import { Command } from "commander";
import type { ModelInfo } from "../index.js";
import { openClient } from "./client.js";
import {
  addCommonFlags,
  type CommonFlags,
  type CommonOptions,
  commonOptions,
  modelOptions,
} from "./flags.js";
import { formatBytes } from "./format.js";
import type { Io } from "./io.js";
import { removeModel } from "./models-rm.js";
import { showModel } from "./models-show.js";
import { type Cell, table, tabbedLines } from "./table.js";

/** What `llm-client models` was asked to do. */
export type ModelsOptions =
  | (CommonOptions & { action: "list" })
  | (CommonOptions & { action: "show"; model: string })
  | (CommonOptions & { action: "rm"; model: string; yes: boolean });

const EXAMPLES = `
Examples:
  $ llm-client models
  $ llm-client models -p ollama
  $ llm-client models -m org/name
  $ llm-client models --json | jq -r '.[].id'
  $ llm-client models | cut -f1
  $ llm-client models show org/name
  $ llm-client models rm org/name`;

/** The flags and help of `llm-client models`. */
export function modelsCommand(run: (options: ModelsOptions) => Promise<void>): Command {
  const command = new Command("models").description("list the models that can be used here");
  addCommonFlags(command)
    .addHelpText("after", EXAMPLES)
    .action((flags: CommonFlags) => run({ ...commonOptions(flags, command), action: "list" }));
  addCommonFlags(command.command("show"))
    .description("tell everything that is known of a model")
    .argument("<model>", "a name, a folder, or provider:model")
    .action((name: string, _: CommonFlags, subcommand: Command) =>
      run({ ...modelOptions(name, subcommand.optsWithGlobals(), subcommand), action: "show" }),
    );
  addCommonFlags(command.command("rm"))
    .description("delete a model from the Hugging Face cache, or one revision of it")
    .argument("<model>", "org/name, or org/name@revision")
    .option("-y, --yes", "do not ask")
    .action((name: string, _: CommonFlags, subcommand: Command) => {
      const { yes = false, ...flags } = subcommand.optsWithGlobals<
        CommonFlags & { yes?: boolean }
      >();
      return run({ ...modelOptions(name, flags, subcommand), action: "rm", yes });
    });
  return command;
}

/** Lists models, or shows or removes one. */
export async function runModels(options: ModelsOptions, io: Io): Promise<void> {
  if (options.action === "show") return showModel(options, io);
  if (options.action === "rm") return removeModel(options, io);
  return listModels(options, io);
}

/** Prints the models: a table for people, tab-separated lines for programs. */
async function listModels(options: CommonOptions, io: Io): Promise<void> {
  await using client = await openClient(options, io);
  const { model } = options.sources.flags;
  const all = await client.listModels();
  const named = model === undefined ? all : all.filter(({ id }) => isNamed(model, id));
  // A folder, or a revision, is in no list.
  const models = named.length === 0 && model ? [await client.showModel(model)] : named;
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
  const cells = [id, provider, size, quantization, contextLength, family, description, state];
  return [...cells, model.capabilities?.join(","), yesOrNo(model.usable)];
}

function yesOrNo(value: boolean | undefined): string {
  return value === undefined ? "" : value ? "yes" : "no";
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
    ["can", ({ capabilities }) => capabilities?.join(", ")],
    ["usable", ({ usable }) => yesOrNo(usable)],
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
