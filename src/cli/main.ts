#!/usr/bin/env node
import { readFileSync, writeSync } from "node:fs";
import { Command, CommanderError } from "commander";
import type { LLMError } from "../index.js";
import { EXIT, exitCodeOf } from "./exit-codes.js";
import { attemptLines } from "./format.js";
import { generateCommand, runGenerate } from "./generate.js";
import { healthCommand, runHealth } from "./health.js";
import { type Io, processIo } from "./io.js";
import { modelsCommand, runModels } from "./models.js";

/** How long an interrupted command may take to end by itself. */
const INTERRUPT_GRACE_MS = 1000;

const stopping = new AbortController();
let interrupted = false;
let pipeClosed = false;
let verbose = false;

process.on("SIGINT", () => {
  if (interrupted) process.exit(EXIT.interrupt);
  interrupted = true;
  stopping.abort();
  setTimeout(() => process.exit(EXIT.interrupt), INTERRUPT_GRACE_MS).unref();
});

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") {
    writeSync(2, `llm-client: stdout cannot be written: ${error.message}\n`);
    process.exit(EXIT.failure);
  }
  // The reader has seen enough, as with `| head`.
  pipeClosed = true;
  stopping.abort();
});
// Without a reader for messages there is nobody to tell about that.
process.stderr.on("error", () => {});

const io = processIo(stopping.signal);
process.exitCode = await run(process.argv, io);

async function run(argv: string[], io: Io): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = new Command("llm-client")
    .description("Runs language models: MLX in this process.")
    .version(version(), "-V, --version")
    .addCommand(generateCommand((options) => runGenerate(options, io)))
    .addCommand(modelsCommand((options) => runModels(options, io)))
    .addCommand(
      healthCommand(async (options) => {
        exitCode = await runHealth(options, io);
      }),
    )
    .hook("preAction", (_program, command) => {
      verbose = command.opts().verbose === true;
    });
  for (const command of [program, ...program.commands]) command.exitOverride();
  try {
    await program.parseAsync(argv);
    return exitCode;
  } catch (error) {
    return report(error, io);
  }
}

/** The only place that turns an error into text and an exit code. */
async function report(error: unknown, { stderr }: Io): Promise<number> {
  if (pipeClosed) return EXIT.ok;
  if (interrupted) return EXIT.interrupt;
  // Commander has already said what was wrong, or printed the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const { message, hint, attempts = [], stack } = error as Partial<LLMError>;
  await stderr.write(`llm-client: ${message ?? String(error)}\n`);
  if (hint) await stderr.write(`hint: ${hint}\n`);
  if (verbose) {
    const details = [...attemptLines(attempts), ...(stack ? [stack] : [])];
    await stderr.write(stderr.dim(details.map((line) => `${line}\n`).join("")));
  }
  return exitCodeOf(error);
}

function version(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
