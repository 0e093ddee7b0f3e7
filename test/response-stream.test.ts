import { setTimeout as sleep } from "node:timers/promises";
import { untilAborted } from "../src/abort.js";
import { AbortError, GenerationError } from "../src/errors.js";
import type { Reply } from "../src/chain/route.js";
import { ResponseStream } from "../src/response-stream.js";
import type { LLMResponse, StreamEvent } from "../src/types.js";

const RESPONSE = { content: "ab" } as LLMResponse;
const EVENTS: StreamEvent[] = [
  { type: "text", text: "a" },
  { type: "text", text: "b" },
  { type: "finish", response: RESPONSE },
];

/** A reply that delivers one event at a time. */
function replyOf(events: AsyncIterator<StreamEvent>): Reply {
  return {
    async next() {
      const { value, done } = await events.next();
      return done ? undefined : [value];
    },
  };
}

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
  const reply = replyOf(source());
  return { stream: new ResponseStream(async () => reply, call), call, state };
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
  const events = source();
  const stream = new ResponseStream(async () => replyOf(events), call);
  for await (const _ of stream) break;
  await expect(stream.response).rejects.toMatchObject({
    message: "The stream was left before its end.",
    partial: "a",
    requestId: "mine",
  });
});

describe("a reply that comes in batches", () => {
  /** A stream of batches, each delivered when it is asked for. */
  function inBatches(...batches: StreamEvent[][]) {
    const call = new AbortController();
    const state = { opened: 0, asked: 0 };
    const next = async () => {
      state.asked += 1;
      await sleep(0);
      call.signal.throwIfAborted();
      return batches.shift();
    };
    const open = async () => {
      state.opened += 1;
      return { next };
    };
    return { stream: new ResponseStream(open, call), call, state };
  }

  test("is delivered event by event, and asked for batch by batch", async () => {
    const { stream, state } = inBatches(EVENTS.slice(0, 2), [], [], EVENTS.slice(2));
    const iterator = stream[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: EVENTS[0] });
    expect(await iterator.next()).toEqual({ done: false, value: EVENTS[1] });
    expect(state.asked).toBe(1);
    expect(await iterator.next()).toEqual({ done: false, value: EVENTS[2] });
    expect(state.asked).toBe(4);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(state.opened).toBe(1);
  });

  test("comes in order also to those who do not wait for an answer before they ask again", async () => {
    const { stream, state } = inBatches(EVENTS.slice(0, 1), EVENTS.slice(1));
    const iterator = stream[Symbol.asyncIterator]();
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => iterator.next()));
    expect(answers.map(({ value }) => value)).toEqual([...EVENTS, undefined, undefined]);
    expect(state.opened).toBe(1);
  });

  test("can be left in the middle of a batch", async () => {
    const { stream, call, state } = inBatches(EVENTS.slice(0, 2), EVENTS.slice(2));
    for await (const _ of stream) break;
    expect(call.signal.aborted).toBe(true);
    expect(state.asked).toBe(2);
    await expect(stream.response).rejects.toBeInstanceOf(AbortError);
  });

  test("has its response even if the loop was left in its last batch", async () => {
    const { stream } = inBatches(EVENTS);
    for await (const _ of stream) break;
    expect(await stream.response).toBe(RESPONSE);
  });

  test("has its response as soon as the finish is here", async () => {
    const { stream } = inBatches(EVENTS);
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    expect(await stream.response).toBe(RESPONSE);
  });
});

describe("a failure", () => {
  function failing(fail: () => Promise<Reply>) {
    const call = new AbortController();
    let opened = 0;
    const open = () => {
      opened += 1;
      return fail();
    };
    return { stream: new ResponseStream(open, call), count: () => opened };
  }

  test("to begin is told once, and the call is not made again", async () => {
    const { stream, count } = failing(() => Promise.reject(new Error("broken")));
    const iterator = stream[Symbol.asyncIterator]();
    await expect(iterator.next()).rejects.toThrow("broken");
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    await expect(stream.response).rejects.toThrow("broken");
    expect(count()).toBe(1);
  });

  test("ends all who are waiting", async () => {
    const { stream, count } = failing(async () => {
      await sleep(1);
      throw new Error("broken");
    });
    const iterator = stream[Symbol.asyncIterator]();
    const answers = await Promise.allSettled([
      iterator.next(),
      iterator.next(),
      iterator.return!(),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"]);
    expect(count()).toBe(1);
  });
});

test("leaving while an answer is on its way ends the call", async () => {
  const { stream, call, state } = streamOf([...EVENTS]);
  const iterator = stream[Symbol.asyncIterator]();
  const waiting = iterator.next();
  expect(await iterator.return!()).toEqual({ done: true, value: undefined });
  await expect(waiting).rejects.toBeInstanceOf(AbortError);
  expect(call.signal.aborted).toBe(true);
  expect(state.ended).toBe(true);
  expect(await iterator.next()).toEqual({ done: true, value: undefined });
});

test("the response may be asked for twice, and while events are read", async () => {
  const { stream } = streamOf(EVENTS);
  const both = Promise.all([stream.response, stream.response]);
  expect(await eventsOf(stream)).toEqual(EVENTS);
  expect(await both).toEqual([RESPONSE, RESPONSE]);
});

describe("an abort while nobody reads", () => {
  /** A stream whose reply fails with the reason of the abort, after its first event was read. */
  async function begun(...batches: (StreamEvent[] | undefined)[]) {
    const call = new AbortController();
    const next = async () => {
      if (batches.length === 0) await untilAborted(new Promise(() => {}), call.signal);
      return batches.shift();
    };
    const stream = new ResponseStream(async () => ({ next }), call);
    const events = stream[Symbol.asyncIterator]();
    await events.next();
    return { stream, call, events };
  }
  const reason = new AbortError("Enough.");

  test("reaches whoever awaits the response", async () => {
    const { stream, call } = await begun([EVENTS[0]!]);
    call.abort(reason);
    await expect(stream.response).rejects.toBe(reason);
  });

  test("reaches a reader who comes back, once, after what had come", async () => {
    const { call, events } = await begun(EVENTS.slice(0, 2));
    call.abort(reason);
    await sleep(0);
    expect(await events.next()).toEqual({ done: false, value: EVENTS[1] });
    await expect(events.next()).rejects.toBe(reason);
    expect(await events.next()).toMatchObject({ done: true });
  });

  test("does not undo what is complete", async () => {
    const { stream, call, events } = await begun([EVENTS[0]!], EVENTS.slice(1), undefined);
    call.abort(reason);
    expect(await stream.response).toBe(RESPONSE);
    expect(await events.next()).toEqual({ done: false, value: EVENTS[1] });
    expect(await events.next()).toEqual({ done: false, value: EVENTS[2] });
  });
});
