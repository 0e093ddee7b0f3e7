import { deepStrictEqual } from "node:assert";
import { readNdjson } from "../../src/http/ndjson.js";
import { readServerSentEvents } from "../../src/http/server-sent-events.js";
import { LM_STUDIO } from "../../src/lm-studio/server-kind.js";
import { replyFormat } from "../../src/mlx/reply/reply-format.js";
import { type ReplyEvent, ReplyReader } from "../../src/mlx/reply/reply-reader.js";
import { ChatReply as OllamaReply } from "../../src/ollama/chat-reply.js";
import { ChatReply as OpenAiReply } from "../../src/openai/chat-reply.js";
import { checkRequest } from "../../src/request.js";
import { DIALECT_REPLIES, TOOLS } from "../mlx/tools/dialect-replies.js";

const where = { provider: "ollama" as const, url: "http://localhost:1", model: "m" };
const asked = { model: "m", where, warnings: [], startedAt: 0 };

/** What a server sends, after a byte that tells how it is cut. */
export async function readLines(data: Buffer): Promise<void> {
  const reply = new OllamaReply(asked);
  for await (const lines of readNdjson(pieces(data), where)) JSON.stringify(reply.read(lines));
  JSON.stringify(reply.finish());
}

export async function readEvents(data: Buffer): Promise<void> {
  const request = checkRequest({ messages: "hi" });
  const reply = new OpenAiReply({ ...asked, request, kind: LM_STUDIO });
  const told: unknown[] = [];
  for await (const events of readServerSentEvents(pieces(data), where)) {
    reply.read(events, told as never[]);
  }
  JSON.stringify([told, reply.end()]);
}

/** What a model writes, after a byte that chooses its family and one that tells how it comes. */
export function readReply(data: Buffer): void {
  const { template } = DIALECT_REPLIES[(data[0] ?? 0) % DIALECT_REPLIES.length]!;
  const text = data.subarray(2).toString();
  const step = 1 + ((data[1] ?? 0) % 16);
  const parts = Array.from({ length: Math.ceil(text.length / step) }, (_, part) =>
    text.slice(part * step, (part + 1) * step),
  );
  const [inParts, atOnce] = [said(template, parts), said(template, [text])];
  // Where a call breaks off, what has come by then belongs to it.
  if (!atOnce.isBroken && !inParts.isBroken) deepStrictEqual(inParts, atOnce);
}

function said(template: string, parts: string[]) {
  const format = replyFormat({
    template,
    prompt: "",
    tools: TOOLS,
    tokenizer: { tokenId: () => undefined },
  });
  const reader = new ReplyReader(format, ["STOP"]);
  const events: ReplyEvent[] = [];
  for (const part of parts) reader.push(part, events);
  reader.end(events);
  const all = { text: "", reasoning: "", calls: [] as object[], isBroken: false };
  for (const event of events) {
    if (event.type === "tool-call") {
      all.calls.push({ ...event.toolCall, id: "" });
      all.isBroken ||= event.toolCall.invalidArguments !== undefined;
    } else if (event.type === "text" || event.type === "reasoning") all[event.type] += event.text;
  }
  return { ...all, hasStopped: reader.hasStopped };
}

async function* pieces(data: Buffer): AsyncGenerator<Uint8Array[]> {
  const step = (data[0] ?? 0) + 1;
  for (let at = 1; at < data.length; at += step) yield [data.subarray(at, at + step)];
}
