import { Command, CommanderError } from "commander";
import { chatCommand, runChat } from "./chat.js";
import { cachePromptCommand, runCachePrompt } from "./cache-prompt.js";
import { completionCommand, runCompletion } from "./completion.js";
import { convertCommand, runConvert } from "./convert.js";
import { configCommand, runConfig } from "./config.js";
import { doctorCommand, runDoctor } from "./doctor.js";
import { embedCommand, runEmbed } from "./embed.js";
import { EXIT } from "./exit-codes.js";
import { generateCommand, runGenerate } from "./generate.js";
import { healthCommand, runHealth } from "./health.js";
import { fitCommand, runFit } from "./fit.js";
import type { Io } from "./io.js";
import { modelsCommand, runModels } from "./models.js";
import { pullCommand, runPull } from "./pull.js";
import { rerankCommand, runRerank } from "./rerank.js";
import { runServe, serveCommand } from "./serve.js";
import { readVersion } from "./version.js";

const EXAMPLES = `
Examples:
  $ llm-client generate "What is 7 + 5?"
  $ llm-client chat -m ollama:qwen3:4b
  $ llm-client models
  $ llm-client help generate

Who is asked: the provider that -p or -m names, else the one of the environment or
of a configuration file, else all: mlx, ollama and lmstudio on Apple silicon;
ollama, lmstudio and mlx elsewhere.`;

/** Runs what a command line asks for and resolves to the exit code; `report` makes one of an error. */
export async function runProgram(
  argv: string[],
  io: Io,
  report: (error: unknown, verbose: boolean) => Promise<number>,
): Promise<number> {
  let exitCode: number = EXIT.ok;
  let verbose = false;
  const program: Command = new Command("llm-client")
    .description(
      "Runs language models: MLX in this process, Ollama and LM Studio on their servers.",
    )
    .version(readVersion(), "-V, --version")
    .addHelpText("after", EXAMPLES)
    .addCommand(generateCommand((options) => runGenerate(options, io)))
    .addCommand(chatCommand((options) => runChat(options, io)))
    .addCommand(cachePromptCommand((options) => runCachePrompt(options, io)))
    .addCommand(embedCommand((options) => runEmbed(options, io)))
    .addCommand(rerankCommand((options) => runRerank(options, io)))
    .addCommand(modelsCommand((options) => runModels(options, io)))
    .addCommand(pullCommand((options) => runPull(options, io)))
    .addCommand(
      healthCommand(async (options) => {
        exitCode = await runHealth(options, io);
      }),
    )
    .addCommand(
      doctorCommand(async (options) => {
        exitCode = await runDoctor(options, io);
      }),
    )
    .addCommand(
      fitCommand(async (options) => {
        exitCode = await runFit(options, io);
      }),
    )
    .addCommand(convertCommand((options) => runConvert(options, io)))
    .addCommand(serveCommand((options) => runServe(options, io)))
    .addCommand(configCommand((options) => runConfig(options, io)))
    .addCommand(completionCommand((shell) => runCompletion(shell, program, io)))
    .hook("preAction", (_program, command) => {
      verbose = command.opts().verbose === true;
    });
  for (const command of withSubcommands(program)) command.exitOverride();
  try {
    await program.parseAsync(argv);
    return exitCode;
  } catch (error) {
    // Commander has already said what was wrong, or printed the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return report(error, verbose);
  }
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}
