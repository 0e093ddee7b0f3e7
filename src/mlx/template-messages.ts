import { createHash } from "node:crypto";
import { ValidationError } from "../errors.js";
import type { Message, Tool, ToolCall } from "../types.js";
import type { Json } from "./json-file.js";

/** What a chat template expects of messages that others do not. */
export interface TemplateHabits {
  /** It reads content only as a list of parts. */
  readsParts: boolean;
  /** It adds the arguments of a call to a text, and so needs them as one. */
  addsArguments: boolean;
  /** It takes only ids of nine letters and digits. */
  wantsShortIds: boolean;
  /** It reads the results of calls from the message that made them. */
  readsResponses: boolean;
}

/** What a chat template expects, as its text tells. */
export function habitsOf(template: string): TemplateHabits {
  const iterates = /\bin\s+\w+(?:\.content\b|\[['"]content['"]\])/.test(template);
  const asksForTool = /\brole\b['"\]]*\s*(?:==|in)\s*[^%}]*['"]tool['"]|['"]tool['"]\s*==/;
  return {
    readsParts: iterates && !/\bis\s+(?:not\s+)?string\b/.test(template),
    addsArguments:
      /[+~]\s*\w+(?:\.\w+|\[['"]\w+['"]\])*(?:\.arguments\b|\[['"]arguments['"]\])(?!\s*[|.[)])/.test(
        template,
      ),
    wantsShortIds: /\|\s*length\s*!=\s*9\b/.test(template),
    readsResponses: template.includes("tool_responses") && !asksForTool.test(template),
  };
}

/** Messages under the names that templates know, which are OpenAI's. */
export function templateMessages(messages: Message[], habits: TemplateHabits): Json[] {
  const names = new Map(
    messages.flatMap(({ toolCalls = [] }) => toolCalls.map(({ id, name }) => [id, name])),
  );
  const all = messages.map((message) => forTemplate(message, habits, names));
  return habits.readsResponses ? withResponses(all) : all;
}

/** Tools as templates know them: they read the parameters even of functions that have none. */
export function templateTools(tools: Tool[]): Json[] {
  const none = { type: "object", properties: {} };
  return tools.map(({ type, function: called }) => ({
    type,
    function: { ...called, parameters: called.parameters ?? none },
  }));
}

function forTemplate(
  { role, content, reasoning, toolCalls, toolCallId }: Message,
  habits: TemplateHabits,
  names: ReadonlyMap<string, string>,
): Json {
  const written = contentFor(content, habits);
  const name = toolCallId === undefined ? undefined : names.get(toolCallId);
  return {
    role,
    content: written,
    // Some templates read the one name, some the other.
    ...(reasoning !== undefined && { thinking: reasoning, reasoning_content: reasoning }),
    ...(toolCallId !== undefined && { tool_call_id: idFor(toolCallId, habits) }),
    ...(name !== undefined && { name }),
    ...(toolCalls?.length && { tool_calls: toolCalls.map((call) => callFor(call, habits)) }),
  };
}

/** A template that can place images reads them as parts of a message. */
function contentFor(content: Message["content"], { readsParts }: TemplateHabits): string | Json[] {
  if (typeof content === "string" || content.every(({ type }) => type === "text")) {
    const text = joinText(content);
    return readsParts ? [{ type: "text", text }] : text;
  }
  return content.map((part) => (part.type === "text" ? { ...part } : { type: part.type }));
}

function callFor(call: ToolCall, habits: TemplateHabits): Json {
  const { invalidArguments, arguments: given } = call;
  const written = habits.addsArguments ? JSON.stringify(given) : given;
  return {
    id: idFor(call.id, habits),
    type: "function",
    function: { name: call.name, arguments: invalidArguments ?? written },
  };
}

/** Another provider may have made the call, with an id of its own kind. */
function idFor(id: string, { wantsShortIds }: TemplateHabits): string {
  if (!wantsShortIds || /^[A-Za-z0-9]{9}$/.test(id)) return id;
  return createHash("sha256").update(id).digest("hex").slice(0, 9);
}

/** Puts the results of calls into the message before them that made the calls. */
function withResponses(messages: Json[]): Json[] {
  const joined: Json[] = [];
  for (const message of messages) {
    const caller = joined.at(-1);
    if (message.role !== "tool" || !caller?.tool_calls) joined.push(message);
    else {
      const response = { name: message.name ?? "unknown", response: message.content };
      const before = (caller.tool_responses ?? []) as Json[];
      joined[joined.length - 1] = { ...caller, tool_responses: [...before, response] };
    }
  }
  return joined;
}

/** The text of a message; throws a `ValidationError` where a part of it is no text. */
export function joinText(content: Message["content"]): string {
  if (typeof content === "string") return content;
  return content
    .map((part) => {
      if (part.type === "text") return part.text;
      throw new ValidationError(
        "A message has an image, which has no place in a prompt that is a mere text.",
        {
          code: "unsupported",
          hint: "Leave out the image, or what takes the prompt as it is: providerOptions.mlx.raw or promptCacheFile.",
        },
      );
    })
    .join("");
}
