import { Command } from "commander";
import type { LLMRequest, LLMResponse, StreamEvent } from "../index.js";
import {
  addCommonFlags,
  addGenerationFlags,
  type CommonFlags,
  type CommonOptions,
  commonOptions,
  type GenerationFlags,
  requestOptions,
} from "./flags.js";
import { attemptLines } from "./format.js";
import type { Io } from "./io.js";
import { readPrompt } from "./prompt.js";

/** What `llm-client generate` was asked to do. */
export interface GenerateOptions extends CommonOptions {
  words: string[];
  system?: string;
  request: Omit<LLMRequest, "messages">;
  stream: boolean;
  usage: boolean;
}

interface Flags extends CommonFlags, GenerationFlags {
  stream: boolean;
  usage?: boolean;
}

const EXAMPLES = `
Examples:
  $ llm-client generate "What is 7 + 5?"
  $ llm-client generate -m mlx-community/Qwen3-0.6B-4bit --temperature 0 "Name three rivers."
  $ git diff | llm-client generate "Write a commit message for this change."
  $ llm-client generate --json "Hello" | jq .usage`;

/** The flags, help and checks of `llm-client generate`. */
export function generateCommand(run: (options: GenerateOptions) => Promise<void>): Command {
  const command = new Command("generate")
    .description("print a model's answer to a prompt")
    .argument("[prompt...]", 'the prompt; piped text comes before it; "-" reads stdin');
  return addGenerationFlags(addCommonFlags(command))
    .option("--no-stream", "print the answer at once when it is complete")
    .option("--usage", "tell the token counts on stderr")
    .addHelpText("after", EXAMPLES)
    .action((words: string[], flags: Flags) => {
      const { stream, usage, provider, baseUrl, model, timeout, json, verbose, ...rest } = flags;
      const common = commonOptions({ provider, baseUrl, model, timeout, json, verbose }, command);
      if ((flags.logprobs || flags.topLogprobs !== undefined) && !json) {
        command.error("error: --logprobs and --top-logprobs need --json, where they are printed");
      }
      const request = requestOptions(rest);
      return run({ ...common, words, system: rest.system, request, stream, usage: usage ?? false });
    });
}

/** Generates and prints: content goes to stdout, everything else to stderr. */
export async function runGenerate(options: GenerateOptions, io: Io): Promise<void> {
  const prompt = await readPrompt(options.words, io);
  const { LLMClient } = await import("../index.js");
  await using client = new LLMClient(options.config);
  const stream = client.stream({
    ...options.request,
    messages: [
      ...(options.system ? [{ role: "system" as const, content: options.system }] : []),
      { role: "user" as const, content: prompt },
    ],
    signal: io.signal,
  });
  const response = await printEvents(stream, options, io);
  if (options.json) await io.stdout.write(`${JSON.stringify(response, undefined, 2)}\n`);
  else if (!options.stream) await io.stdout.write(withNewline(response.content));
  await printNotes(response, options, io);
}

async function printEvents(
  events: AsyncIterable<StreamEvent>,
  { json, stream }: GenerateOptions,
  io: Io,
): Promise<LLMResponse> {
  let last = "\n";
  let response: LLMResponse | undefined;
  const waiting = await showWaiting(io);
  try {
    for await (const event of events) {
      if (event.type !== "start") await waiting.clear();
      if (event.type === "reasoning" && !json) await io.stderr.write(io.stderr.dim(event.text));
      if (event.type === "text" && stream && !json) {
        await io.stdout.write(event.text);
        last = event.text.at(-1) ?? last;
      }
      if (event.type === "finish") response = event.response;
    }
  } finally {
    await waiting.clear();
    // Also after a failure, whose message then begins on its own line.
    if (last !== "\n") await io.stdout.write("\n");
  }
  if (!response) throw new Error("The stream ended without a finish.");
  return response;
}

/** On a terminal, says that the model is being loaded until `clear` is called. */
async function showWaiting({ stderr }: Io): Promise<{ clear(): Promise<void> }> {
  let shown = stderr.isTTY;
  if (shown) await stderr.write(stderr.dim("Waiting for the model…"));
  return {
    async clear() {
      if (shown) await stderr.write("\r\x1b[K");
      shown = false;
    },
  };
}

async function printNotes(
  response: LLMResponse,
  { usage, verbose, json }: GenerateOptions,
  { stderr }: Io,
): Promise<void> {
  for (const warning of response.warnings) await stderr.write(`warning: ${warning}\n`);
  if (response.finishReason === "length" && !json) {
    await stderr.write(
      "note: the reply was cut: --max-tokens is reached, or the context is full\n",
    );
  }
  if (usage || verbose) await stderr.write(`usage: ${describeUsage(response)}\n`);
  if (verbose) await stderr.write(describeRun(response));
}

function describeUsage({ usage }: LLMResponse): string {
  const counts = [
    count(usage.promptTokens, "prompt tokens"),
    count(usage.completionTokens, "completion tokens"),
    count(usage.totalTokens, "in total"),
    count(usage.cachedTokens, "cached"),
    count(usage.reasoningTokens, "for reasoning"),
  ];
  return counts.filter((text) => text !== undefined).join(", ") || "unknown";
}

function count(value: number | undefined, unit: string): string | undefined {
  return value === undefined ? undefined : `${value} ${unit}`;
}

function describeRun({ provider, model, finishReason, latencyMs, timings, attempts }: LLMResponse) {
  const speeds = [
    `${Math.round(latencyMs)} ms`,
    count(rounded(timings.firstTokenMs), "ms to the first token"),
    count(rounded(timings.promptTokensPerSecond), "prompt tokens/s"),
    count(rounded(timings.tokensPerSecond), "tokens/s"),
  ];
  const lines = [
    `model: ${model} (${provider}), finished by ${finishReason}`,
    `time: ${speeds.filter((text) => text !== undefined).join(", ")}`,
    ...attemptLines(attempts),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function rounded(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.round(value * 10) / 10;
}

function withNewline(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}
