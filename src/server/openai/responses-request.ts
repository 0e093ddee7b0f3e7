import type {
  ContentPart,
  LLMRequest,
  Message,
  ResponseFormat,
  Tool,
  ToolChoice,
} from "../../index.js";
import { given } from "../schemas.js";
import { EFFORTS, readArguments } from "./chat-request.js";
import type { ResponsesBody } from "./responses-schema.js";

type Item = Exclude<ResponsesBody["input"], string>[number];
type Spoken = Extract<Item, { role: string }>;

/** A request for a response in the client's words. */
export function responsesRequest(body: ResponsesBody): LLMRequest {
  const { input, instructions, reasoning, text } = body;
  const messages: Message[] = instructions ? [{ role: "system", content: instructions }] : [];
  if (typeof input === "string") messages.push({ role: "user", content: input });
  else for (const item of input) addItem(messages, item);
  return {
    messages,
    ...given({
      model: body.model,
      temperature: body.temperature,
      topP: body.top_p,
      maxTokens: body.max_output_tokens,
      tools: body.tools?.map(toolOf),
      toolChoice: body.tool_choice ? choiceOf(body.tool_choice) : undefined,
      responseFormat: text?.format ? formatOf(text.format) : undefined,
      reasoning: reasoning?.effort ? EFFORTS[reasoning.effort] : undefined,
    }),
  };
}

/** What an assistant thought, said and called are items there, and one message here. */
function addItem(messages: Message[], item: Item): void {
  if ("role" in item) {
    addMessage(messages, item);
    return;
  }
  if (item.type === "function_call_output") {
    const content = typeof item.output === "string" ? item.output : item.output.map(partOf);
    messages.push({ role: "tool", content, toolCallId: item.call_id });
    return;
  }
  const turn = assistantTurn(messages);
  if (item.type === "reasoning") {
    const text = item.content?.map((part) => part.text).join("");
    if (text) turn.reasoning = (turn.reasoning ?? "") + text;
    return;
  }
  const call = { id: item.call_id, name: item.name, ...readArguments(item.arguments) };
  turn.toolCalls = [...(turn.toolCalls ?? []), call];
}

function addMessage(messages: Message[], { role, content }: Spoken): void {
  if (role !== "assistant") {
    const parts = typeof content === "string" ? content : content.map(partOf);
    messages.push({ role: role === "developer" ? "system" : role, content: parts });
    return;
  }
  const texts = typeof content === "string" ? [content] : content.map(textOf);
  assistantTurn(messages).content += texts.join("");
}

/** The assistant's message at the end; a new one after anyone else's. */
function assistantTurn(messages: Message[]): Message & { content: string } {
  const last = messages.at(-1);
  if (last?.role === "assistant") return last as Message & { content: string };
  const turn: Message & { content: string } = { role: "assistant", content: "" };
  messages.push(turn);
  return turn;
}

type Part = Exclude<Spoken["content"], string>[number];

function partOf(part: Part): ContentPart {
  if (part.type === "input_image") return { type: "image", image: part.image_url };
  return { type: "text", text: part.text };
}

function textOf(part: Part): string {
  return part.type === "input_image" ? "" : part.text;
}

function toolOf({
  name,
  description,
  parameters,
}: NonNullable<ResponsesBody["tools"]>[number]): Tool {
  return { type: "function", function: { name, ...given({ description, parameters }) } };
}

function choiceOf(choice: NonNullable<ResponsesBody["tool_choice"]>): ToolChoice {
  return typeof choice === "string"
    ? choice
    : { type: "function", function: { name: choice.name } };
}

type Format = NonNullable<NonNullable<ResponsesBody["text"]>["format"]>;

function formatOf(format: Format): ResponseFormat {
  if (format.type !== "json_schema") return format;
  const { name, schema, strict } = format;
  return { type: "json_schema", schema, ...given({ name, strict }) };
}
