import { lmStudioErrorEvent } from "./lm-studio-errors.js";
import type { SpokenReply } from "./scripted-replies.js";
import { type PartKind, type Reply, eventsReply, jsonReply } from "./wire-reply.js";

/** What goes into a chat besides what is said. */
export interface ChatSettings {
  model: string;
  promptTokens: number;
  cachedTokens?: number;
  includeUsage: boolean;
  /** Where thoughts go: a setting of LM Studio, and gpt-oss has its own. */
  reasoningField: "reasoning_content" | "reasoning";
  /** How long after its headers the first piece comes, for loading and reading the prompt. */
  beforeContentMs: number;
}

let replies = 0;

/** A chat as a stream of events. */
export function chatEvents(said: SpokenReply, settings: ChatSettings): Reply {
  const base = head("chat.completion.chunk", settings.model);
  let role: object = { role: "assistant" };
  const chunk = (delta: object, finish_reason: string | null = null) => {
    const value = {
      ...base,
      choices: [{ index: 0, delta: { ...role, ...delta }, logprobs: null, finish_reason }],
    };
    role = {};
    return value;
  };
  const content = (delta: object) => ({ kind: "content" as const, value: chunk(delta) });
  const parts: { kind: PartKind; value: unknown; delayMs?: number }[] = [
    ...said.reasoning.map((text) => content({ [settings.reasoningField]: text })),
    ...said.text.map((text) => content({ content: text })),
    ...said.toolCalls.flatMap((call, index) => callFragments(call, index).map(content)),
  ];
  if (parts[0]) parts[0].delayMs = settings.beforeContentMs;
  role = {};
  parts.push({ kind: "finish", value: chunk({}, said.finishReason) });
  if (settings.includeUsage) {
    parts.push({ kind: "usage", value: { ...base, choices: [], usage: usage(said, settings) } });
  }
  return eventsReply([...parts, { kind: "done", value: "[DONE]" }], lmStudioErrorEvent);
}

/** A chat as one object. */
export function chatObject(said: SpokenReply, settings: ChatSettings): Reply {
  const { reasoning, text, toolCalls, finishReason } = said;
  const message = {
    role: "assistant",
    content: text.join(""),
    ...(reasoning.length > 0 && { [settings.reasoningField]: reasoning.join("") }),
    tool_calls: toolCalls.map((call, index) => ({
      type: "function",
      id: callId(index),
      function: { name: call.name, arguments: argumentsOf(call) },
    })),
  };
  const reply = jsonReply(200, {
    ...head("chat.completion", settings.model),
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishReason }],
    usage: usage(said, settings),
    stats: {},
  });
  return { ...reply, beforeHeadersMs: settings.beforeContentMs };
}

function head(object: string, model: string) {
  return {
    id: `chatcmpl-${String(++replies).padStart(21, "x")}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model,
    system_fingerprint: model,
  };
}

function usage(
  { completionTokens, reasoning }: SpokenReply,
  { promptTokens, cachedTokens }: ChatSettings,
) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    completion_tokens_details: { reasoning_tokens: reasoning.length },
    ...(cachedTokens !== undefined && { prompt_tokens_details: { cached_tokens: cachedTokens } }),
  };
}

/** The id and the name come first, the arguments after them, in pieces. */
function callFragments(call: ToolCall, index: number): object[] {
  const text = argumentsOf(call);
  const middle = Math.ceil(text.length / 2);
  const fragment = (more: object) => ({ tool_calls: [{ index, ...more }] });
  return [
    fragment({ id: callId(index), type: "function", function: { name: call.name, arguments: "" } }),
    ...[text.slice(0, middle), text.slice(middle)].map((piece) =>
      fragment({ function: { arguments: piece } }),
    ),
  ];
}

type ToolCall = SpokenReply["toolCalls"][number];

function argumentsOf(call: ToolCall): string {
  return typeof call.arguments === "string" ? call.arguments : JSON.stringify(call.arguments);
}

function callId(index: number): string {
  return String(365_174_485 + index);
}
