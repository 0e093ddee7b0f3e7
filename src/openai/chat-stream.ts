import { abortedBy, abortTogether } from "../abort.js";
import { ConnectionError, LLMError, ProtocolError } from "../errors.js";
import { parseJson } from "../fields.js";
import type { CallOptions, HttpClient } from "../http/http-client.js";
import { readServerSentEvents } from "../http/server-sent-events.js";
import { detailsOf, type Where } from "../http/where.js";
import { deliver, type ProviderEvent } from "../providers/provider.js";
import type { ChatReply } from "./chat-reply.js";

/** Milliseconds for a server to tell the usage, and to end the stream, once the reply has ended. */
const FINISH_MS = 5000;
/** Milliseconds for it to end the stream once it has said that nothing more comes. */
const LINGER_MS = 100;
/** Bytes of a reply that is not streamed. */
const MAX_WHOLE = 64 * 1024 * 1024;

/** Sends a chat completion request and delivers the events of its reply. */
export async function* streamChat(
  http: HttpClient,
  path: string,
  options: CallOptions,
  reply: ChatReply,
): AsyncGenerator<readonly ProviderEvent[]> {
  const connection = new AbortController();
  const unlink = abortTogether(connection, options.signal);
  try {
    const answer = await http.openStream(path, { ...options, signal: connection.signal });
    const where = http.where(options);
    if (/\bjson$/.test(answer.contentType)) {
      yield reply.readWhole(await readJson(answer.chunks, where));
    } else {
      yield* readEvents(readServerSentEvents(answer.chunks, where), reply, connection);
    }
    if (options.signal.aborted) throw abortedBy(options.signal);
    yield reply.end();
  } finally {
    unlink();
  }
}

/**
 * Reads to the end, so that the connection can be used again; but a server that goes on after its
 * last word is left.
 */
async function* readEvents(
  events: ReturnType<typeof readServerSentEvents>,
  reply: ChatReply,
  connection: AbortController,
): AsyncGenerator<readonly ProviderEvent[]> {
  let lingering: NodeJS.Timeout | undefined;
  try {
    for await (const arrived of events) {
      // Also when nothing comes of it: it shows that the server is alive.
      yield* deliver((batch) => reply.read(arrived, batch));
      if (reply.isStopped) return;
      if (!reply.hasEnded) continue;
      clearTimeout(lingering);
      lingering = setTimeout(() => connection.abort(), reply.isDone ? LINGER_MS : FINISH_MS);
    }
  } catch (error) {
    const isOnlyTheConnection = connection.signal.aborted || isCut(error);
    if (!reply.hasEnded || !isOnlyTheConnection) throw error;
  } finally {
    clearTimeout(lingering);
  }
}

function isCut(error: unknown): boolean {
  return ConnectionError.is(error) || (LLMError.is(error) && error.code === "stream_truncated");
}

async function readJson(chunks: AsyncIterable<Uint8Array[]>, where: Where): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const batch of chunks) {
    parts.push(...batch);
    size = batch.reduce((sum, part) => sum + part.length, size);
    if (size > MAX_WHOLE) throw new ProtocolError("The reply is too long.", detailsOf(where));
  }
  return parseJson(Buffer.concat(parts).toString());
}
