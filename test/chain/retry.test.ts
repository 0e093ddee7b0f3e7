import { AbortError, LLMError, TimeoutError } from "../../src/errors.js";
import { Observer } from "../../src/chain/observer.js";
import { delayBeforeRetry, repeat } from "../../src/chain/retry.js";
import type { RetryInfo } from "../../src/types.js";
import { chainOf, failureOf, newCall, SETTINGS, storyOf, wholeOf } from "../helpers/chain-calls.js";
import { HandClock } from "../helpers/hand-clock.js";
import { reply, ScriptedProvider } from "../helpers/scripted-provider.js";

const fault = (code: string, details = {}) =>
  new LLMError(`It failed: ${code}.`, { code, ...details });

/** How often a request is sent to a single leg that fails in this way for ever. */
async function timesSent(code: string, settings = {}): Promise<number> {
  const provider = new ScriptedProvider([[fault(code)]]);
  const failure = await failureOf(wholeOf(chainOf([[provider, settings]])));
  expect(failure).toMatchObject({ code });
  expect(failure.attempts).toHaveLength(provider.asked.length);
  return provider.asked.length;
}

describe("what is sent again to the same leg", () => {
  test.each([
    "connection_reset",
    "request_timeout",
    "conflict",
    "rate_limited",
    "overloaded",
    "server_error",
    "schema_mismatch",
  ])("%s: up to maxRetries times", async (code) => {
    expect(await timesSent(code)).toBe(4);
    expect(await timesSent(code, { maxRetries: 1 })).toBe(2);
    expect(await timesSent(code, { maxRetries: 0 })).toBe(1);
  });

  test.each(["model_unloaded", "model_crashed"])("%s: once", async (code) => {
    expect(await timesSent(code)).toBe(2);
    expect(await timesSent(code, { maxRetries: 0 })).toBe(1);
  });

  test.each([
    "connection_refused",
    "connect_timeout",
    "dns",
    "tls",
    "first_content_timeout",
    "idle_timeout",
    "stream_interrupted",
    "stream_truncated",
    "model_not_found",
    "model_mismatch",
    "model_not_loaded",
    "model_load_failed",
    "context_length_exceeded",
    "unsupported",
    "auth",
    "bad_request",
    "validation",
    "protocol",
    "empty_response",
    "canceled_by_server",
    "aborted",
    "deadline_exceeded",
    "generation_failed",
  ])("%s: never", async (code) => {
    expect(await timesSent(code)).toBe(1);
  });

  test("what is no error of this package: never", async () => {
    const provider = new ScriptedProvider([[new Error("bug")]]);
    const failure = await failureOf(wholeOf(chainOf([provider])));
    expect(failure).toMatchObject({ code: "generation_failed", cause: new Error("bug") });
    expect(provider.asked).toHaveLength(1);
  });
});

describe("the delay", () => {
  const delays = (settings: Partial<typeof SETTINGS>, random: number) =>
    Array.from({ length: 6 }, (_, retries) =>
      delayBeforeRetry(
        fault("overloaded"),
        retries,
        { ...SETTINGS, maxRetries: 6, ...settings },
        new HandClock(random),
      ),
    );

  test("grows by the base up to the longest", () => {
    expect(delays({}, 1)).toEqual([1, 2, 4, 8, 10, 10]);
    const settings = { retryDelay: 0.1, retryExponentialBase: 10, retryMaxDelay: 50 };
    expect(delays(settings, 1)).toEqual([0.1, 1, 10, 50, 50, 50]);
  });

  test("is anything from 0 to that", () => {
    expect(delays({}, 0)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(delays({}, 0.25)).toEqual([0.25, 0.5, 1, 2, 2.5, 2.5]);
  });

  test("is slept, with a fresh random number each time", async () => {
    const clock = new HandClock(0.5, 0.25, 0.75);
    const provider = new ScriptedProvider([[fault("server_error")]]);
    await failureOf(wholeOf(chainOf([provider], clock)));
    expect(clock.slept).toEqual([0.5, 0.5, 3]);
  });

  test("is what the server asks for, to the point", async () => {
    const clock = new HandClock(0.5);
    const waits = [0, 7.5, 60].map((retryAfter) => [fault("rate_limited", { retryAfter })]);
    const provider = new ScriptedProvider([...waits, reply("here")]);
    const { content, retryCount } = await wholeOf(chainOf([provider], clock));
    expect(clock.slept).toEqual([0, 7.5, 60]);
    expect({ content, retryCount }).toEqual({ content: "here", retryCount: 3 });
  });

  test("is not slept where the server asks for more than six times the longest", async () => {
    const clock = new HandClock();
    const patient = fault("rate_limited", { retryAfter: 60.1 });
    const provider = new ScriptedProvider([[patient], reply("too late")]);
    const failure = await failureOf(wholeOf(chainOf([provider], clock)));
    expect(failure).toMatchObject({ code: "rate_limited", retryAfter: 60.1 });
    expect(clock.slept).toEqual([]);
  });

  test("is not slept where it would pass the deadline", async () => {
    const clock = new HandClock(0.5);
    const provider = new ScriptedProvider([[fault("overloaded")]]);
    // Half a second, a second; two more seconds are not left.
    const endsAt = clock.time + 3.5;
    const failure = await failureOf(wholeOf(chainOf([provider], clock), { endsAt }));
    expect(failure).toMatchObject({ code: "overloaded" });
    expect(clock.slept).toEqual([0.5, 1]);
    expect(failure.attempts).toHaveLength(3);
  });
});

describe("an end during a sleep", () => {
  async function endWhileAsleep(reason?: Error) {
    const clock = new HandClock();
    clock.isStopped = true;
    const work = new AbortController();
    const provider = new ScriptedProvider([[fault("server_error", { status: 503 })]]);
    const opening = failureOf(
      chainOf([provider], clock).open(newCall("Hi", { signal: work.signal })),
    );
    while (clock.slept.length === 0) await new Promise(setImmediate);
    work.abort(reason);
    return { failure: await opening, provider };
  }

  test("by the caller is an AbortError with what had been tried", async () => {
    const { failure, provider } = await endWhileAsleep();
    expect(failure).toBeInstanceOf(AbortError);
    expect(failure.attempts).toMatchObject([{ leg: 0, code: "server_error", status: 503 }]);
    expect(provider.asked).toHaveLength(1);
  });

  test("by the deadline is a TimeoutError with what had been tried", async () => {
    const late = new TimeoutError("Too late.", { code: "deadline_exceeded" });
    const { failure } = await endWhileAsleep(late);
    expect(failure).toBeInstanceOf(TimeoutError);
    expect(failure).toMatchObject({ code: "deadline_exceeded" });
    expect(storyOf(failure.attempts)).toEqual(["0: server_error"]);
  });
});

describe("where another leg can take over", () => {
  test("nobody sleeps: it is asked at once", async () => {
    const clock = new HandClock();
    const busy = new ScriptedProvider([[fault("overloaded", { retryAfter: 1 })]]);
    const other = new ScriptedProvider([reply("here")], { name: "lmstudio" });
    const response = await wholeOf(chainOf([busy, other], clock));
    expect(storyOf(response.attempts)).toEqual(["0: overloaded", "1: ok"]);
    expect(response.retryCount).toBe(0);
    expect(clock.slept).toEqual([]);
  });

  test("the last one is repeated", async () => {
    const clock = new HandClock();
    const busy = new ScriptedProvider([[fault("overloaded")]]);
    const flaky = new ScriptedProvider([[fault("server_error")], reply("here")], {
      name: "lmstudio",
    });
    const response = await wholeOf(chainOf([busy, flaky], clock));
    expect(storyOf(response.attempts)).toEqual(["0: overloaded", "1: server_error", "1: ok"]);
    expect(response.retryCount).toBe(1);
  });

  test("a leg is repeated if the others cannot work here", async () => {
    const busy = new ScriptedProvider([[fault("overloaded")], reply("here")]);
    const absent = new ScriptedProvider([], { name: "mlx", unavailable: "there is no GPU" });
    const response = await wholeOf(chainOf([busy, absent]));
    expect(storyOf(response.attempts)).toEqual(["0: overloaded", "0: ok"]);
    expect(absent.asked).toHaveLength(0);
  });

  test("a leg is repeated if an earlier failure bars the others", async () => {
    const locked = new ScriptedProvider([[fault("auth")]], { defaultModel: "a" });
    const busy = new ScriptedProvider([[fault("overloaded")], reply("here")], {
      defaultModel: "b",
    });
    const alike = new ScriptedProvider([reply("wrong")]);
    const response = await wholeOf(chainOf([locked, busy, alike]));
    expect(storyOf(response.attempts)).toEqual(["0: auth", "1: overloaded", "1: ok"]);
  });
});

test("the hook is told of each repetition before its sleep", async () => {
  const clock = new HandClock(0.5);
  const told: (RetryInfo & { slept: number })[] = [];
  const onRetry = (info: RetryInfo) => told.push({ ...info, slept: clock.slept.length });
  const provider = new ScriptedProvider([
    [fault("server_error", { status: 500 })],
    [fault("overloaded", { retryAfter: 3 })],
    reply("here"),
  ]);
  await wholeOf(chainOf([provider], clock), { observer: new Observer({ onRetry }) });
  expect(told).toMatchObject([
    {
      requestId: "request",
      delay: 0.5,
      slept: 0,
      attempt: { leg: 0, provider: "ollama", code: "server_error", status: 500 },
      error: { code: "server_error" },
    },
    { delay: 3, slept: 1, attempt: { code: "overloaded" }, error: { code: "overloaded" } },
  ]);
});

test("any other work can be repeated by the same rules", async () => {
  const clock = new HandClock(0.5);
  const { signal } = new AbortController();
  let times = 0;
  const work = async () => {
    times += 1;
    if (times < 3) throw fault("rate_limited");
    return "done";
  };
  expect(await repeat(work, { settings: SETTINGS, clock, signal })).toBe("done");
  expect(clock.slept).toEqual([0.5, 1]);
});
