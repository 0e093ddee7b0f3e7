import { Command } from "commander";
import type { LLMClient } from "../index.js";
import type { LLMServer, ServerOptions } from "../server/index.js";
import { openClient } from "./client.js";
import {
  addCommonFlags,
  addFolderFlag,
  type CommonFlags,
  type CommonOptions,
  commonOptions,
} from "./flags.js";
import type { Io } from "./io.js";
import { numberFlag, type Range } from "./number-flag.js";
import { cellText } from "./table.js";

/** Flags of `llm-client serve` besides the common ones. */
export interface ServeOptions extends CommonOptions {
  server: ServerOptions;
}

interface ServeFlags extends CommonFlags, Omit<ServerOptions, "model" | "logger"> {
  allowOrigin?: string[];
  allowHost?: string[];
  idleUnload?: number;
}

const EXAMPLES = `
Examples:
  $ llm-client serve
  $ llm-client serve -m mlx-community/Qwen3-4B-4bit --port 8000
  $ LLM_CLIENT_SERVE_TOKEN=… llm-client serve --host 0.0.0.0 --allow-host studio.local

It answers as OpenAI's and Anthropic's servers do at /v1, and as Ollama at /api. stderr
has the address.`;

/** The flags and help of `llm-client serve`. */
export function serveCommand(run: (options: ServeOptions) => Promise<void>): Command {
  const command = new Command("serve").description(
    "answer requests over HTTP, as OpenAI's, Anthropic's and Ollama's servers do",
  );
  const add = (name: string, text: string, range: Range) =>
    command.option(`${name} <number>`, text, numberFlag(name, range));
  addFolderFlag(addCommonFlags(command))
    .option("--host <address>", "address to listen on; one beyond this machine needs a token")
    .option("--token <key>", "key that requests must have; better LLM_CLIENT_SERVE_TOKEN")
    .option("--allow-origin <origin>", "web page that may ask; may be repeated", collect)
    .option("--allow-host <name>", "name of this server; may be repeated", collect);
  add("--port", "port, 11435 unless told; 0 takes a free one", {
    whole: true,
    min: 0,
    max: 65_535,
  });
  add("--max-body-bytes", "most bytes of a request", { whole: true, min: 1 });
  add("--max-concurrent", "most requests that are answered at a time", { whole: true, min: 1 });
  add("--max-queued", "most requests that wait for their turn", { whole: true, min: 0 });
  add("--keep-alive", "seconds of silence after which a stream says that it lives", { above: 0 });
  add("--idle-unload", "seconds without use after which a model leaves memory (mlx)", { above: 0 });
  add("--drain-timeout", "seconds that replies have to end after an interrupt", { min: 0 });
  return command.addHelpText("after", EXAMPLES).action((flags: ServeFlags) => {
    const { allowOrigin: allowOrigins, allowHost: allowHosts, ...rest } = flags;
    const { host, port, maxBodyBytes, maxConcurrent, maxQueued, keepAlive, drainTimeout } = rest;
    const limits = { maxBodyBytes, maxConcurrent, maxQueued, keepAlive, drainTimeout };
    const token = flags.token ?? (process.env.LLM_CLIENT_SERVE_TOKEN || undefined);
    const server = { host, port, token, allowOrigins, allowHosts, ...limits };
    const { sources, ...common } = commonOptions(flags, command);
    const given = flags.idleUnload === undefined ? {} : { idleUnload: flags.idleUnload };
    return run({
      ...common,
      sources: { ...sources, flags: { ...sources.flags, ...given } },
      server,
    });
  });
}

/** Serves until the user interrupts, and lets the replies under way end then. */
export async function runServe(options: ServeOptions, io: Io): Promise<void> {
  await using client = await openClient(options, io);
  await using server = await open(client, options, io);
  const url = await server.listen();
  await io.stderr.write(`Listening on ${url}\n`);
  if (options.json) await io.stdout.write(`${JSON.stringify({ url })}\n`);
  await io.stopped();
  await io.stderr.write("Closing; interrupt again to end at once.\n");
}

async function open(
  client: LLMClient,
  { server, sources }: ServeOptions,
  { stderr }: Io,
): Promise<LLMServer> {
  const { createServer } = await import("../server/index.js");
  const write = (message: string) => void stderr.write(`${cellText(message)}\n`);
  const logger = { debug() {}, info: write, warn: write, error: write };
  return createServer(client, { ...server, model: sources.flags.model, logger });
}

function collect(text: string, earlier: string[] = []): string[] {
  return [...earlier, text];
}
