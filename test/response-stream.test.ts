import { setTimeout as sleep } from "node:timers/promises";
import { untilAborted } from "../src/abort.js";
import { AbortError, GenerationError } from "../src/errors.js";
import { ResponseStream } from "../src/response-stream.js";
import type { LLMResponse, StreamEvent } from "../src/types.js";

const RESPONSE = { content: "ab" } as LLMResponse;
const EVENTS: StreamEvent[] = [
  { type: "text", text: "a" },
  { type: "text", text: "b" },
  { type: "finish", response: RESPONSE },
];

function streamOf(events: StreamEvent[], failure?: Error) {
  const call = new AbortController();
  const state = { pulled: 0, ended: false };
  async function* source() {
    try {
      for (const event of events) {
        await untilAborted(sleep(0), call.signal);
        state.pulled += 1;
        yield event;
      }
      if (failure) throw failure;
    } finally {
      state.ended = true;
    }
  }
  return { stream: new ResponseStream(source(), call), call, state };
}

async function eventsOf(stream: AsyncIterable<StreamEvent>): Promise<StreamEvent[]> {
  const events: StreamEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

test("nothing is done before anybody reads", async () => {
  const { state } = streamOf(EVENTS);
  await sleep(10);
  expect(state.pulled).toBe(0);
});

test("awaiting the response drives the stream", async () => {
  const { stream, state } = streamOf(EVENTS);
  expect(await stream.response).toBe(RESPONSE);
  await sleep(0);
  expect(state.ended).toBe(true);
});

test("events and response can both be had, in any order", async () => {
  const first = streamOf(EVENTS).stream;
  expect(await eventsOf(first)).toEqual(EVENTS);
  expect(await first.response).toBe(RESPONSE);

  const { stream } = streamOf(EVENTS);
  const { response } = stream;
  expect(await eventsOf(stream)).toEqual(EVENTS);
  expect(await response).toBe(RESPONSE);
});

test("events are pulled, not pushed", async () => {
  const { stream, state } = streamOf(EVENTS);
  const iterator = stream[Symbol.asyncIterator]();
  await iterator.next();
  await sleep(10);
  expect(state.pulled).toBe(1);
});

test("events come only once", async () => {
  const { stream } = streamOf(EVENTS);
  await eventsOf(stream);
  expect(() => stream[Symbol.asyncIterator]()).toThrow(
    expect.objectContaining({ code: "stream_already_read" }),
  );
  await expect(eventsOf(stream)).rejects.toBeInstanceOf(GenerationError);
});

test("a failure reaches the loop and the response", async () => {
  const { stream } = streamOf(EVENTS.slice(0, 1), new Error("broken"));
  await expect(eventsOf(stream)).rejects.toThrow("broken");
  await expect(stream.response).rejects.toThrow("broken");
});

test("a stream without a finish fails the response", async () => {
  const { stream } = streamOf(EVENTS.slice(0, 2));
  await expect(stream.response).rejects.toThrow("ended without a finish");
});

test("leaving the loop aborts the call, ends the source and rejects the response", async () => {
  const { stream, call, state } = streamOf(EVENTS);
  for await (const _ of stream) break;
  expect(call.signal.aborted).toBe(true);
  expect(state.ended).toBe(true);
  await expect(stream.response).rejects.toBeInstanceOf(AbortError);
});

test("after the loop was left, the response fails with what the source knows of the abort", async () => {
  const call = new AbortController();
  async function* source(): AsyncGenerator<StreamEvent> {
    yield EVENTS[0]!;
    throw (call.signal.reason as AbortError).with({ partial: "a", requestId: "mine" });
  }
  const stream = new ResponseStream(source(), call);
  for await (const _ of stream) break;
  await expect(stream.response).rejects.toMatchObject({
    message: "The stream was left before its end.",
    partial: "a",
    requestId: "mine",
  });
});
