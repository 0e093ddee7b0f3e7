import type { ContentPart, LLMRequest, Message, Reasoning, Tool, ToolChoice } from "../../index.js";
import { given } from "../schemas.js";
import type { CountBody, MessagesBody } from "./messages-schema.js";

type TurnOf<Role> = Extract<MessagesBody["messages"][number], { role: Role }>;
type UserBlock = Exclude<TurnOf<"user">["content"], string>[number];
type AssistantBlock = Exclude<TurnOf<"assistant">["content"], string>[number];
type ShownBlock = Exclude<UserBlock, { type: "tool_result" }>;

/** Anthropic's words for how hard a model thinks. */
const EFFORTS = {
  low: "low",
  medium: "medium",
  high: "high",
  xhigh: "high",
  max: "high",
} as const satisfies Record<string, Reasoning>;

/** A request for a message in the client's words. */
export function messagesRequest(body: MessagesBody): LLMRequest {
  const { stop_sequences: stop } = body;
  return {
    ...questionRequest(body),
    ...given({
      maxTokens: body.max_tokens,
      temperature: body.temperature,
      topP: body.top_p,
      topK: body.top_k,
      stop: stop?.length === 0 ? undefined : stop,
    }),
  };
}

/** What a model is to read, in the client's words. */
export function questionRequest(body: CountBody): LLMRequest {
  return {
    messages: [...systemOf(body), ...body.messages.flatMap(turnsOf)],
    ...given({
      model: body.model,
      tools: body.tools?.map(toolOf),
      toolChoice: body.tool_choice ? choiceOf(body.tool_choice) : undefined,
      responseFormat: body.output_config?.format ?? undefined,
      reasoning: reasoningOf(body),
    }),
  };
}

function reasoningOf({ thinking, output_config }: CountBody): Reasoning | undefined {
  const effort = output_config?.effort;
  if (thinking?.type === "disabled") return false;
  if (effort) return EFFORTS[effort];
  return thinking ? true : undefined;
}

function systemOf({ system }: CountBody): Message[] {
  const content = typeof system === "string" ? system : system?.map(({ text }) => text).join("\n");
  return content ? [{ role: "system", content }] : [];
}

function turnsOf(turn: MessagesBody["messages"][number]): Message[] {
  if (typeof turn.content === "string") return [{ role: turn.role, content: turn.content }];
  return turn.role === "user" ? userTurns(turn.content) : [assistantTurn(turn.content)];
}

/** What tools gave comes first, as answers to the calls before. */
function userTurns(blocks: UserBlock[]): Message[] {
  const results = blocks.flatMap((block): Message[] => {
    if (block.type !== "tool_result") return [];
    const { content } = block;
    const parts = typeof content === "string" ? content : (content ?? []).map(partOf);
    return [{ role: "tool", content: parts, toolCallId: block.tool_use_id }];
  });
  const content = blocks.flatMap((block) => (block.type === "tool_result" ? [] : partOf(block)));
  return content.length > 0 ? [...results, { role: "user", content }] : results;
}

function assistantTurn(blocks: AssistantBlock[]): Message {
  const texts = blocks.flatMap((block) => (block.type === "text" ? block.text : []));
  const thoughts = blocks.flatMap((block) => (block.type === "thinking" ? block.thinking : []));
  const toolCalls = blocks.flatMap((block) =>
    block.type === "tool_use" ? { id: block.id, name: block.name, arguments: block.input } : [],
  );
  return {
    role: "assistant",
    content: texts.join(""),
    ...(thoughts.length > 0 ? { reasoning: thoughts.join("") } : {}),
    ...(toolCalls.length > 0 ? { toolCalls } : {}),
  };
}

function partOf(block: ShownBlock): ContentPart {
  if (block.type === "text") return { type: "text", text: block.text };
  const { media_type, data } = block.source;
  return { type: "image", image: `data:${media_type};base64,${data}` };
}

function toolOf({
  name,
  description,
  input_schema,
}: NonNullable<MessagesBody["tools"]>[number]): Tool {
  const parameters = input_schema;
  return { type: "function", function: { name, parameters, ...given({ description }) } };
}

function choiceOf(choice: NonNullable<MessagesBody["tool_choice"]>): ToolChoice {
  if (choice.type === "tool") return { type: "function", function: { name: choice.name } };
  return choice.type === "any" ? "required" : choice.type;
}
