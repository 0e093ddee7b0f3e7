import { Breaker, Breakers } from "../../src/chain/breaker.js";
import { Fallback } from "../../src/chain/fallback.js";
import { breakerOf } from "../../src/chain/leg.js";
import {
  AbortError,
  AllProvidersFailedError,
  ConnectionError,
  GenerationError,
  LLMError,
} from "../../src/errors.js";
import {
  eventsOf,
  failureOf,
  type Legs,
  legsOf,
  newCall,
  storyOf,
  wholeOf,
} from "../helpers/chain-calls.js";
import type { StreamEvent } from "../../src/types.js";
import { HandClock } from "../helpers/hand-clock.js";
import {
  type Act,
  reply,
  type ScriptedOptions,
  ScriptedProvider,
  START,
  text,
} from "../helpers/scripted-provider.js";

const fault = (code: string) => new LLMError(`It failed: ${code}.`, { code });
const broken = fault("server_error");
const refused = new ConnectionError("Nobody listens.", { code: "connection_refused" });

describe("a breaker", () => {
  const clock = new HandClock();
  let breaker: Breaker;
  beforeEach(() => {
    breaker = new Breaker(clock);
  });
  const fail = (times: number, error: LLMError = broken) => {
    for (let count = 0; count < times; count++) breaker.enter()(error);
  };
  const succeed = (times: number) => {
    for (let count = 0; count < times; count++) breaker.enter()(undefined);
  };

  test("begins closed", () => {
    expect(breaker.admits).toBe(true);
    expect(breaker.report()).toEqual({ state: "closed", failures: 0 });
  });

  test("opens at the third failure", () => {
    fail(2);
    expect(breaker.report()).toEqual({ state: "closed", failures: 2, code: "server_error" });
    fail(1);
    expect(breaker.admits).toBe(false);
    expect(breaker.report()).toEqual({
      state: "open",
      failures: 3,
      code: "server_error",
      opensIn: 10,
    });
  });

  test("opens only if more than half of the requests failed", () => {
    succeed(5);
    fail(5);
    expect(breaker.report()).toMatchObject({ state: "closed", failures: 5 });
    fail(1);
    expect(breaker.report().state).toBe("open");
  });

  test("weighs successes that came between or after, too", () => {
    fail(2);
    succeed(3);
    fail(1);
    expect(breaker.report()).toMatchObject({ state: "closed", failures: 3 });
    fail(1);
    expect(breaker.report()).toMatchObject({ state: "open", failures: 4 });
  });

  test("opens when it is refused twice in a row, whatever was before", () => {
    succeed(10);
    fail(1, refused);
    succeed(1);
    fail(1, refused);
    expect(breaker.admits).toBe(true);
    fail(1, refused);
    expect(breaker.report()).toMatchObject({ state: "open", code: "connection_refused" });
  });

  test("forgets what is older than a minute", () => {
    fail(2);
    clock.time += 60;
    expect(breaker.report()).toEqual({ state: "closed", failures: 0 });
    fail(2);
    expect(breaker.report()).toMatchObject({ state: "closed", failures: 2 });
  });

  test.each([
    "auth",
    "model_not_found",
    "model_mismatch",
    "bad_request",
    "validation",
    "unsupported",
    "context_length_exceeded",
    "aborted",
    "closed",
    "deadline_exceeded",
  ])("does not count %s", (code) => {
    fail(5, fault(code));
    expect(breaker.report()).toEqual({ state: "closed", failures: 0 });
  });

  test.each([
    "connection_failed",
    "connection_reset",
    "connect_timeout",
    "dns",
    "tls",
    "first_content_timeout",
    "idle_timeout",
    "stream_interrupted",
    "stream_truncated",
    "server_error",
    "overloaded",
    "rate_limited",
    "request_timeout",
    "model_crashed",
    "protocol",
    "empty_response",
  ])("counts %s", (code) => {
    fail(3, fault(code));
    expect(breaker.report()).toMatchObject({ state: "open", failures: 3, code });
  });

  test("is half open ten seconds later, for one request at a time", () => {
    fail(3);
    clock.time += 9.9;
    expect(breaker.admits).toBe(false);
    expect(breaker.report().opensIn).toBeCloseTo(0.1);
    clock.time += 0.1;
    expect(breaker.admits).toBe(true);
    expect(breaker.report()).toEqual({ state: "half-open", failures: 3, code: "server_error" });
    const leave = breaker.enter();
    expect(breaker.admits).toBe(false);
    leave(fault("auth"));
    expect(breaker.admits).toBe(true);
  });

  test("closes when that request succeeds, and begins anew", () => {
    fail(3);
    clock.time += 10;
    succeed(1);
    expect(breaker.report()).toEqual({ state: "closed", failures: 0 });
    fail(2);
    expect(breaker.report().state).toBe("closed");
  });

  test("opens again when that request fails", () => {
    fail(3);
    clock.time += 10;
    fail(1);
    expect(breaker.report()).toMatchObject({ state: "open", opensIn: 10 });
  });

  test("lets another request find out if the first has no end", () => {
    fail(3);
    clock.time += 10;
    breaker.enter();
    clock.time += 59;
    expect(breaker.admits).toBe(false);
    clock.time += 1;
    expect(breaker.admits).toBe(true);
    breaker.enter();
    expect(breaker.admits).toBe(false);
  });

  test("remembers what opened it for as long as it is not closed", () => {
    fail(3);
    clock.time += 3600;
    expect(breaker.report()).toEqual({ state: "half-open", failures: 3, code: "server_error" });
  });

  test("is not fooled by requests that were sent before it opened", () => {
    const older = breaker.enter();
    fail(3);
    clock.time += 10;
    const probe = breaker.enter();
    older(fault("auth"));
    expect(breaker.admits).toBe(false);
    probe(undefined);
    expect(breaker.report().state).toBe("closed");
  });
});

describe("the breakers of a client", () => {
  test("are one for each model of each server", () => {
    const breakers = new Breakers(new HandClock());
    const one = breakers.of("http://a", "m");
    expect(breakers.of("http://a", "m")).toBe(one);
    expect(breakers.of("http://a", "n")).not.toBe(one);
    expect(breakers.of("http://b", "m")).not.toBe(one);
    expect(breakers.of("http://a", undefined)).not.toBe(one);
  });

  test("report the one of a server that fails most", () => {
    const breakers = new Breakers(new HandClock());
    expect(breakers.reportOf("http://a")).toEqual({ state: "closed", failures: 0 });
    breakers.of("http://a", "good").enter()(undefined);
    breakers.of("http://a", "bad").enter()(refused);
    breakers.of("http://a", "bad").enter()(refused);
    breakers.of("http://b", "good").enter()(undefined);
    expect(breakers.reportOf("http://a")).toMatchObject({ state: "open", failures: 2 });
    expect(breakers.reportOf("http://b")).toMatchObject({ state: "closed", failures: 0 });
  });

  test("forget those that were not used for longest, once there are a thousand", () => {
    const breakers = new Breakers(new HandClock());
    const used = breakers.of("http://a", "used");
    const unused = breakers.of("http://a", "unused");
    for (let count = 0; count < 5000; count++) {
      const breaker = breakers.of("http://a", `m${count}`);
      breaker.enter()(refused);
      breaker.enter()(refused);
      breakers.of("http://a", "used");
    }
    expect(breakers.of("http://a", "used")).toBe(used);
    expect(breakers.of("http://a", "unused")).not.toBe(unused);
    expect(breakers.of("http://a", "m4500").report().state).toBe("open");
    expect(breakers.of("http://a", "m100").report().state).toBe("closed");
  });
});

describe("in a chain", () => {
  let clock: HandClock;
  beforeEach(() => {
    clock = new HandClock();
  });
  const acting = (script: Act[], options?: ScriptedOptions) =>
    new ScriptedProvider([script], options);
  const chained = (legs: Legs) => {
    const all = legsOf(legs, clock);
    return { chain: new Fallback(all, clock), legs: all };
  };

  test("a leg that keeps failing is held back for a while", async () => {
    const down = acting([refused]);
    const { chain } = chained([down, acting(reply("here"), { name: "lmstudio" })]);
    await wholeOf(chain);
    await wholeOf(chain);
    const { attempts, content } = await wholeOf(chain);
    expect(content).toBe("here");
    expect(storyOf(attempts)).toEqual([
      "0: it is held back after 2 failures (the last: connection_refused), for 10 s more",
      "1: ok",
    ]);
    expect(down.asked).toHaveLength(2);
    clock.time += 10;
    expect(storyOf((await wholeOf(chain)).attempts)).toEqual(["0: connection_refused", "1: ok"]);
    expect(down.asked).toHaveLength(3);
  });

  test("one request at a time finds out whether a leg works again", async () => {
    const flaky = new ScriptedProvider([
      [refused],
      [refused],
      [[START], 1, [text("back")], "silence"],
      reply("back"),
    ]);
    const { chain } = chained([flaky, acting(reply("here"), { name: "lmstudio" })]);
    await wholeOf(chain);
    await wholeOf(chain);
    clock.time += 10;
    const work = new AbortController();
    const probe = await chain.open(newCall("Hi", { signal: work.signal }));
    expect(storyOf((await wholeOf(chain)).attempts)).toEqual([
      "0: it is held back after 2 failures (the last: connection_refused), it is being tried out",
      "1: ok",
    ]);
    work.abort();
    await failureOf(eventsOf(probe));
    // An abort says nothing of the server: so the next one tries it out.
    expect(storyOf((await wholeOf(chain)).attempts)).toEqual(["0: ok"]);
    expect(storyOf((await wholeOf(chain)).attempts)).toEqual(["0: ok"]);
  });

  test("of many requests at once only one finds out, whichever leg it is", async () => {
    const first = acting([refused]);
    const second = acting([refused], { name: "lmstudio" });
    const { chain } = chained([
      first,
      [second, { maxConcurrent: 1 }],
      acting(reply("here"), { name: "mlx" }),
    ]);
    for (let call = 0; call < 2; call++) await wholeOf(chain);
    clock.time += 10;
    await Promise.all(Array.from({ length: 20 }, () => wholeOf(chain)));
    expect([first.asked.length, second.asked.length]).toEqual([3, 3]);
  });

  test("a reply counts at its end: one that breaks off is a failure", async () => {
    const breaking = acting([[START], [text("half")], broken]);
    const { chain, legs } = chained([breaking]);
    const begun = await chain.open(newCall());
    expect(breakerOf(legs[0]!).report().failures).toBe(0);
    await failureOf(eventsOf(begun));
    expect(breakerOf(legs[0]!).report()).toMatchObject({ failures: 1, code: "stream_interrupted" });
  });

  test("a success counts at its end as well", async () => {
    const { chain, legs } = chained([new ScriptedProvider([[refused], [refused], reply("a b")])]);
    await failureOf(wholeOf(chain));
    await failureOf(wholeOf(chain));
    const begun = await chain.open(newCall());
    expect(breakerOf(legs[0]!).report().state).toBe("open");
    await eventsOf(begun);
    expect(breakerOf(legs[0]!).report().state).toBe("closed");
  });

  test("all legs are tried if all of them are held back", async () => {
    const first = acting([refused]);
    const second = acting([refused], { name: "lmstudio" });
    const { chain } = chained([first, second]);
    for (let count = 0; count < 4; count++) {
      const failure = await failureOf(wholeOf(chain));
      expect(storyOf(failure.attempts)).toEqual(["0: connection_refused", "1: connection_refused"]);
    }
  });

  test("a leg alone is never held back", async () => {
    const alone = acting([refused]);
    const { chain } = chained([alone]);
    for (let count = 0; count < 4; count++) await failureOf(wholeOf(chain));
    expect(alone.asked).toHaveLength(4);
  });

  test("a leg is tried if those that are not held back cannot work here", async () => {
    const down = acting([refused]);
    const absent = acting([], { name: "mlx", unavailable: "there is no GPU" });
    const { chain } = chained([down, absent]);
    for (let count = 0; count < 3; count++) await failureOf(wholeOf(chain));
    expect(down.asked).toHaveLength(3);
  });

  test("the error names a leg that was held back", async () => {
    const first = acting([refused]);
    const second = acting([new GenerationError("Out of luck.")], { name: "lmstudio" });
    const { chain } = chained([first, second]);
    await failureOf(wholeOf(chain));
    await failureOf(wholeOf(chain));
    const failure = await failureOf(wholeOf(chain));
    expect(failure).toBeInstanceOf(AllProvidersFailedError);
    expect(failure.message).toBe(
      "No provider could answer.\n  ollama: skipped, because it is held back after 2 failures " +
        "(the last: connection_refused), for 10 s more.\n  lmstudio: Out of luck.",
    );
    expect(failure.cause).toMatchObject({ message: "Out of luck." });
  });

  test("a leg that is held back is no reason not to repeat another one", async () => {
    const down = acting([refused], { name: "lmstudio" });
    const busy = new ScriptedProvider([[broken], [broken], [fault("overloaded")], reply("here")]);
    const { chain } = chained([busy, down]);
    await failureOf(wholeOf(chain));
    await failureOf(wholeOf(chain));
    expect(down.asked).toHaveLength(2);
    const { attempts } = await wholeOf(chain);
    expect(storyOf(attempts)).toEqual(["0: overloaded", "0: ok"]);
  });

  test("models of the same server are held back apart from each other", async () => {
    const server = new ScriptedProvider([[refused], [refused], reply("here")]);
    const { chain } = chained([
      server,
      acting(reply("there"), { name: "lmstudio", defaultModel: "b" }),
    ]);
    const ask = async (model: string) => {
      const events = await eventsOf(await chain.open(newCall({ messages: "Hi", model })));
      const last = events.at(-1) as StreamEvent & { type: "finish" };
      return storyOf(last.response.attempts);
    };
    await ask("x");
    await ask("x");
    expect((await ask("x"))[0]).toContain("held back");
    expect(await ask("y")).toEqual(["0: ok"]);
  });

  test("what was never sent says nothing of a server", async () => {
    const down = new ScriptedProvider([[refused], [refused], [[START], [text("a")], "silence"]]);
    const { chain, legs } = chained([
      [down, { maxConcurrent: 1 }],
      acting(reply("here"), { name: "lmstudio" }),
    ]);
    await wholeOf(chain);
    await wholeOf(chain);
    clock.time += 10;
    const work = new AbortController();
    const probe = await chain.open(newCall("Hi", { signal: work.signal }));
    const refusedHere = { messages: "Hi", responseFormat: { type: "json_object" as const } };
    await failureOf(new Fallback([legs[0]!], clock).open(newCall(refusedHere)));
    const left = new AbortController();
    const waiting = failureOf(
      new Fallback([legs[0]!], clock).open(newCall("Hi", { signal: left.signal })),
    );
    left.abort();
    expect(await waiting).toBeInstanceOf(AbortError);
    // Still one that finds out.
    expect(breakerOf(legs[0]!).admits).toBe(false);
    work.abort();
    await failureOf(eventsOf(probe));
  });
});
