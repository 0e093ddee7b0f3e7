import { abortedBy, abortTogether } from "../abort.js";
import { Batches } from "../batches.js";
import { ConnectionError, LLMError, ProtocolError } from "../errors.js";
import { parseJson } from "../fields.js";
import type { CallOptions, HttpClient } from "../http/http-client.js";
import { readServerSentEvents, type ServerSentEvent } from "../http/server-sent-events.js";
import { detailsOf, type Where } from "../http/where.js";
import type { ProviderEvent } from "../providers/provider.js";
import type { ChatReply } from "./chat-reply.js";

/** Milliseconds for a server to tell the usage, and to end the stream, once the reply has ended. */
const FINISH_MS = 5000;
/** Milliseconds for it to end the stream once it has said that nothing more comes. */
const LINGER_MS = 100;
/** Bytes of a reply that is not streamed. */
const MAX_WHOLE = 64 * 1024 * 1024;

/** A request, and who reads its reply. */
export interface ChatCall {
  options: CallOptions;
  reply: ChatReply;
}

/**
 * Sends a chat completion request and delivers the events of its reply. Reads to the end, so that
 * the connection can be used again; but a server that goes on after its last word is left.
 * It prepares the request itself: in a generator around it, each token would cost more.
 */
export async function* streamChat(
  http: HttpClient,
  path: string,
  prepare: () => Promise<ChatCall>,
): AsyncGenerator<readonly ProviderEvent[]> {
  const { options, reply } = await prepare();
  const connection = new AbortController();
  const unlink = abortTogether(connection, options.signal);
  let lingering: NodeJS.Timeout | undefined;
  const read = (events: ServerSentEvent[], batch: ProviderEvent[]) => {
    reply.read(events, batch);
    if (reply.isStopped) connection.abort();
    if (!reply.hasEnded) return;
    clearTimeout(lingering);
    lingering = setTimeout(() => connection.abort(), reply.isDone ? LINGER_MS : FINISH_MS);
  };
  try {
    const answer = await http.openStream(path, { ...options, signal: connection.signal });
    const where = http.where(options);
    if (/\bjson$/.test(answer.contentType)) {
      yield reply.readWhole(await readJson(answer.chunks, where));
    } else {
      yield* new Batches(readServerSentEvents(answer.chunks, where), { read });
    }
  } catch (error) {
    const isOnlyTheConnection = connection.signal.aborted || isCut(error);
    if (!reply.hasEnded || !isOnlyTheConnection) throw error;
  } finally {
    clearTimeout(lingering);
    unlink();
  }
  if (options.signal.aborted) checkReason(abortedBy(options.signal));
  yield reply.end();
}

function isCut(error: unknown): boolean {
  return ConnectionError.is(error) || (LLMError.is(error) && error.code === "stream_truncated");
}

/** A server that is silent after the finish owes nothing but the token counts. */
function checkReason(reason: LLMError): void {
  if (reason.code !== "idle_timeout") throw reason;
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
