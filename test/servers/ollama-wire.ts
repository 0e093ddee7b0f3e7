import type { SpokenReply } from "./scripted-replies.js";
import { type PartKind, type Reply, eventsReply, jsonReply, wholeReply } from "./wire-reply.js";

type ChatPart = { kind: PartKind; value: Record<string, unknown> };

let calls = 0;
let completions = 0;

/** A line that ends a chat: of a reply, or of loading and unloading. */
export function lastLine(model: string, ending: Record<string, unknown>): Record<string, unknown> {
  const message = { role: "assistant", content: "" };
  return { model, created_at: new Date().toISOString(), message, done: true, ...ending };
}

/** The lines of a chat: thoughts, text, whole tool calls, and the end with its counts. */
export function chatStream(
  model: string,
  said: SpokenReply,
  promptTokens: number,
  { logprobs, top_logprobs }: { logprobs?: unknown; top_logprobs?: unknown },
): ChatPart[] {
  const line = (message: object, more: object = {}): ChatPart => ({
    kind: "content",
    value: {
      model,
      created_at: new Date().toISOString(),
      message: { role: "assistant", content: "", ...message },
      done: false,
      ...more,
    },
  });
  const likely = (token: string) =>
    logprobs ? { logprobs: [logprob(token, Number(top_logprobs ?? 0))] } : {};
  return [
    ...said.reasoning.map((thinking) => line({ thinking }, likely(thinking))),
    ...said.text.map((content) => line({ content }, likely(content))),
    ...said.toolCalls.map((call, index) =>
      line({ tool_calls: [{ id: callId(), function: { index, ...call } }] }),
    ),
    {
      kind: "finish",
      value: lastLine(model, {
        // Ollama ends a reply with tool calls like any other.
        done_reason: said.finishReason === "length" ? "length" : "stop",
        total_duration: 379_230_415,
        load_duration: 275_076_065,
        prompt_eval_count: promptTokens,
        prompt_eval_duration: 1_567_104,
        eval_count: said.completionTokens,
        eval_duration: 100_590_410,
      }),
    },
  ];
}

/** The same chat as one object. */
export function chatCompletion(parts: ChatPart[]): Reply {
  const messages = parts.map((part) => part.value.message as Message);
  const together = (field: "content" | "thinking") =>
    messages.map((message) => message[field] ?? "").join("");
  const toolCalls = messages.flatMap((message) => message.tool_calls ?? []);
  const logprobs = parts.flatMap((part) => (part.value.logprobs ?? []) as object[]);
  const thinking = together("thinking");
  return jsonReply(200, {
    ...parts.at(-1)!.value,
    message: {
      role: "assistant",
      content: together("content"),
      ...(thinking && { thinking }),
      ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
    },
    ...(logprobs.length > 0 && { logprobs }),
  });
}

interface Message {
  content: string;
  thinking?: string;
  tool_calls?: ToolCall[];
}

interface ToolCall {
  id: string;
  function: { index: number; name: string; arguments: object };
}

/** A chat as Ollama's endpoint for clients of OpenAI words it. */
export function completionReply(native: Reply, body: Record<string, unknown>): Reply {
  if (native.status !== 200) return asOpenAIError(native);
  // A recording of this endpoint is worded as it should be.
  if (native.headers["Content-Type"] === "text/event-stream") return native;
  const lines = native.parts.map(
    (part) => JSON.parse(String(part.bytes)) as Record<string, unknown>,
  );
  const last = lines.at(-1)!;
  const base = {
    id: `chatcmpl-${++completions}`,
    object: "chat.completion.chunk",
    created: Math.floor(Date.now() / 1000),
    model: body.model,
    system_fingerprint: "fp_ollama",
  };
  const deltas = lines.map((line) => asDelta(line.message as Message));
  const called = deltas.some((delta) => "tool_calls" in delta);
  const finish_reason = called ? "tool_calls" : last.done_reason;
  const usage = {
    prompt_tokens: last.prompt_eval_count,
    completion_tokens: last.eval_count,
    total_tokens: Number(last.prompt_eval_count) + Number(last.eval_count),
  };
  if (!body.stream) {
    const message = asDelta(JSON.parse(String(wholeOf(lines))).message as Message);
    const choices = [{ index: 0, message, finish_reason }];
    return openAIReply(200, { ...base, object: "chat.completion", choices, usage });
  }
  const chunk = (delta: object, reason: unknown) => ({
    ...base,
    choices: [{ index: 0, delta, finish_reason: reason }],
  });
  const wantsUsage = (body.stream_options as { include_usage?: boolean })?.include_usage;
  const silence = JSON.stringify({ ...chunk({ role: "assistant", content: "" }, null), model: "" });
  const reply = eventsReply(
    [
      ...deltas
        .slice(0, -1)
        .map((delta) => ({ kind: "content" as const, value: chunk(delta, null) })),
      { kind: "finish", value: chunk(deltas.at(-1)!, finish_reason) },
      ...(wantsUsage ? [{ kind: "usage" as const, value: { ...base, choices: [], usage } }] : []),
      { kind: "done", value: "[DONE]" },
    ],
    // An error in the middle of a stream is lost here: the genuine server sends this instead.
    () => `data: ${silence}\n\n`,
  );
  return { ...reply, beforeHeadersMs: native.beforeHeadersMs };
}

function wholeOf(lines: Record<string, unknown>[]) {
  const parts = lines.map((value) => ({ kind: "content" as const, value }));
  return Buffer.concat(chatCompletion(parts).parts.map((part) => Buffer.from(part.bytes)));
}

function asDelta({ content, thinking, tool_calls }: Message): object {
  return {
    role: "assistant",
    content,
    ...(thinking && { reasoning: thinking }),
    ...(tool_calls && {
      tool_calls: tool_calls.map(({ id, function: { index, name, arguments: given } }) => ({
        id,
        index,
        type: "function",
        function: { name, arguments: JSON.stringify(given) },
      })),
    }),
  };
}

function asOpenAIError(native: Reply): Reply {
  const text = Buffer.concat(native.parts.map((part) => Buffer.from(part.bytes))).toString();
  const { error: message } = JSON.parse(text) as { error: string };
  const error = { message, type: "api_error", param: null, code: null };
  return openAIReply(native.status, { error });
}

/** Whole replies of this endpoint end their line. */
function openAIReply(status: number, value: object): Reply {
  return wholeReply(status, "application/json", `${JSON.stringify(value)}\n`);
}

function callId(): string {
  return `call_${(++calls).toString(36).padStart(8, "0")}`;
}

function logprob(token: string, top: number): object {
  const of = (text: string, value: number) => ({
    token: text,
    logprob: value,
    bytes: [...Buffer.from(text)],
  });
  const others = Array.from({ length: top }, (_, rank) =>
    rank === 0 ? of(token, -0.25) : of(`other-${rank}`, -2 - rank),
  );
  return { ...of(token, -0.25), ...(top > 0 && { top_logprobs: others }) };
}
