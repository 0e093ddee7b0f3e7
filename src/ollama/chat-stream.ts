import { Batches, lazily } from "../batches.js";
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
 * Sends a chat request, once that is prepared, and delivers the events of its reply: the last of
 * them not before the connection is free for the next request.
 */
export function streamChat(
  server: OllamaServer,
  prepare: () => Promise<ChatCall>,
): AsyncIterable<readonly ProviderEvent[]> {
  return lazily(async () => {
    const { options, reply } = await prepare();
    const lines = await server.postForLines("/api/chat", options);
    let lingering: NodeJS.Timeout | undefined;
    return new Batches(lines, {
      read(batch, events: ProviderEvent[]) {
        reply.read(batch, events);
        if (reply.isDone) lingering ??= setTimeout(() => lines.return?.(), LINGER_MS).unref();
      },
      // A whole reply stays one, whatever becomes of its connection.
      forgives: () => reply.isDone && !options.signal.aborted,
      end(events) {
        clearTimeout(lingering);
        events.push(reply.finish());
      },
    });
  });
}
