import { abortTogether } from "../abort.js";
import { Batches } from "../batches.js";
import type { CallOptions } from "../http/http-client.js";
import type { ProviderEvent } from "../providers/provider.js";
import type { ChatReply } from "./chat-reply.js";
import type { OllamaServer } from "./server.js";

/** Milliseconds for a server, or a proxy before it, to end the stream after its last line. */
const LINGER_MS = 100;

/** A request, and who reads its reply. */
export interface ChatCall {
  options: CallOptions;
  reply: ChatReply;
}

/**
 * Sends a chat request and delivers the events of its reply. It prepares the request itself: in a
 * generator around it, each token would cost more.
 */
export async function* streamChat(
  server: OllamaServer,
  prepare: () => Promise<ChatCall>,
): AsyncGenerator<readonly ProviderEvent[]> {
  const { options, reply } = await prepare();
  const connection = new AbortController();
  const unlink = abortTogether(connection, options.signal);
  let lingering: NodeJS.Timeout | undefined;
  const read = (lines: unknown[], batch: ProviderEvent[]) => {
    reply.read(lines, batch);
    if (reply.isDone) lingering ??= setTimeout(() => connection.abort(), LINGER_MS);
  };
  try {
    const lines = await server.postForLines("/api/chat", { ...options, signal: connection.signal });
    yield* new Batches(lines, { read });
  } catch (error) {
    // A whole reply stays one, whatever becomes of its connection.
    if (!reply.isDone || options.signal.aborted) throw error;
  } finally {
    clearTimeout(lingering);
    unlink();
  }
  // Not before the connection is free for the next request.
  yield [reply.finish()];
}
