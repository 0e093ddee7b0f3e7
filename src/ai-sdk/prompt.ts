import type {
  LanguageModelV3FilePart,
  LanguageModelV3Message,
  LanguageModelV3Prompt,
  LanguageModelV3TextPart,
  LanguageModelV3ToolResultPart,
  SharedV3Warning,
} from "@ai-sdk/provider";
import type { ContentPart, Message, ToolCall } from "../index.js";
import { unsupported } from "./errors.js";

type Turn<Role> = Extract<LanguageModelV3Message, { role: Role }>;
type Output = LanguageModelV3ToolResultPart["output"];
type OutputPart = Extract<Output, { type: "content" }>["value"][number];

/** A prompt of the AI SDK as messages; what models need not be told is left out with a warning. */
export function messagesOf(prompt: LanguageModelV3Prompt, warnings: SharedV3Warning[]): Message[] {
  return prompt.flatMap((turn): Message[] => {
    if (turn.role === "system") return [{ role: "system", content: turn.content }];
    if (turn.role === "user")
      return [{ role: "user", content: simplest(turn.content.map(partOf)) }];
    return turn.role === "assistant" ? [assistantOf(turn, warnings)] : resultsOf(turn, warnings);
  });
}

function assistantOf({ content }: Turn<"assistant">, warnings: SharedV3Warning[]): Message {
  const texts: string[] = [];
  const thoughts: string[] = [];
  const toolCalls: ToolCall[] = [];
  for (const part of content) {
    if (part.type === "text") texts.push(part.text);
    else if (part.type === "reasoning") thoughts.push(part.text);
    else if (part.type === "tool-call" && !part.providerExecuted) {
      toolCalls.push({ id: part.toolCallId, name: part.toolName, ...argumentsOf(part.input) });
    } else warnings.push({ type: "unsupported", feature: `${part.type} of another provider` });
  }
  return {
    role: "assistant",
    content: texts.join(""),
    ...(thoughts.length > 0 && { reasoning: thoughts.join("") }),
    ...(toolCalls.length > 0 && { toolCalls }),
  };
}

/** What the model wrote in place of arguments is told to it as it was. */
function argumentsOf(input: unknown): Pick<ToolCall, "arguments" | "invalidArguments"> {
  if (typeof input === "object" && input !== null && !Array.isArray(input)) {
    return { arguments: input as Record<string, unknown> };
  }
  const text = typeof input === "string" ? input : JSON.stringify(input);
  return { arguments: {}, invalidArguments: text };
}

function resultsOf({ content }: Turn<"tool">, warnings: SharedV3Warning[]): Message[] {
  return content.flatMap((part): Message[] => {
    if (part.type === "tool-result") {
      return [{ role: "tool", toolCallId: part.toolCallId, content: outputOf(part.output) }];
    }
    warnings.push({ type: "unsupported", feature: part.type });
    return [];
  });
}

function outputOf(output: Output): Message["content"] {
  if (output.type === "execution-denied") return output.reason ?? "The call was not allowed.";
  if (output.type === "content") return simplest(output.value.map(outputPart));
  return typeof output.value === "string" ? output.value : JSON.stringify(output.value);
}

function outputPart(part: OutputPart): ContentPart {
  if (part.type === "text") return { type: "text", text: part.text };
  if (part.type === "image-url") return { type: "image", image: part.url };
  if (part.type === "image-data" || part.type === "file-data") return filePart(part);
  throw unsupported(`a tool result with a part of type ${part.type}`);
}

function partOf(part: LanguageModelV3TextPart | LanguageModelV3FilePart): ContentPart {
  return part.type === "text" ? { type: "text", text: part.text } : filePart(part);
}

function filePart({ data, mediaType }: Pick<LanguageModelV3FilePart, "data" | "mediaType">) {
  if (mediaType.startsWith("image/")) return imagePart(data, mediaType);
  const isBytes = typeof data === "string" || data instanceof Uint8Array;
  if (!mediaType.startsWith("text/") || !isBytes) throw unsupported(`a file of type ${mediaType}`);
  const bytes = typeof data === "string" ? Buffer.from(data, "base64") : data;
  return { type: "text" as const, text: new TextDecoder().decode(bytes) };
}

function imagePart(data: LanguageModelV3FilePart["data"], mediaType: string): ContentPart {
  if (data instanceof Uint8Array) return { type: "image", image: data, mediaType };
  if (data instanceof URL) return { type: "image", image: data.href };
  // The next version of the specification has more kinds of data, which the AI SDK lets through.
  if (typeof data !== "string") throw unsupported("an image that is a reference");
  return { type: "image", image: `data:${mediaType};base64,${data}` };
}

/** Text alone is told as text, which every template and server reads. */
function simplest(parts: ContentPart[]): Message["content"] {
  return parts.every((part) => part.type === "text")
    ? parts.map(({ text }) => text).join("\n")
    : parts;
}
