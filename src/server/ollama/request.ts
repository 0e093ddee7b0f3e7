import type { ImagePart, LLMRequest, Message, ToolCall } from "../../index.js";
import { given } from "../schemas.js";
import { type ChatBody, type GenerateBody, type OllamaOptions, RUNNER_OPTIONS } from "./schema.js";

type ChatMessage = NonNullable<ChatBody["messages"]>[number];

/** A request for a chat in the client's words. */
export function chatRequest(body: ChatBody): LLMRequest {
  const messages = messagesOf(body.messages ?? []);
  const tools = body.tools?.map(({ function: { name, description, parameters } }) => ({
    type: "function" as const,
    function: { name, ...given({ description, parameters }) },
  }));
  return { messages, ...given({ tools }), ...commonOf(body) };
}

/** A request to continue a prompt in the client's words. */
export function generateRequest(body: GenerateBody): LLMRequest {
  const { system, prompt, images, raw } = body;
  const common = commonOf(body, raw === true);
  const asked: Message = { role: "user", content: withImages(prompt ?? "", images) };
  return { messages: system ? [{ role: "system", content: system }, asked] : [asked], ...common };
}

/** What only Ollama knows, for a leg that is one. */
function commonOf(body: ChatBody | GenerateBody, raw = false): Partial<LLMRequest> {
  const { model, format, think, keep_alive, logprobs, top_logprobs } = body;
  const options = body.options ?? {};
  const runner = runnerOf(options);
  const keepAlive = keep_alive ?? undefined;
  const repetitionContextSize = options.repeat_last_n ?? undefined;
  return {
    ...samplingOf(options),
    ...given({
      model,
      reasoning: think,
      logprobs,
      topLogprobs: top_logprobs,
      responseFormat: formatOf(format),
    }),
    providerOptions: {
      ollama: { ...given({ keepAlive }), options: runner },
      mlx: { ...given({ repetitionContextSize }), ...(raw ? { raw } : {}) },
    },
  };
}

function samplingOf(options: OllamaOptions): Partial<LLMRequest> {
  const { stop, num_predict = -1 } = options;
  return given({
    temperature: options.temperature,
    topP: options.top_p,
    topK: options.top_k,
    minP: options.min_p,
    seed: options.seed,
    stop: stop?.length === 0 ? undefined : stop,
    maxTokens: (num_predict ?? -1) > 0 ? num_predict : undefined,
    repetitionPenalty: options.repeat_penalty,
    presencePenalty: options.presence_penalty,
    frequencyPenalty: options.frequency_penalty,
  });
}

/** Options that say how Ollama runs the model. */
export function runnerOf(options: OllamaOptions): Record<string, unknown> {
  return given(Object.fromEntries(RUNNER_OPTIONS.map((name) => [name, options[name]])));
}

function formatOf(format: ChatBody["format"]): LLMRequest["responseFormat"] {
  if (!format) return undefined;
  return format === "json" ? { type: "json_object" } : { type: "json_schema", schema: format };
}

/** Calls have no ids there: a tool's answer belongs to the first call of its name that has none. */
function messagesOf(messages: ChatMessage[]): Message[] {
  const waiting: ToolCall[] = [];
  return messages.map((message, index): Message => {
    const { role, content, images, thinking, tool_calls, tool_name, tool_call_id } = message;
    const toolCalls = tool_calls?.map(({ id, function: called }, place) => ({
      id: id || `call_${index}_${place}`,
      name: called.name,
      arguments: called.arguments ?? {},
    }));
    waiting.push(...(toolCalls ?? []));
    const fitting = waiting.findIndex(({ id, name }) =>
      tool_call_id ? id === tool_call_id : !tool_name || name === tool_name,
    );
    const answered = role === "tool" ? waiting.splice(Math.max(0, fitting), 1)[0] : undefined;
    const toolCallId = tool_call_id ?? answered?.id;
    return {
      role,
      content: withImages(content ?? "", images),
      ...given({ toolCalls, toolCallId, reasoning: thinking }),
    };
  });
}

function withImages(text: string, images: string[] | null | undefined): Message["content"] {
  if (!images || images.length === 0) return text;
  const pictures = images.map(
    (data): ImagePart => ({ type: "image", image: `data:${mediaType(data)};base64,${data}` }),
  );
  return [...(text ? [{ type: "text" as const, text }] : []), ...pictures];
}

/** Bytes alone do not say what they are, but for how they begin. */
function mediaType(base64: string): string {
  if (base64.startsWith("/9j/")) return "image/jpeg";
  if (base64.startsWith("R0lG")) return "image/gif";
  return base64.startsWith("UklG") ? "image/webp" : "image/png";
}
