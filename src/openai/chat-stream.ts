import { abortedBy } from "../abort.js";
import { Batches, lazily } from "../batches.js";
import { ConnectionError, LLMError, ProtocolError } from "../errors.js";
import { parseJson } from "../fields.js";
import type { CallOptions, HttpClient } from "../http/http-client.js";
import { readServerSentEvents } from "../http/server-sent-events.js";
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

/** Sends a chat completion request, once that is prepared, and delivers the events of its reply. */
export function streamChat(
  http: HttpClient,
  path: string,
  prepare: () => Promise<ChatCall>,
): AsyncIterable<readonly ProviderEvent[]> {
  return lazily(async () => {
    const call = await prepare();
    const { chunks, contentType } = await http.openStream(path, call.options);
    const where = http.where(call.options);
    const isWhole = /\bjson$/.test(contentType);
    return isWhole ? readWhole(chunks, where, call) : readEvents(chunks, where, call);
  });
}

type Chunks = AsyncIterable<Uint8Array[]>;

/**
 * Reads to the end, so that the connection can be used again; but a server that goes on after its
 * last word is left.
 */
function readEvents(chunks: Chunks, where: Where, call: ChatCall): AsyncIterator<ProviderEvent[]> {
  const { reply, options } = call;
  const parts = readServerSentEvents(chunks, where);
  const leave = () => void parts.return();
  let lingering: NodeJS.Timeout | undefined;
  return new Batches(parts, {
    read(batch, events: ProviderEvent[]) {
      reply.read(batch, events);
      if (reply.isStopped) leave();
      if (!reply.hasEnded) return;
      clearTimeout(lingering);
      lingering = setTimeout(leave, reply.isDone ? LINGER_MS : FINISH_MS).unref();
    },
    forgives: (error) => reply.hasEnded && (options.signal.aborted || isCut(error)),
    end(events) {
      clearTimeout(lingering);
      end(call, events);
    },
  });
}

/** Reads a reply that comes as one object, though a stream was asked for. */
function readWhole(chunks: Chunks, where: Where, call: ChatCall): AsyncIterator<ProviderEvent[]> {
  const parts: Uint8Array[] = [];
  let size = 0;
  return new Batches(chunks, {
    read(batch) {
      parts.push(...batch);
      for (const { length } of batch) size += length;
      if (size > MAX_WHOLE) throw new ProtocolError("The reply is too long.", detailsOf(where));
    },
    end(events: ProviderEvent[]) {
      events.push(...call.reply.readWhole(parseJson(Buffer.concat(parts).toString())));
      end(call, events);
    },
  });
}

function end({ options, reply }: ChatCall, events: ProviderEvent[]): void {
  if (options.signal.aborted) checkReason(abortedBy(options.signal));
  events.push(...reply.end());
}

function isCut(error: unknown): boolean {
  return ConnectionError.is(error) || (LLMError.is(error) && error.code === "stream_truncated");
}

/** A server that is silent after the finish owes nothing but the token counts. */
function checkReason(reason: LLMError): void {
  if (reason.code !== "idle_timeout") throw reason;
}
