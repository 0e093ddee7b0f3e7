import { TimeoutError } from "../../src/errors.js";
import type { LegSettings } from "../../src/config/settings.js";
import type { LLMError } from "../../src/errors.js";
import type { LLMRequest } from "../../src/types.js";
import { chainOf, eventsOf, newCall, streamOf } from "../helpers/chain-calls.js";
import {
  type Act,
  FINISH,
  reply,
  type ScriptedOptions,
  ScriptedProvider,
  START,
  text,
} from "../helpers/scripted-provider.js";

// Time is moved by hand; promises are not.
beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask", "setImmediate", "performance"] });
});
afterEach(() => {
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

const LIMITS = { firstTokenTimeout: 5, timeout: 1 };

interface Given extends ScriptedOptions {
  request?: Partial<LLMRequest>;
  settings?: Partial<LegSettings>;
}

/** Reads a reply; tells at any moment how that ended, if it has. */
function reading(script: Act[], { request, settings, ...options }: Given = {}) {
  const provider = new ScriptedProvider([script], options);
  const chain = chainOf([[provider, { ...LIMITS, ...settings }]]);
  const state: { text?: string; error?: LLMError } = {};
  chain
    .open(newCall({ messages: "Hi", ...request } as LLMRequest))
    .then(eventsOf)
    .then(
      (events) => {
        state.text = events.map((event) => (event.type === "text" ? event.text : "")).join("");
      },
      (error: LLMError) => {
        state.error = error;
      },
    );
  return { state, provider };
}

const pass = (seconds: number) => jest.advanceTimersByTimeAsync(seconds * 1000);

describe("before the first content", () => {
  test.each<[string, Act[]]>([
    ["nothing", ["silence"]],
    ["a start", [[START], "silence"]],
    ["empty batches", [[START], [], 3000, [], 1500, [], "silence"]],
  ])("firstTokenTimeout counts from the sending: %s", async (_name, script) => {
    const { state, provider } = reading(script);
    await pass(4.9);
    expect(state).toEqual({});
    await pass(0.2);
    expect(state.error).toBeInstanceOf(TimeoutError);
    expect(state.error).toMatchObject({
      code: "first_content_timeout",
      message: "No content came for 5 s.",
      hint: expect.stringContaining("firstTokenTimeout"),
      attempts: [{ code: "first_content_timeout" }],
    });
    expect(provider.open).toBe(0);
  });

  test("what comes in time is fine", async () => {
    const { state } = reading([4900, [START], [text("here"), FINISH]]);
    await pass(4.95);
    expect(state.text).toBe("here");
  });

  test("each attempt has all of its time", async () => {
    const slow: Act[] = [4000, [START], [text("here"), FINISH]];
    const providers = [
      new ScriptedProvider([["silence"]]),
      new ScriptedProvider([slow], { name: "lmstudio" }),
    ];
    const legs = providers.map((each) => [each, LIMITS] as const);
    let answered = false;
    const opening = chainOf(legs.map(([provider, settings]) => [provider, settings]))
      .open(newCall())
      .then(eventsOf)
      .then((events) => {
        answered = true;
        return events;
      });
    await pass(8.9);
    expect(answered).toBe(false);
    await pass(0.2);
    expect((await opening).at(-1)).toMatchObject({
      response: { attempts: [{ code: "first_content_timeout" }, { phase: "done" }] },
    });
  });

  test("a leg that is waited for is not asked again", async () => {
    const { state, provider } = reading(["silence"], { settings: { maxRetries: 3 } });
    await pass(20);
    expect(state.error).toMatchObject({ code: "first_content_timeout" });
    expect(provider.asked).toHaveLength(1);
  });
});

describe("after the first content", () => {
  test("silence is an idle_timeout, with the text so far", async () => {
    const { state, provider } = reading([[START], [text("half")], "silence"]);
    await pass(0.9);
    expect(state).toEqual({});
    await pass(0.2);
    expect(state.error).toBeInstanceOf(TimeoutError);
    expect(state.error).toMatchObject({
      code: "idle_timeout",
      message: "No more content came for 1 s.",
      partial: "half",
      attempts: [{ code: "idle_timeout", phase: "stream" }],
    });
    expect(provider.open).toBe(0);
  });

  test("each piece of content begins a new silence", async () => {
    const words = Array.from({ length: 10 }, (): Act[] => [[text("a")], 900]).flat();
    const { state } = reading([[START], ...words, [FINISH]]);
    await pass(9.1);
    expect(state.text).toBe("aaaaaaaaaa");
  });

  test("content that cannot be delivered yet begins one too, also as the first", async () => {
    const progress: Act = [{ type: "progress" }];
    const parts = Array.from({ length: 20 }, (): Act[] => [progress, 900]).flat();
    const { state } = reading([[START], 4000, ...parts, [text("call"), FINISH]]);
    await pass(22.1);
    expect(state.text).toBe("call");
    const stuck = reading([[START], progress, "silence"]);
    await pass(1.1);
    expect(stuck.state.error).toMatchObject({ code: "idle_timeout" });
  });

  test("empty batches do not", async () => {
    const nothings = Array.from({ length: 10 }, (): Act[] => [300, []]).flat();
    const { state } = reading([[START], [text("half")], ...nothings, [FINISH]]);
    await pass(0.9);
    expect(state).toEqual({});
    await pass(0.2);
    expect(state.error).toMatchObject({ code: "idle_timeout" });
  });

  test("a pause may be as long as the beginning, where the provider says so", async () => {
    const script: Act[] = [[START], [text("a")], 4900, [text("b")], "silence"];
    const { state } = reading(script, { mayPause: true });
    await pass(9.8);
    expect(state).toEqual({});
    await pass(0.2);
    expect(state.error).toMatchObject({ code: "idle_timeout", partial: "ab" });
    const longer = reading([[START], [text("a")], 6000, [FINISH]], {
      mayPause: true,
      settings: { timeout: 7 },
    });
    await pass(6.1);
    expect(longer.state.text).toBe("a");
  });

  test("a slow reader is no silence", async () => {
    const provider = new ScriptedProvider([
      [[START], [text("a")], [text("b")], [text("c")], 500, [FINISH]],
    ]);
    const chain = chainOf([[provider, LIMITS]]);
    const words: string[] = [];
    const stream = streamOf(chain, newCall());
    const loop = (async () => {
      for await (const event of stream) {
        if (event.type !== "text") continue;
        words.push(event.text);
        await new Promise((resolve) => setTimeout(resolve, 3000));
      }
    })();
    await pass(10);
    await loop;
    expect(words).toEqual(["a", "b", "c"]);
  });
});

test("timeoutOverride replaces both limits", async () => {
  const before = reading(["silence"], { request: { timeoutOverride: 2 } });
  const after = reading([[START], [text("a")], "silence"], { request: { timeoutOverride: 2 } });
  await pass(1.9);
  expect([before.state, after.state]).toEqual([{}, {}]);
  await pass(0.2);
  expect(before.state.error).toMatchObject({ code: "first_content_timeout" });
  expect(after.state.error).toMatchObject({ code: "idle_timeout" });
});

test("a call for the whole reply has the same limits", async () => {
  const provider = new ScriptedProvider([[[START], [text("half")], "silence"]]);
  const second = new ScriptedProvider([reply("here")], { name: "lmstudio" });
  const opening = chainOf([[provider, LIMITS], second]).open(newCall("Hi", { wantsWhole: true }));
  await pass(1.1);
  const events = await eventsOf(await opening);
  expect(events).toMatchObject([
    { response: { content: "here", attempts: [{ code: "idle_timeout" }, { phase: "done" }] } },
  ]);
});

test("waiting for a place is no silence", async () => {
  const provider = new ScriptedProvider([
    [
      [START],
      [text("a")],
      ...Array.from({ length: 20 }, (): Act[] => [900, [text("a")]]).flat(),
      [FINISH],
    ],
    [4000, [START], [text("here"), FINISH]],
  ]);
  const chain = chainOf([[provider, { ...LIMITS, maxConcurrent: 1 }]]);
  const long = chain.open(newCall()).then(eventsOf);
  const waiting = chain.open(newCall()).then(eventsOf);
  await pass(18.1);
  expect((await long).at(-1)).toMatchObject({ type: "finish" });
  await pass(4.1);
  expect((await waiting).at(-1)).toMatchObject({ response: { content: "here" } });
});

test("an abandoned stream does not keep the process alive", async () => {
  const timers = jest.spyOn(globalThis, "setTimeout");
  const work = new AbortController();
  const provider = new ScriptedProvider([[[START], [text("a")], [text("b")], "silence"]]);
  const begun = await chainOf([[provider, LIMITS]]).open(newCall("Hi", { signal: work.signal }));
  await begun.next();
  await begun.next();
  expect(timers.mock.results.map(({ value }) => value.hasRef())).toEqual([false, false]);
  work.abort();
  await begun.next().catch(() => undefined);
});
