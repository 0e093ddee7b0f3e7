import { setTimeout as sleep } from "node:timers/promises";
import { untilAborted } from "../src/abort.js";
import { TimeoutError } from "../src/errors.js";
import { type TimeLimits, withTimeLimits } from "../src/time-limits.js";
import type { StreamEvent } from "../src/types.js";

const START = { type: "start" } as StreamEvent;
const TEXT: StreamEvent = { type: "text", text: "a" };

/** Delivers events, each after its delay in milliseconds, and ends with the signal's reason. */
async function* deliver(script: [number, StreamEvent][], signal: AbortSignal) {
  for (const [delay, event] of script) {
    await untilAborted(sleep(delay), signal);
    yield event;
  }
}

async function read(
  script: [number, StreamEvent][],
  limits: TimeLimits,
  reader = async () => {},
): Promise<number> {
  const call = new AbortController();
  let count = 0;
  for await (const _ of withTimeLimits(deliver(script, call.signal), limits, call)) {
    count += 1;
    await reader();
  }
  return count;
}

const GENEROUS = { firstToken: 10, idle: 10 };

test("events in time pass through", async () => {
  expect(
    await read(
      [
        [0, START],
        [5, TEXT],
        [5, TEXT],
      ],
      { ...GENEROUS, deadline: 10 },
    ),
  ).toBe(3);
});

test("no first content in time is a first_content_timeout; a start is no content", async () => {
  const reading = read(
    [
      [0, START],
      [500, TEXT],
    ],
    { ...GENEROUS, firstToken: 0.03 },
  );
  await expect(reading).rejects.toMatchObject({ code: "first_content_timeout" });
  await expect(reading).rejects.toBeInstanceOf(TimeoutError);
});

test("silence after the first content is an idle_timeout", async () => {
  const reading = read(
    [
      [0, TEXT],
      [500, TEXT],
    ],
    { ...GENEROUS, idle: 0.03 },
  );
  await expect(reading).rejects.toMatchObject({ code: "idle_timeout" });
});

test("the deadline holds although content keeps coming", async () => {
  const script = Array.from({ length: 50 }, (): [number, StreamEvent] => [10, TEXT]);
  const reading = read(script, { ...GENEROUS, deadline: 0.05 });
  await expect(reading).rejects.toMatchObject({ code: "deadline_exceeded" });
});

test("a slow reader is no silence", async () => {
  const limits = { firstToken: 0.03, idle: 0.03 };
  expect(
    await read(
      [
        [0, TEXT],
        [0, TEXT],
        [0, TEXT],
      ],
      limits,
      () => sleep(60),
    ),
  ).toBe(3);
});

test("leaving the loop ends the source", async () => {
  let ended = false;
  async function* endless() {
    try {
      for (;;) yield TEXT;
    } finally {
      ended = true;
    }
  }
  for await (const _ of withTimeLimits(endless(), GENEROUS, new AbortController())) break;
  expect(ended).toBe(true);
});
