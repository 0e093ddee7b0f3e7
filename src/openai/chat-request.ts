import { ValidationError } from "../errors.js";
import { type Fields, isObject } from "../fields.js";
import type { CheckedRequest } from "../request.js";
import type { ResponseFormat, Tool } from "../types.js";
import { toWireMessages } from "./messages.js";
import type { ServerKind } from "./server-kind.js";

/** The body of `POST /v1/chat/completions` for a request. */
export function toChatBody(request: CheckedRequest, model: string, kind: ServerKind): Fields {
  return {
    model,
    messages: toWireMessages(request.messages, kind),
    stream: true,
    stream_options: { include_usage: true },
    temperature: request.temperature,
    max_tokens: request.maxTokens,
    top_p: request.topP,
    seed: request.seed,
    stop: request.stop.length > 0 ? request.stop : undefined,
    presence_penalty: request.presencePenalty,
    frequency_penalty: request.frequencyPenalty,
    ...kind.fields(request),
  };
}

/** For servers that know no `tool_choice`: tools that must not be called are not offered. */
export function offeredTools({ tools = [], toolChoice }: CheckedRequest): Fields {
  return toolChoice === "none" || tools.length === 0 ? {} : { tools: tools.map(toWireTool) };
}

/** For servers whose `tool_choice` is one word: a named tool is the only one on offer. */
export function chosenTools({ tools = [], toolChoice }: CheckedRequest): Fields {
  if (tools.length === 0) return {};
  if (!isObject(toolChoice)) return { tools: tools.map(toWireTool), tool_choice: toolChoice };
  const { name } = toolChoice.function;
  const chosen = tools.filter((tool) => tool.function.name === name);
  if (chosen.length === 0)
    throw new ValidationError(`toolChoice names "${name}", but no tool has that name.`);
  return { tools: chosen.map(toWireTool), tool_choice: "required" };
}

/** How hard to think, in OpenAI's words. */
export function reasoningEffort({ reasoning }: CheckedRequest): string | undefined {
  if (typeof reasoning !== "boolean") return reasoning;
  return reasoning ? "medium" : "none";
}

/** A format with a schema, as the protocol wraps it. */
export function toWireFormat(format: ResponseFormat | undefined): Fields | undefined {
  if (format?.type !== "json_schema") return format && { ...format };
  const { schema, name = "response", strict } = format;
  return { type: "json_schema", json_schema: { name, strict, schema } };
}

/** Templates and servers read the parameters even of functions that have none. */
function toWireTool({ type, function: { parameters, ...rest } }: Tool): Tool {
  return { type, function: { ...rest, parameters: parameters ?? EMPTY_PARAMETERS } };
}

const EMPTY_PARAMETERS = { type: "object", properties: {} };
