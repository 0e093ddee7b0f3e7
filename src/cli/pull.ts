import { Command } from "commander";
import type { PullProgress } from "../index.js";
import { openClient } from "./client.js";
import {
  addCommonFlags,
  chooseMlx,
  type CommonFlags,
  type CommonOptions,
  modelOptions,
} from "./flags.js";
import type { Io } from "./io.js";
import { keeperOf } from "./keeper.js";
import { PullBar } from "./pull-bar.js";
import { cellText } from "./table.js";

/** What `llm-client pull` was asked to do. */
export interface PullCommandOptions extends CommonOptions {
  model: string;
  file?: string;
  offline: boolean;
}

interface Flags extends CommonFlags {
  file?: string;
  offline?: boolean;
}

const EXAMPLES = `
Examples:
  $ llm-client pull mlx-community/Qwen3-0.6B-4bit
  $ llm-client pull org/name@v1.0
  $ llm-client pull org/name-GGUF --file name-Q4_K_M.gguf
  $ llm-client pull -p ollama qwen3:4b
  $ llm-client pull --json org/name | jq -r 'select(.status == "success").path'`;

/** The flags and help of `llm-client pull`. */
export function pullCommand(run: (options: PullCommandOptions) => Promise<void>): Command {
  const command = new Command("pull")
    .description("download a model: from the Hugging Face Hub, or with -p to Ollama or LM Studio")
    .argument("<model>", "org/name, org/name@revision, or what the provider calls it");
  return addCommonFlags(command)
    .option("--file <name>", "which GGUF file to take of several (mlx)")
    .option("--offline", "only look whether it has been downloaded (mlx)")
    .addHelpText("after", EXAMPLES)
    .action((name: string, { file, offline = false, ...flags }: Flags) => {
      const names = [...(file === undefined ? [] : ["--file"]), ...(offline ? ["--offline"] : [])];
      const { model, ...options } = modelOptions(name, flags, command);
      const common = chooseMlx(options, names, command);
      return run({ ...common, model, file, offline });
    });
}

/** Downloads, telling on stderr how far it has come; prints the folder, or each step as JSON. */
export async function runPull(options: PullCommandOptions, io: Io): Promise<void> {
  const { model, file, offline, json } = options;
  const sources = await keeperOf(options.sources);
  await using client = await openClient({ ...options, sources }, io);
  const bar = new PullBar(io.stderr, json);
  const pulling = { signal: io.signal, file, offline: offline || undefined };
  let last: PullProgress | undefined;
  try {
    for await (const progress of client.pullModel(model, pulling)) {
      last = progress;
      if (json) await io.stdout.write(`${JSON.stringify(progress)}\n`);
      await bar.show(progress);
    }
  } finally {
    await bar.end();
  }
  if (!json && last?.path !== undefined) await io.stdout.write(`${cellText(last.path)}\n`);
}
