import { ValidationError } from "../errors.js";
import type { CheckedRequest } from "../request.js";
import type { ImagePart, Message, ProviderName, ToolCall } from "../types.js";

/** A message as `/v1/chat/completions` takes it. */
export type WireMessage = Record<string, unknown> & { role: string };

/** What servers differ in when they read messages. */
export interface MessageStyle {
  provider: ProviderName;
  /** Field for what an assistant thought. */
  reasoningField: "reasoning_content" | "reasoning";
  /** True where the server fetches pictures by itself. */
  fetchesImages: boolean;
}

/** The messages of a request in the words of the protocol. */
export function toWireMessages(
  messages: CheckedRequest["messages"],
  style: MessageStyle,
): WireMessage[] {
  return messages.map((message, index) => ({
    role: message.role,
    content: contentOf(message, `messages[${index}]`, style),
    [style.reasoningField]: message.reasoning,
    tool_call_id: message.toolCallId,
    tool_calls: message.toolCalls?.length ? message.toolCalls.map(toWireCall) : undefined,
  }));
}

function toWireCall({ id, name, arguments: args }: ToolCall): object {
  // Also where the model wrote something else: servers parse it before the template sees it.
  return { id, type: "function", function: { name, arguments: JSON.stringify(args) } };
}

/** Plain text where there is nothing but text: not every server takes parts. */
function contentOf({ content }: Message, path: string, style: MessageStyle): unknown {
  if (typeof content === "string") return content;
  if (content.every((part) => part.type === "text"))
    return content.map(({ text }) => text).join("");
  return content.map((part, index) =>
    part.type === "text"
      ? part
      : {
          type: "image_url",
          image_url: { url: imageUrl(part, `${path}.content[${index}]`, style) },
        },
  );
}

function imageUrl({ image, mediaType }: ImagePart, path: string, style: MessageStyle): string {
  if (typeof image !== "string") {
    if (mediaType === undefined) {
      throw new ValidationError(`${path} has bytes, so it needs a mediaType such as "image/png".`);
    }
    return `data:${mediaType};base64,${Buffer.from(image).toString("base64")}`;
  }
  const allowed = style.fetchesImages ? /^(data:|https?:\/\/)/i : /^data:/i;
  if (allowed.test(image)) return image;
  const kinds = style.fetchesImages ? "a data: or http(s) URL" : "a data: URL";
  throw new ValidationError(
    `${path}.image is ${JSON.stringify(image.slice(0, 60))}, but must be bytes or ${kinds}.`,
    {
      code: "unsupported",
      provider: style.provider,
      hint: "Read the image yourself, and pass its bytes as a Uint8Array with its mediaType.",
    },
  );
}
