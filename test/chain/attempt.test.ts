import {
  AbortError,
  ConnectionError,
  GenerationError,
  LLMError,
  ProtocolError,
  StreamInterruptedError,
  TimeoutError,
  ValidationError,
} from "../../src/errors.js";
import { Attempt } from "../../src/chain/attempt.js";
import { Observer } from "../../src/chain/observer.js";
import type { ProviderEvent } from "../../src/providers/provider.js";
import {
  chainOf,
  eventsOf,
  failureOf,
  legsOf,
  newCall,
  storyOf,
  wholeOf,
} from "../helpers/chain-calls.js";
import {
  type Act,
  FINISH,
  reply,
  ScriptedProvider,
  START,
  text,
} from "../helpers/scripted-provider.js";

const reset = new ConnectionError("The connection broke.", {
  code: "connection_reset",
  status: 200,
  hint: "Look at the server.",
});
const call = { id: "1", name: "look", arguments: {} };

/** One attempt at a provider that acts like this. */
function attempt(script: Act[]) {
  const provider = new ScriptedProvider([script], { defaultModel: "a" });
  return { provider, route: new Attempt(legsOf([provider])[0]!) };
}

describe("a reply", () => {
  test("adds up to its response", async () => {
    const noted = newCall();
    const logprobs = [{ token: "a", logprob: -1, topLogprobs: [] }];
    const { route } = attempt([
      [START, { type: "reasoning", text: "hm" }],
      [{ type: "reasoning", text: "m" }],
      [text("Hello "), text("there")],
      [{ type: "tool-call", toolCall: call }],
      [
        { type: "tool-call", toolCall: { ...call, id: "2" } },
        { ...FINISH, logprobs, timings: { firstTokenMs: 3 } } as ProviderEvent,
      ],
    ]);
    const events = await eventsOf(await route.open(noted));
    expect(events.map(({ type }) => type)).toEqual([
      "start",
      "reasoning",
      "reasoning",
      "text",
      "text",
      "tool-call",
      "tool-call",
      "finish",
    ]);
    expect((events.at(-1) as { response: unknown }).response).toEqual({
      content: "Hello there",
      reasoning: "hmm",
      toolCalls: [call, { ...call, id: "2" }],
      logprobs,
      provider: "ollama",
      model: "m",
      requestId: "request",
      responseId: "response",
      finishReason: "stop",
      usage: { completionTokens: 2 },
      timings: { firstTokenMs: 3 },
      latencyMs: expect.any(Number),
      retryCount: 0,
      usedFallback: false,
      warnings: [],
      attempts: [
        { leg: 0, provider: "ollama", model: "m", phase: "done", durationMs: expect.any(Number) },
      ],
    });
  });

  test("is begun at its first content: a start or an empty batch is none", async () => {
    const { provider, route } = attempt([[START], [], [], [text("a")], [text("b")], [FINISH]]);
    const begun = await route.open(newCall());
    expect(await begun.next()).toEqual([expect.objectContaining({ type: "start" }), text("a")]);
    expect(provider.open).toBe(1);
    expect(await begun.next()).toEqual([text("b")]);
    expect((await begun.next())?.map(({ type }) => type)).toEqual(["finish"]);
    expect(await begun.next()).toBeUndefined();
    expect(await begun.next()).toBeUndefined();
    expect(provider.open).toBe(0);
  });

  test("may be empty", async () => {
    const { route } = attempt([[START], [FINISH]]);
    const events = await eventsOf(await route.open(newCall()));
    expect(events.map(({ type }) => type)).toEqual(["start", "finish"]);
  });

  test("may come all at once", async () => {
    const { route, provider } = attempt([[START, text("a"), FINISH]]);
    const events = await eventsOf(await route.open(newCall()));
    expect(events.map(({ type }) => type)).toEqual(["start", "text", "finish"]);
    expect(provider.open).toBe(0);
  });
});

describe("what the provider lacks", () => {
  test("is refused before anything is sent", async () => {
    const { route, provider } = attempt(reply("never"));
    const request = { messages: "Hi", responseFormat: { type: "json_object" as const } };
    const failure = await failureOf(route.open(newCall(request)));
    expect(failure).toBeInstanceOf(ValidationError);
    expect(failure).toMatchObject({ code: "unsupported", attempts: [{ code: "unsupported" }] });
    expect(provider.asked).toHaveLength(0);
  });

  test("may be had from the next leg", async () => {
    const plain = new ScriptedProvider([reply("never")]);
    const able = new ScriptedProvider([reply('{"is":"here"}')], {
      capabilities: new Set(["responseFormat"]),
    });
    const request = { messages: "Hi", responseFormat: { type: "json_object" as const } };
    await eventsOf(await chainOf([plain, able]).open(newCall(request)));
    expect(able.asked).toHaveLength(1);
  });
});

describe("after the first content was delivered", () => {
  const contents: [string, ProviderEvent][] = [
    ["text", text("half")],
    ["reasoning", { type: "reasoning", text: "hm" }],
    ["a tool call", { type: "tool-call", toolCall: call }],
  ];

  test.each(contents)("no other leg is asked: %s", async (_name, content) => {
    const other = new ScriptedProvider([reply("never")]);
    const first = new ScriptedProvider([[[START], [content], reset]]);
    const begun = await chainOf([first, other]).open(newCall());
    expect((await begun.next())?.at(-1)).toEqual(content);
    expect(await failureOf(begun.next())).toBeInstanceOf(StreamInterruptedError);
    expect(first.asked).toHaveLength(1);
    expect(other.asked).toHaveLength(0);
  });

  test("a failure has the text so far, and what broke it", async () => {
    const { route } = attempt([[START], [text("half ")], [text("a word")], reset]);
    const failure = await failureOf(route.open(newCall()).then(eventsOf));
    expect(failure).toMatchObject({
      name: "StreamInterruptedError",
      code: "stream_interrupted",
      message: "The reply broke off: The connection broke.",
      partial: "half a word",
      provider: "ollama",
      url: "http://ollama",
      model: "m",
      status: 200,
      hint: "Look at the server.",
      requestId: "request",
      cause: { code: "connection_reset" },
      attempts: [{ leg: 0, model: "m", phase: "stream", code: "stream_interrupted", status: 200 }],
    });
  });

  test("a failure without any text has no partial", async () => {
    const { route } = attempt([[START], [contents[1]![1]], reset]);
    const failure = await failureOf(route.open(newCall()).then(eventsOf));
    expect(failure).toMatchObject({ code: "stream_interrupted" });
    expect(failure.partial).toBeUndefined();
  });

  test.each([
    ["the caller's end", new AbortError("Enough."), "AbortError", "aborted"],
    [
      "the deadline",
      new TimeoutError("Too late.", { code: "deadline_exceeded" }),
      "TimeoutError",
      "deadline_exceeded",
    ],
  ])("%s stays what it is, with the text so far", async (_name, reason, name, code) => {
    const work = new AbortController();
    const { route } = attempt([[START], [text("half")], "silence"]);
    const begun = await route.open(newCall("Hi", { signal: work.signal }));
    await begun.next();
    const ending = failureOf(begun.next());
    work.abort(reason);
    expect(await ending).toMatchObject({ name, code, partial: "half", attempts: [{ code }] });
  });
});

describe("a start event", () => {
  test("does not lock in, and comes only from the leg that answers", async () => {
    const first = new ScriptedProvider([
      [[{ ...START, model: "of the first" } as never], [], reset],
    ]);
    const second = new ScriptedProvider([reply("here")], { name: "lmstudio" });
    const events = await eventsOf(await chainOf([first, second]).open(newCall()));
    expect(events.filter(({ type }) => type === "start")).toEqual([
      expect.objectContaining({ provider: "lmstudio", model: "m" }),
    ]);
    expect((events.at(-1) as { response: unknown }).response).toMatchObject({
      attempts: [{ model: "of the first", phase: "prompt", code: "connection_reset" }, { leg: 1 }],
    });
  });
});

describe("a call for the whole reply", () => {
  test("gets that of the next leg if the first breaks off, without a trace of the first", async () => {
    const first = new ScriptedProvider([
      [
        [{ type: "start", model: "x", warnings: ["of the first"] }],
        [text("half "), { type: "reasoning", text: "hm" }],
        [{ type: "tool-call", toolCall: call }],
        reset,
      ],
    ]);
    const second = new ScriptedProvider([reply("here it is")], { name: "lmstudio" });
    const response = await wholeOf(chainOf([first, second]));
    expect(response).toMatchObject({ content: "here it is", model: "m", warnings: [] });
    expect(response.reasoning).toBeUndefined();
    expect(response.toolCalls).toBeUndefined();
    expect(storyOf(response.attempts)).toEqual(["0: stream_interrupted", "1: ok"]);
  });

  test("fails with the text so far if there is no other leg", async () => {
    const { provider, route } = attempt([[START], [text("half ")], [text("a word")], reset]);
    const failure = await failureOf(wholeOf(route));
    expect(failure).toBeInstanceOf(StreamInterruptedError);
    expect(failure).toMatchObject({ partial: "half a word", attempts: [{ phase: "stream" }] });
    expect(provider.asked).toHaveLength(1);
  });

  test("gets only the end of it", async () => {
    const { route } = attempt(reply("a b c d"));
    const begun = await route.open(newCall("Hi", { wantsWhole: true }));
    expect(await begun.next()).toEqual([
      { type: "finish", response: expect.objectContaining({ content: "a b c d" }) },
    ]);
    expect(await begun.next()).toBeUndefined();
  });
});

describe("a provider that misbehaves", () => {
  test("by ending without a finish fails the attempt", async () => {
    for (const script of [[], [[]], [[START]]] as Act[][]) {
      const failure = await failureOf(attempt(script).route.open(newCall()));
      expect(failure).toBeInstanceOf(ProtocolError);
      expect(failure).toMatchObject({ code: "stream_truncated", attempts: [{ leg: 0 }] });
    }
    const late = attempt([[START], [text("half")]]).route;
    const failure = await failureOf(late.open(newCall()).then(eventsOf));
    expect(failure).toMatchObject({
      name: "StreamInterruptedError",
      partial: "half",
      cause: { code: "stream_truncated" },
    });
  });

  test("by throwing something else fails it with an error of this package", async () => {
    for (const thrown of [new TypeError("bug"), "a text", undefined, null, 5]) {
      const failure = await failureOf(attempt([{ throws: thrown }]).route.open(newCall()));
      expect(failure).toBeInstanceOf(GenerationError);
      expect(failure).toMatchObject({ code: "generation_failed", attempts: [{ leg: 0 }] });
      expect(failure.message).toBe(`Generating failed: ${String(thrown)}`);
    }
  });

  test("by throwing at once does, too", async () => {
    const { provider, route } = attempt([]);
    provider.stream = () => {
      throw new LLMError("Not even begun.", { code: "protocol" });
    };
    expect(await failureOf(route.open(newCall()))).toMatchObject({ code: "protocol" });
  });

  test.each<[string, Act[]]>([
    ["throwing", [[FINISH], new Error("late")]],
    ["text", [[FINISH], [text("late")]]],
    ["text in the same batch", [[FINISH, text("late")]]],
    ["another finish", [[FINISH, FINISH], [FINISH]]],
    ["silence", [[FINISH], "silence"]],
  ])("after its finish does not change the reply: %s", async (_name, end) => {
    for (const wantsWhole of [false, true]) {
      const noted = newCall("Hi", { wantsWhole });
      const { provider, route } = attempt([[START], [text("here")], ...end]);
      const events = await eventsOf(await route.open(noted));
      const last = events.at(-1) as { response: { content: string; attempts: unknown[] } };
      expect(last.response).toMatchObject({ content: "here", attempts: [{ phase: "done" }] });
      expect(events.filter(({ type }) => type === "finish")).toHaveLength(1);
      expect(noted.ends).toEqual([{ response: last.response }]);
      expect(noted.attempts).toHaveLength(1);
      expect(provider.open).toBe(0);
    }
  });

  test.each<[string, () => Promise<never>]>([
    ["hangs", () => new Promise(() => {})],
    ["fails", () => Promise.reject(new Error("stuck"))],
    [
      "throws",
      () => {
        throw new Error("stuck");
      },
    ],
  ])("whose cleaning up %s does not hold up anything", async (_name, cleanUp) => {
    const cleaningUpBadly = (batches: ProviderEvent[][]) => {
      const { provider, route } = attempt([]);
      const next = async () => {
        const value = batches.shift();
        if (!value) throw reset;
        return { done: false, value };
      };
      const events = { [Symbol.asyncIterator]: () => ({ next, return: cleanUp }) };
      return Object.assign(provider, { stream: () => events }) && route;
    };
    const good = cleaningUpBadly([[START, text("here")], [FINISH]]);
    expect(await eventsOf(await good.open(newCall()))).toHaveLength(3);
    const broken = cleaningUpBadly([[START, text("half")]]);
    expect(await failureOf(broken.open(newCall()).then(eventsOf))).toMatchObject({
      partial: "half",
    });
  });
});

describe("aborting", () => {
  test("before the start sends nothing", async () => {
    const { provider, route } = attempt(reply("never"));
    const failure = await failureOf(route.open(newCall("Hi", { signal: AbortSignal.abort("no") })));
    expect(failure).toBeInstanceOf(AbortError);
    expect(failure).toMatchObject({ cause: "no", attempts: [{ leg: 0, code: "aborted" }] });
    expect(provider.asked).toHaveLength(0);
  });

  test("before the first reading leaves what came, then ends", async () => {
    const work = new AbortController();
    const noted = newCall("Hi", { signal: work.signal });
    const { provider, route } = attempt([[START], [text("half")], "silence"]);
    const begun = await route.open(noted);
    work.abort();
    expect(await begun.next()).toHaveLength(2);
    expect(await failureOf(begun.next())).toMatchObject({ code: "aborted", partial: "half" });
    expect(await begun.next()).toBeUndefined();
    expect(noted.ends).toHaveLength(1);
    expect(provider.open).toBe(0);
  });

  test("after the end changes nothing", async () => {
    const work = new AbortController();
    const noted = newCall("Hi", { signal: work.signal });
    const begun = await attempt(reply("here")).route.open(noted);
    await eventsOf(begun);
    work.abort();
    expect(await begun.next()).toBeUndefined();
    expect(noted.ends).toEqual([{ response: expect.objectContaining({ content: "here" }) }]);
  });

  test.each([
    ["ends", () => {}],
    [
      "fails",
      () => {
        throw reset;
      },
    ],
  ])("is told even if the provider just %s", async (_name, end) => {
    const work = new AbortController();
    const { provider, route } = attempt([]);
    provider.stream = async function* (_request, { signal }) {
      yield [START];
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      end();
    };
    const opening = failureOf(route.open(newCall("Hi", { signal: work.signal })));
    await new Promise(setImmediate);
    work.abort(new Error("enough"));
    expect(await opening).toMatchObject({ name: "AbortError", cause: new Error("enough") });
  });

  test("ends an attempt by its own signal, so that the next leg has a fresh one", async () => {
    jest.useFakeTimers();
    try {
      const silent = new ScriptedProvider([[[START], "silence"]]);
      const second = new ScriptedProvider([[[START], 10, [text("here")], [FINISH]]]);
      const opening = chainOf([silent, second]).open(newCall()).then(eventsOf);
      await jest.advanceTimersByTimeAsync(300_000);
      await jest.advanceTimersByTimeAsync(10);
      expect((await opening).at(-1)).toMatchObject({ response: { content: "here" } });
      expect(silent.asked[0]!.context.signal.aborted).toBe(true);
      expect(second.asked[0]!.context.signal.aborted).toBe(false);
    } finally {
      jest.useRealTimers();
    }
  });

  test("leaves no listener on the signal of the call, however attempts end", async () => {
    const work = new AbortController();
    const { signal } = work;
    const added = jest.spyOn(signal, "addEventListener");
    const removed = jest.spyOn(signal, "removeEventListener");
    const busy = new LLMError("Busy.", { code: "overloaded" });
    const legs = [
      new ScriptedProvider([[reset]]),
      new ScriptedProvider([[busy], [[START], [text("half")], reset], reply("here")]),
    ];
    const chain = chainOf([
      [legs[0]!, { maxConcurrent: 1 }],
      [legs[1]!, { maxConcurrent: 1 }],
    ]);
    const request = { messages: "Hi", logitBias: { 1: 1 } };
    await failureOf(chain.open(newCall(request, { signal })));
    await failureOf(chain.open(newCall("Hi", { signal })).then(eventsOf));
    await eventsOf(await chain.open(newCall("Hi", { signal })));
    await new Promise(setImmediate);
    expect(added).toHaveBeenCalled();
    const counted = (calls: unknown[][]) => calls.map(([, listener]) => listener);
    for (const listener of counted(added.mock.calls)) {
      expect(counted(removed.mock.calls)).toContain(listener);
    }
  });
});

test("the end is told once for a reply that had begun, and not otherwise", async () => {
  const broken = newCall();
  const { route } = attempt([[START], [text("half")], reset]);
  const failure = await failureOf(route.open(broken).then(eventsOf));
  expect(broken.ends).toEqual([{ error: failure }]);

  const never = newCall();
  await failureOf(attempt([reset]).route.open(never));
  // Whoever opened the reply tells it, because another route may still answer.
  expect(never.ends).toEqual([]);
});

test("attempts are told to hooks when they are over", async () => {
  const told: unknown[] = [];
  const observer = new Observer({ onAttempt: (info) => void told.push(info) });
  const begun = await attempt(reply("here")).route.open(newCall("Hi", { observer }));
  expect(told).toEqual([]);
  await eventsOf(begun);
  expect(told).toEqual([
    { requestId: "request", attempt: expect.objectContaining({ phase: "done", model: "m" }) },
  ]);
});
