import { Command } from "commander";
import type { ContentPart, LLMRequest, LLMResponse, LLMStream, Message } from "../index.js";
import { readGrammar, readImages, readSchema, readTools } from "./attachments.js";
import { openClient } from "./client.js";
import {
  addCommonFlags,
  addFolderFlag,
  addGenerationFlags,
  chooseMlx,
  type CommonFlags,
  type CommonOptions,
  commonOptions,
  type GenerationFlags,
  foreignFlags,
  mlxFlags,
  requestOptions,
} from "./flags.js";
import { describeCall, describeRun, describeUsage } from "./format.js";
import type { Io, Output } from "./io.js";
import { Progress } from "./progress.js";
import { readPrompt } from "./prompt.js";
import { CUT, ReplyPrinter } from "./reply-printer.js";

/** What `llm-client generate` was asked to do. */
export interface GenerateOptions extends CommonOptions {
  words: string[];
  system?: string;
  /** Files. */
  images: string[];
  /** A file, or JSON. */
  schema?: string;
  /** A file. */
  grammar?: string;
  /** A file, or JSON. */
  tools?: string;
  request: Omit<LLMRequest, "messages">;
  stream: boolean;
  usage: boolean;
  hideReasoning: boolean;
}

interface Flags extends CommonFlags, GenerationFlags {
  stream: boolean;
  usage?: boolean;
  hideReasoning?: boolean;
}

const EXAMPLES = `
Examples:
  $ llm-client generate "What is 7 + 5?"
  $ llm-client generate -m ollama:qwen3:4b --temperature 0 "Name three rivers."
  $ llm-client generate -m mlx-community/Qwen3-0.6B-4bit --reasoning off "Hello"
  $ git diff | llm-client generate "Write a commit message for this change."
  $ llm-client generate --image cat.png "What is in this picture?"
  $ llm-client generate --schema person.json "Ada Lovelace, born in 1815" | jq .born
  $ llm-client generate --tools tools.json --json "Weather in Bergen?" | jq .toolCalls
  $ llm-client generate --json "Hello" | jq .usage`;

/** The flags, help and checks of `llm-client generate`. */
export function generateCommand(run: (options: GenerateOptions) => Promise<void>): Command {
  const command = new Command("generate")
    .description("print a model's answer to a prompt")
    .argument("[prompt...]", 'the prompt; piped text comes before it; "-" reads stdin');
  return addFolderFlag(addGenerationFlags(addCommonFlags(command)))
    .option("--no-stream", "print the answer at once when it is complete")
    .option("--usage", "tell the token counts on stderr")
    .option("--hide-reasoning", "do not print on stderr what the model thinks")
    .addHelpText("after", EXAMPLES)
    .action((words: string[], flags: Flags) => {
      const { stream, usage = false, hideReasoning = false, provider, baseUrl, ...others } = flags;
      const { model, config, timeout, json, verbose, promptCacheFolder, ...generation } = others;
      const where = { provider, baseUrl, model, promptCacheFolder };
      const given = { ...where, config, timeout, json, verbose };
      if ((flags.logprobs || flags.topLogprobs !== undefined) && !json) {
        command.error("error: --logprobs and --top-logprobs need --json, where they are printed");
      }
      const request = requestOptions(generation);
      const common = chooseMlx(commonOptions(given, command), mlxFlags(request), command);
      const { system, schema, grammar, tools, image: images = [] } = generation;
      const files = { images, schema, grammar, tools };
      const output = { stream, usage, hideReasoning };
      return run({ ...common, words, system, ...files, request, ...output });
    });
}

/** Generates and prints: content goes to stdout, everything else to stderr. */
export async function runGenerate(options: GenerateOptions, processIo: Io): Promise<void> {
  const { distributed = false } = options.request.providerOptions?.mlx ?? {};
  const io = distributed ? ioOfPeer(processIo) : processIo;
  const request = await readRequest(options, io);
  const progress = new Progress(options, io.stderr);
  await using client = await openClient(options, io, progress.config);
  const call = { ...request, requestId: progress.requestId, signal: io.signal };
  await progress.wait();
  try {
    // A reply of which nothing was printed can still come from another provider.
    const isStreamed = options.stream && !options.json;
    const response = isStreamed
      ? await printStream(client.stream(call), options, io, progress)
      : await printWhole(await client.generate(call), options, io, progress);
    progress.warn(response.warnings);
    await printNotes(response, options, io);
  } finally {
    await progress.stopWaiting();
  }
}

/**
 * The first of the processes that share a model speaks for all. None reads what mlx.launch pipes
 * into them, for that never ends.
 */
function ioOfPeer(io: Io): Io {
  const { stdin, stdout, stderr } = io;
  const isFirst = Number(process.env.MLX_RANK ?? 0) === 0;
  const heard = (output: Output): Output =>
    isFirst ? output : { ...output, write: () => Promise.resolve() };
  return {
    ...io,
    stdin: { ...stdin, piped: false },
    stdout: heard(stdout),
    stderr: heard(stderr),
  };
}

async function readRequest(options: GenerateOptions, io: Io): Promise<LLMRequest> {
  const { words, system, images, schema, grammar, tools, request } = options;
  const text = await readPrompt(words, io);
  const pictures = await readImages(images);
  const parts: ContentPart[] = [{ type: "text", text }, ...pictures];
  const messages: Message[] = [{ role: "user", content: pictures.length > 0 ? parts : text }];
  if (system) messages.unshift({ role: "system", content: system });
  const filed: Partial<LLMRequest> = {};
  if (tools !== undefined) filed.tools = await readTools(tools);
  if (schema !== undefined) {
    filed.responseFormat = { type: "json_schema", schema: await readSchema(schema) };
  }
  if (grammar !== undefined) {
    filed.responseFormat = { type: "grammar", grammar: await readGrammar(grammar) };
  }
  return { ...request, ...filed, messages };
}

async function printStream(
  events: LLMStream,
  options: GenerateOptions,
  io: Io,
  progress: Progress,
): Promise<LLMResponse> {
  const printer = new ReplyPrinter(io, options);
  try {
    for await (const event of events) {
      if (event.type === "start") {
        const { provider, warnings } = event;
        const foreign = foreignFlags(provider, options.request);
        await progress.answered(provider, [...foreign, ...warnings]);
      } else await printer.print(event);
    }
  } finally {
    // Also after a failure, whose message then begins on its own line.
    await printer.end();
  }
  return events.response;
}

async function printWhole(
  response: LLMResponse,
  options: GenerateOptions,
  io: Io,
  progress: Progress,
): Promise<LLMResponse> {
  const { provider, content, reasoning = "", warnings } = response;
  const foreign = foreignFlags(provider, options.request);
  await progress.answered(provider, [...foreign, ...warnings]);
  if (options.json) await io.stdout.write(`${JSON.stringify(response, undefined, 2)}\n`);
  else {
    const printer = new ReplyPrinter(io, options);
    await printer.print({ type: "reasoning", text: withNewline(reasoning) });
    await printer.print({ type: "text", text: withNewline(content) });
  }
  return response;
}

async function printNotes(
  response: LLMResponse,
  { usage, verbose, json }: GenerateOptions,
  { stderr }: Io,
): Promise<void> {
  if (response.finishReason === "length" && !json) await stderr.write(CUT);
  if (!json) {
    for (const call of response.toolCalls ?? [])
      await stderr.write(`call: ${describeCall(call)}\n`);
  }
  if (usage || verbose) await stderr.write(`usage: ${describeUsage(response)}\n`);
  if (verbose) await stderr.write(describeRun(response));
}

function withNewline(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}
