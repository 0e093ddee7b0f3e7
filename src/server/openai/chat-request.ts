import type {
  ContentPart,
  LLMRequest,
  Message,
  Reasoning,
  ResponseFormat,
  Tool,
  ToolCall,
} from "../../index.js";
import { isTooDeep } from "../../validation.js";
import { given } from "../schemas.js";
import type { ChatBody } from "./chat-schema.js";
import { completionOptions } from "./completion-fields.js";

type ChatMessage = ChatBody["messages"][number];
type Assistant = Extract<ChatMessage, { role: "assistant" }>;
type Content = Exclude<ChatMessage["content"], null | undefined>;

/** OpenAI's words for how hard a model thinks. */
export const EFFORTS = {
  none: false,
  minimal: "low",
  low: "low",
  medium: "medium",
  high: "high",
} as const satisfies Record<string, Reasoning>;

/** A request for a chat completion in the client's words. */
export function chatRequest(body: ChatBody): LLMRequest {
  const { reasoning_effort, response_format } = body;
  return {
    messages: body.messages.map(messageOf),
    ...completionOptions(body),
    ...given({
      maxTokens: body.max_completion_tokens ?? body.max_tokens,
      logprobs: body.logprobs,
      topLogprobs: body.top_logprobs,
      tools: body.tools?.map(toolOf),
      toolChoice: body.tool_choice,
      responseFormat: response_format ? formatOf(response_format) : undefined,
      reasoning: reasoning_effort ? EFFORTS[reasoning_effort] : undefined,
    }),
  };
}

function messageOf(message: ChatMessage): Message {
  if (message.role === "assistant") return assistantOf(message);
  const content = contentOf(message.content);
  if (message.role === "tool") return { role: "tool", content, toolCallId: message.tool_call_id };
  return { role: message.role === "developer" ? "system" : message.role, content };
}

function assistantOf({ content, tool_calls, reasoning_content }: Assistant): Message {
  const more = given({ toolCalls: tool_calls?.map(callOf), reasoning: reasoning_content });
  return { role: "assistant", content: contentOf(content ?? ""), ...more };
}

function contentOf(content: Content): string | ContentPart[] {
  if (typeof content === "string") return content;
  return content.map((part) =>
    part.type === "text" ? part : { type: "image", image: part.image_url.url },
  );
}

function callOf({ id, function: called }: NonNullable<Assistant["tool_calls"]>[number]): ToolCall {
  return { id, name: called.name, ...readArguments(called.arguments) };
}

/** Arguments as an object; what is none is kept as the model wrote it. */
export function readArguments(text: string): Pick<ToolCall, "arguments" | "invalidArguments"> {
  try {
    const value: unknown = JSON.parse(text || "{}");
    if (typeof value === "object" && value !== null && !Array.isArray(value) && !isTooDeep(value)) {
      return { arguments: value as Record<string, unknown> };
    }
  } catch {
    // Told below.
  }
  return { arguments: {}, invalidArguments: text };
}

function toolOf({ function: tool }: NonNullable<ChatBody["tools"]>[number]): Tool {
  const { name, description, parameters } = tool;
  return { type: "function", function: { name, ...given({ description, parameters }) } };
}

function formatOf(format: NonNullable<ChatBody["response_format"]>): ResponseFormat {
  if (format.type !== "json_schema") return format;
  const { name, schema, strict } = format.json_schema;
  return { type: "json_schema", schema, ...given({ name, strict }) };
}
