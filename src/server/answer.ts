import type { Context } from "hono";
import { setTimeout as sleep } from "node:timers/promises";
import type { LLMRequest, LLMResponse, StreamEvent } from "../index.js";
import { failureOf } from "./failures.js";
import { forModel } from "./models.js";
import type { Exchange } from "./protocol.js";
import type { RequestRecord } from "./record.js";
import type { Env, Service } from "./service.js";
import { streamOf } from "./stream-body.js";

/** Runs a request as soon as there is a place for it, and answers with the reply. */
export async function answer(
  context: Context<Env>,
  service: Service,
  exchange: Exchange,
): Promise<Response> {
  const { record, signal } = context.var;
  const asked = { ...exchange.request, requestId: record.id, signal };
  const request = forModel(service, asked);
  const leave = await service.gate.enter(signal);
  try {
    if (exchange.stream)
      return await answerAsStream(context, service, { ...exchange, request }, leave);
    const response = withNotes(await service.client.generate(request), exchange);
    record.response = response;
    leave();
    return context.json(exchange.writer.whole(response));
  } catch (error) {
    leave();
    throw error;
  }
}

async function answerAsStream(
  context: Context<Env>,
  { client, settings }: Service,
  exchange: Exchange,
  leave: () => void,
): Promise<Response> {
  const { record } = context.var;
  const { request, writer, mediaType } = exchange;
  const events = client.stream(request)[Symbol.asyncIterator]();
  const first = events.next();
  await untilBegun(first, settings.keepAlive, request);
  const pieces = tell(first, events, exchange, record);
  const body = streamOf(pieces, {
    keepAlive: () => writer.keepAlive(),
    seconds: settings.keepAlive,
    onEnd: leave,
  });
  return new Response(body, {
    headers: {
      "content-type": mediaType,
      "cache-control": "no-cache",
      // Or the adapter would wait for a second piece before it sends the first.
      "transfer-encoding": "chunked",
    },
  });
}

/** As long as nothing was sent, a failure can have its own status: so it is waited for a while. */
async function untilBegun(
  first: Promise<unknown>,
  seconds: number,
  { signal }: LLMRequest,
): Promise<void> {
  const waiting = new AbortController();
  try {
    const time = sleep(seconds * 1000, undefined, { signal: waiting.signal }).catch(() => {});
    await Promise.race([first, time]);
  } finally {
    waiting.abort();
  }
  signal?.throwIfAborted();
}

async function* tell(
  first: Promise<IteratorResult<StreamEvent>>,
  events: AsyncIterator<StreamEvent>,
  exchange: Exchange,
  record: RequestRecord,
): AsyncGenerator<string> {
  const { writer } = exchange;
  try {
    for (let next = await first; !next.done; next = await events.next()) {
      const event = withNotesAtEnd(next.value, exchange);
      if (event.type === "finish") record.response = event.response;
      const text = writer.event(event);
      if (text !== "") yield text;
    }
  } catch (error) {
    record.failure = failureOf(error);
    yield writer.failed(record.failure);
  } finally {
    await events.return?.();
  }
}

function withNotesAtEnd(event: StreamEvent, exchange: Exchange): StreamEvent {
  if (event.type !== "finish") return event;
  return { ...event, response: withNotes(event.response, exchange) };
}

function withNotes(response: LLMResponse, { notes }: Exchange): LLMResponse {
  if (!notes) return response;
  return { ...response, warnings: [...response.warnings, ...notes(response)] };
}
