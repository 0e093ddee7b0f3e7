import { ValidationError } from "../errors.js";
import type { CheckedRequest } from "../request.js";
import type { ContentPart, ImagePart, Message, ResponseFormat, Tool } from "../types.js";

/** A message as `/api/chat` takes it. */
export interface WireMessage {
  role: string;
  content: string;
  thinking?: string;
  /** In base64. */
  images?: string[];
  tool_calls?: { id: string; function: { name: string; arguments: Record<string, unknown> } }[];
  tool_name?: string;
  tool_call_id?: string;
}

/** Names in `options` that some version of Ollama knows; it ignores any other. */
const KNOWN_OPTIONS = new Set(
  (
    "num_ctx num_batch num_gpu main_gpu use_mmap use_mlock num_thread numa low_vram f16_kv " +
    "logits_all vocab_only num_keep num_predict seed temperature top_k top_p min_p typical_p " +
    "tfs_z repeat_last_n repeat_penalty presence_penalty frequency_penalty penalize_newline " +
    "mirostat mirostat_tau mirostat_eta stop"
  ).split(" "),
);

/** Of a seed, llama.cpp reads 32 bits; these stand for one by chance, which nobody asked for. */
const RANDOM_SEED = 2 ** 32 - 1;

/** The body of `POST /api/chat` for a request. */
export function toChatBody(request: CheckedRequest, model: string): Record<string, unknown> {
  const { messages, logprobs, topLogprobs, providerOptions } = request;
  return {
    model,
    messages: toWireMessages(messages),
    stream: true,
    // Else Ollama drops the oldest messages without a word.
    truncate: false,
    shift: false,
    tools: offersTools(request) ? request.tools!.map(toWireTool) : undefined,
    format: toFormat(request.responseFormat),
    think: request.reasoning,
    logprobs: logprobs || topLogprobs !== undefined ? true : undefined,
    top_logprobs: topLogprobs,
    options: toOptions(request),
    keep_alive: providerOptions?.ollama?.keepAlive,
  };
}

/** What of the request Ollama will ignore. */
export function warningsFor({ providerOptions }: CheckedRequest): string[] {
  const unknown = Object.keys(providerOptions?.ollama?.options ?? {}).filter(
    (name) => !KNOWN_OPTIONS.has(name),
  );
  return unknown.map(
    (name) =>
      `providerOptions.ollama.options.${name} may have no effect: Ollama ignores unknown names`,
  );
}

/**
 * True where Ollama is silent for long in the middle of a reply: it holds a tool call back until
 * it is whole, and with a format it starts again, constrained, after thinking.
 */
export function mayPause(request: CheckedRequest): boolean {
  // Thinking is on unless it is turned off.
  const mayThink = request.reasoning !== false;
  return offersTools(request) || (toFormat(request.responseFormat) !== undefined && mayThink);
}

/** True if a message shows a picture. */
export function hasImages({ messages }: CheckedRequest): boolean {
  return messages.some(({ content }) => partsOf(content).some(({ type }) => type === "image"));
}

function offersTools({ tools, toolChoice }: CheckedRequest): boolean {
  return (tools?.length ?? 0) > 0 && toolChoice !== "none";
}

/** Ollama's templates read the parameters even of functions that have none. */
function toWireTool({ type, function: { parameters, ...rest } }: Tool): Tool {
  return { type, function: { ...rest, parameters: parameters ?? EMPTY_PARAMETERS } };
}

const EMPTY_PARAMETERS = { type: "object", properties: {} };

function toFormat(format?: ResponseFormat): string | Record<string, unknown> | undefined {
  if (format?.type === "json_object") return "json";
  return format?.type === "json_schema" ? format.schema : undefined;
}

function toOptions(request: CheckedRequest): Record<string, unknown> {
  return {
    temperature: request.temperature,
    num_predict: request.maxTokens,
    top_p: request.topP,
    top_k: request.topK,
    min_p: request.minP,
    seed: request.seed === undefined ? undefined : request.seed % RANDOM_SEED,
    stop: request.stop.length > 0 ? request.stop : undefined,
    repeat_penalty: request.repetitionPenalty,
    presence_penalty: request.presencePenalty,
    frequency_penalty: request.frequencyPenalty,
    ...request.providerOptions?.ollama?.options,
  };
}

function toWireMessages(messages: Message[]): WireMessage[] {
  const names = new Map(
    messages.flatMap(({ toolCalls = [] }) => toolCalls.map(({ id, name }) => [id, name])),
  );
  return messages.map((message, index) => ({
    role: message.role,
    content: textOf(message),
    thinking: message.reasoning,
    images: imagesOf(message, `messages[${index}]`),
    tool_calls: message.toolCalls?.map(({ id, name, arguments: args }) => ({
      id,
      function: { name, arguments: args },
    })),
    tool_name: message.toolCallId === undefined ? undefined : names.get(message.toolCallId),
    tool_call_id: message.toolCallId,
  }));
}

function partsOf(content: Message["content"]): ContentPart[] {
  return typeof content === "string" ? [{ type: "text", text: content }] : content;
}

function textOf({ content }: Message): string {
  return partsOf(content)
    .map((part) => (part.type === "text" ? part.text : ""))
    .join("");
}

function imagesOf({ content }: Message, path: string): string[] | undefined {
  const images = partsOf(content).flatMap((part, index) =>
    part.type === "image" ? [toBase64(part, `${path}.content[${index}].image`)] : [],
  );
  return images.length > 0 ? images : undefined;
}

function toBase64({ image }: ImagePart, path: string): string {
  if (typeof image !== "string") return Buffer.from(image).toString("base64");
  const [, data] = /^data:[^,]*;base64,(.+)$/is.exec(image) ?? [];
  if (data !== undefined) return data;
  throw new ValidationError(
    `${path} is ${JSON.stringify(image.slice(0, 60))}, but Ollama takes images only as bytes or ` +
      "as a data: URL in base64.",
    {
      code: "unsupported",
      provider: "ollama",
      hint: "Download the image first, and pass its bytes as a Uint8Array.",
    },
  );
}
