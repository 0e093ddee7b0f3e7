import type { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { LmStudioProvider } from "../../src/providers/lmstudio.js";
import { OllamaProvider } from "../../src/providers/ollama.js";
import { OpenAiCompatibleProvider } from "../../src/providers/openai-compatible.js";
import { addText, type Provider, type ProviderEvent } from "../../src/providers/provider.js";
import { checkRequest } from "../../src/request.js";
import { readWireFixture } from "../servers/wire-fixtures.js";

/** How a server tells where a body ends: in the chunks of HTTP/1.1, or by closing, as HTTP/1.0 does. */
export type Framing = "chunks" | "close";

/** A recorded stream that finishes, and the provider that reads it. */
export interface RecordedStream {
  file: string;
  model: string;
  framing: Framing;
  create(settings: { baseUrl: string; connectTimeout: number; verifySsl: boolean }): Provider;
}

const ollama = (file: string, model: string, framing: Framing = "chunks"): RecordedStream => ({
  file: `ollama/0.17.4/${file}`,
  model,
  framing,
  create: (settings) => new OllamaProvider(settings),
});
const lmStudio = (file: string): RecordedStream => ({
  file: `lm-studio/0.4/${file}`,
  model: "tiny-chat",
  framing: "chunks",
  create: (settings) => new LmStudioProvider(settings),
});

/** Text, thoughts and tool calls, as each server sends them. */
export const STREAMS: RecordedStream[] = [
  ollama("chat-thinking.ndjson", "tiny-thinking"),
  ollama("chat-tools.ndjson", "tiny-tools"),
  ollama("chat-tools.ndjson", "tiny-tools", "close"),
  lmStudio("chat-reasoning.sse"),
  lmStudio("chat-tools.sse"),
  {
    // An mlx_lm.server speaks the same, but only HTTP/1.0.
    file: "ollama/0.17.4/v1-chat.sse",
    model: "tiny",
    framing: "close",
    create: (settings) => new OpenAiCompatibleProvider("mlx", settings),
  },
];

/** All bytes of an answer: a chunk for each line or event, as the servers send them. */
export function answerBytes({ file, framing }: RecordedStream): Buffer {
  const type = file.endsWith("sse") ? "text/event-stream" : "application/x-ndjson";
  const head = `Content-Type: ${type}\r\n`;
  const body = linesOf(file);
  if (framing === "close") return Buffer.from(`HTTP/1.0 200 OK\r\n${head}\r\n${body.join("")}`);
  const chunks = body.map((line) => `${Buffer.byteLength(line).toString(16)}\r\n${line}\r\n`);
  const start = `HTTP/1.1 200 OK\r\n${head}Transfer-Encoding: chunked\r\n\r\n`;
  return Buffer.from(`${start}${chunks.join("")}0\r\n\r\n`);
}

/** Where the finish is whole in the bytes of an answer: without its line end, and with it. */
export function finishOf({ file }: RecordedStream, bytes: Buffer): { from: number; to: number } {
  const line = linesOf(file).find((each) => /"done":true|"finish_reason":"/.test(each))!;
  const start = bytes.indexOf(line);
  return { from: start + line.trimEnd().length, to: start + Buffer.byteLength(line) };
}

/** What a provider delivers, with what came together put together, and without measured times. */
export async function eventsOf(
  provider: Provider,
  { model }: RecordedStream,
  requestId: string,
): Promise<{ events: ProviderEvent[]; error?: unknown }> {
  const events: ProviderEvent[] = [];
  const { signal } = new AbortController();
  const request = checkRequest({ messages: "hi", model });
  const context = { signal, requestId, responseId: "", startedAt: performance.now() };
  try {
    for await (const batch of provider.stream(request, context)) {
      for (const event of batch) {
        // How often it shows that it goes on depends on what came together.
        if (event.type === "progress") continue;
        if ("text" in event) addText(events, event.type, event.text);
        else events.push(steady(event));
      }
    }
    return { events };
  } catch (error) {
    return { events, error };
  }
}

/** Writes pieces one after the other, giving each a chance to arrive alone. */
export async function writePieces(socket: Socket, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    if (piece.length > 0) socket.write(piece);
    await turn();
    await turn();
  }
}

function linesOf(file: string): string[] {
  const text = readWireFixture(file).toString();
  return text.match(file.endsWith("sse") ? /[\s\S]+?\n\n/g : /[^\n]*\n/g)!;
}

function steady(event: ProviderEvent): ProviderEvent {
  return event.type === "finish" ? { ...event, timings: {} } : { ...event };
}
