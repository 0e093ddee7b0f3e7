import type { Attributes } from "@opentelemetry/api";
import type { LLMResponse, Message, StartInfo, ToolCall } from "../index.js";

/** What was asked, as JSON: attributes of spans have no structure. */
export function inputContent({ request }: StartInfo): Attributes {
  const { messages, tools } = request;
  const turns: Message[] =
    typeof messages === "string" ? [{ role: "user", content: messages }] : messages;
  const definitions = tools?.map(({ type, function: tool }) => ({ type, ...tool }));
  return {
    "gen_ai.input.messages": JSON.stringify(turns.map(messageOf)),
    "gen_ai.tool.definitions": definitions && JSON.stringify(definitions),
  };
}

/** What was answered. */
export function outputContent({ finishReason, ...reply }: LLMResponse): Attributes {
  const message = { ...messageOf({ role: "assistant", ...reply }), finish_reason: finishReason };
  return { "gen_ai.output.messages": JSON.stringify([message]) };
}

function messageOf({ role, content, reasoning, toolCalls = [], toolCallId }: Message): object {
  if (role === "tool") {
    const response = typeof content === "string" ? content : partsOf(content);
    return { role, parts: [{ type: "tool_call_response", id: toolCallId, response }] };
  }
  const thoughts = reasoning ? [{ type: "reasoning", content: reasoning }] : [];
  return { role, parts: [...thoughts, ...partsOf(content), ...toolCalls.map(callOf)] };
}

function partsOf(content: Message["content"]): object[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", content }];
  // The bytes of pictures are left out: they are more than a span should carry.
  return content.map((part) =>
    part.type === "text" ? { type: "text", content: part.text } : { type: "image" },
  );
}

function callOf({ id, name, arguments: given, invalidArguments }: ToolCall): object {
  return { type: "tool_call", id, name, arguments: invalidArguments ?? given };
}
