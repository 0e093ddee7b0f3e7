import { Observer } from "../../src/chain/observer.js";
import {
  AbortError,
  AllProvidersFailedError,
  AuthenticationError,
  ConnectionError,
  ContextLengthError,
  LLMError,
  ModelNotFoundError,
  ProtocolError,
  RateLimitError,
  TimeoutError,
  ValidationError,
} from "../../src/errors.js";
import type { AttemptInfo, FallbackInfo, StreamEvent } from "../../src/types.js";
import {
  chainOf,
  eventsOf,
  failureOf,
  type Legs,
  newCall,
  storyOf,
  wholeOf,
} from "../helpers/chain-calls.js";
import { HandClock } from "../helpers/hand-clock.js";
import {
  type Act,
  FINISH,
  reply,
  type ScriptedOptions,
  ScriptedProvider,
  START,
  text,
} from "../helpers/scripted-provider.js";

const refused = new ConnectionError("Nobody listens.", { code: "connection_refused" });

/** A provider that acts in the same way whenever it is asked. */
const acting = (script: Act[], options?: ScriptedOptions) =>
  new ScriptedProvider([script], options);
const failing = (error: Error, options?: ScriptedOptions) => acting([error], options);
const answering = (options?: ScriptedOptions) => acting(reply("here"), options);

describe("the legs", () => {
  test("are asked in their order until one answers", async () => {
    const legs = [failing(refused), failing(new ProtocolError("HTML?")), answering(), answering()];
    const response = await wholeOf(chainOf(legs));
    expect(storyOf(response.attempts)).toEqual(["0: connection_refused", "1: protocol", "2: ok"]);
    expect(legs.map(({ asked }) => asked.length)).toEqual([1, 1, 1, 0]);
  });

  test("are begun anew with each call", async () => {
    const first = new ScriptedProvider([[refused], reply("back")]);
    const chain = chainOf([first, answering()]);
    expect((await wholeOf(chain)).content).toBe("here");
    expect((await wholeOf(chain)).content).toBe("back");
  });

  test("that answer in place of the first are named in the response", async () => {
    const response = await wholeOf(chainOf([failing(refused), answering({ name: "lmstudio" })]));
    expect(response).toMatchObject({
      provider: "lmstudio",
      usedFallback: true,
      fallbackProvider: "lmstudio",
    });
    const direct = await wholeOf(chainOf([answering(), answering({ name: "lmstudio" })]));
    expect(direct).toMatchObject({ provider: "ollama", usedFallback: false });
    expect(direct).not.toHaveProperty("fallbackProvider");
  });

  test("alone have their warnings in the response", async () => {
    const capabilities = new Set(["seed"] as const);
    const first = acting([[{ type: "start", model: "m", warnings: ["of the first"] }], refused], {
      capabilities: new Set(),
    });
    const second = acting(
      [
        [{ type: "start", model: "m", warnings: ["of the second"] }],
        [text("here")],
        [{ ...FINISH, type: "finish", warnings: ["late"] } as typeof FINISH],
      ],
      { capabilities },
    );
    const request = { messages: "Hi", seed: 1, topK: 3 };
    const call = newCall(request, { warnings: ["of the client"] });
    const events = await eventsOf(await chainOf([first, second]).open(call));
    const topK = "topK was left out: ollama does not support it";
    expect(events[0]).toMatchObject({
      type: "start",
      warnings: ["of the client", topK, "of the second"],
    });
    expect(events.at(-1)).toMatchObject({
      response: { warnings: ["of the client", topK, "of the second", "late"] },
    });
  });
});

describe("the model", () => {
  const modelsAsked = (...legs: ScriptedProvider[]) =>
    legs.map(({ asked }) => asked.map(({ request }) => request.model));

  test("of the configuration is each leg's own", async () => {
    const first = failing(refused, { defaultModel: "a" });
    const second = answering({ defaultModel: "b" });
    await wholeOf(chainOf([first, second]));
    expect(modelsAsked(first, second)).toEqual([["a"], ["b"]]);
  });

  test("of the request is for the first leg only, if the others have their own", async () => {
    const first = failing(refused, { defaultModel: "a" });
    const second = answering({ defaultModel: "b", name: "lmstudio" });
    const call = newCall({ messages: "Hi", model: "mine" });
    await eventsOf(await chainOf([first, second]).open(call));
    expect(modelsAsked(first, second)).toEqual([["mine"], ["b"]]);
  });

  test("of the request is also for another server of the same kind", async () => {
    const first = failing(refused);
    const second = answering({ url: "http://elsewhere" });
    const call = newCall({ messages: "Hi", model: "mine" });
    await eventsOf(await chainOf([first, second]).open(call));
    expect(modelsAsked(first, second)).toEqual([["mine"], ["mine"]]);
  });

  test("is every leg's where nobody chose the providers", async () => {
    const first = failing(new ModelNotFoundError("Not here."), { name: "mlx" });
    const second = answering({ name: "lmstudio" });
    const auto = { isAuto: true };
    const call = newCall({ messages: "Hi", model: "mine" });
    await eventsOf(
      await chainOf([
        [first, auto],
        [second, auto],
      ]).open(call),
    );
    expect(modelsAsked(first, second)).toEqual([["mine"], ["mine"]]);
  });

  test("is also for another server of a kind that nobody chose", async () => {
    const auto = { isAuto: true };
    const mlx = failing(refused, { name: "mlx" });
    const ollama = failing(refused);
    const third = answering({ url: "http://elsewhere" });
    const call = newCall({ messages: "Hi", model: "mine" });
    await eventsOf(await chainOf([[mlx, auto], [ollama, auto], third]).open(call));
    expect(modelsAsked(third)).toEqual([["mine"]]);
  });

  test("is left to each provider where nobody names one", async () => {
    const legs = [failing(new ModelNotFoundError("None.")), answering({ name: "lmstudio" })];
    expect((await wholeOf(chainOf(legs))).provider).toBe("lmstudio");
    expect(modelsAsked(...legs)).toEqual([[undefined], [undefined]]);
  });

  test("that a leg lacks makes it be skipped, with the reason", async () => {
    const legs = [failing(refused, { defaultModel: "a" }), answering({ name: "lmstudio" })];
    const failure = await failureOf(wholeOf(chainOf(legs)));
    expect(failure.code).toBe("connection_refused");
    expect(storyOf(failure.attempts)).toEqual([
      "0: connection_refused",
      '1: it has no model of its own, and "a" is one of ollama',
    ]);
    expect(legs[1]!.asked).toHaveLength(0);
  });
});

describe("where nobody chose the providers", () => {
  const mlxOf = (script: Act[]) =>
    Object.assign(acting(script, { name: "mlx" }), {
      isMeantBy: (model?: string) => model === "demo" || model === undefined,
    });
  const auto = { isAuto: true };
  const ask = async (legs: Legs, model?: string) => {
    const events = await eventsOf(await chainOf(legs).open(newCall({ messages: "Hi", model })));
    return (events.at(-1) as StreamEvent & { type: "finish" }).response;
  };

  test("the one that a model can only be of answers, and that is no fallback", async () => {
    const ollama = answering();
    const mlx = mlxOf(reply("here"));
    const response = await ask(
      [
        [ollama, auto],
        [mlx, auto],
      ],
      "demo",
    );
    expect(response).toMatchObject({
      provider: "mlx",
      usedFallback: false,
      attempts: [{ leg: 1 }],
    });
    expect(response).not.toHaveProperty("fallbackProvider");
    expect(ollama.asked).toHaveLength(0);
  });

  test("no other is asked for such a model, but those with a model of their own", async () => {
    const legs: Legs = [
      [answering(), auto],
      [mlxOf([refused]), auto],
      answering({ name: "lmstudio", defaultModel: "b" }),
    ];
    const response = await ask(legs, "demo");
    expect(storyOf(response.attempts)).toEqual(["1: connection_refused", "2: ok"]);
    expect(response).toMatchObject({ usedFallback: true, fallbackProvider: "lmstudio" });
  });

  test("the one that was set up for a model is the first, if nobody names one", async () => {
    const response = await ask([
      [answering(), auto],
      [mlxOf([refused]), auto],
    ]);
    expect(storyOf(response.attempts)).toEqual(["1: connection_refused", "0: ok"]);
    expect(response).toMatchObject({ usedFallback: true, fallbackProvider: "ollama" });
  });
});

describe("the next leg", () => {
  /** Whether a second leg is asked after the first failed with this error. */
  async function advances(error: Error, model?: string): Promise<boolean> {
    const first = failing(error, { defaultModel: "a" });
    // Without a model of its own it is asked for the first one's.
    const second = answering({ defaultModel: model });
    const settings = { maxRetries: 0 };
    await wholeOf(chainOf([[first, settings], second])).catch(() => undefined);
    expect(first.asked).toHaveLength(1);
    return second.asked.length === 1;
  }

  test.each([
    "connection_refused",
    "connect_timeout",
    "connection_reset",
    "dns",
    "tls",
    "first_content_timeout",
    "idle_timeout",
    "stream_truncated",
    "empty_response",
    "overloaded",
    "rate_limited",
    "request_timeout",
    "conflict",
    "server_error",
    "model_not_loaded",
    "model_unloaded",
    "model_crashed",
    "model_load_failed",
    "protocol",
    "unsupported",
    "context_length_exceeded",
    "provider_unavailable",
    "generation_failed",
    "canceled_by_server",
  ])("is asked after %s", async (code) => {
    expect(await advances(new LLMError("No.", { code }))).toBe(true);
  });

  test.each(["auth", "model_not_found", "model_mismatch"])(
    "is asked after %s only if it has a model of its own",
    async (code) => {
      expect(await advances(new LLMError("No.", { code }), "b")).toBe(true);
      expect(await advances(new LLMError("No.", { code }))).toBe(false);
    },
  );

  test.each(["validation", "bad_request", "aborted", "closed", "deadline_exceeded"])(
    "is not asked after %s",
    async (code) => {
      expect(await advances(new LLMError("No.", { code }), "b")).toBe(false);
    },
  );

  test("is asked after an error that is none of this package", async () => {
    expect(await advances(new RangeError("bug"))).toBe(true);
  });

  test("is not asked after the caller has aborted, whatever the failure", async () => {
    const work = new AbortController();
    const first = failing(refused);
    const second = answering();
    const observer = new Observer({ onAttempt: () => work.abort() });
    const call = newCall("Hi", { signal: work.signal, observer });
    const failure = await failureOf(chainOf([first, second]).open(call));
    expect(failure.attempts).toHaveLength(1);
    expect(second.asked).toHaveLength(0);
  });

  test("that lacks a model of its own is barred by any failure before, not just the last", async () => {
    const legs = [
      failing(new AuthenticationError("Who are you?"), { defaultModel: "a" }),
      failing(refused, { defaultModel: "b" }),
      answering(),
    ];
    const failure = await failureOf(wholeOf(chainOf(legs)));
    expect(storyOf(failure.attempts)).toEqual([
      "0: auth",
      "1: connection_refused",
      "2: it has no model of its own, and ollama failed with auth",
    ]);
    expect(failure).toBeInstanceOf(AllProvidersFailedError);
    expect(legs[2]!.asked).toHaveLength(0);
  });
});

describe("after an overflow", () => {
  const overflow = new ContextLengthError("Too long.");
  const sized = (script: Act[], defaultModel: string, size?: number) =>
    acting(script, { defaultModel, contexts: size === undefined ? {} : { [defaultModel]: size } });

  test("only legs with a larger context are asked", async () => {
    const legs = [
      sized([overflow], "a", 8192),
      sized(reply("wrong"), "b", 4096),
      sized(reply("wrong"), "c", 8192),
      sized(reply("here"), "d", 32_768),
    ];
    const response = await wholeOf(chainOf(legs));
    expect(storyOf(response.attempts)).toEqual([
      "0: context_length_exceeded",
      "1: its context of 4096 tokens is not larger than 8192",
      "2: its context of 8192 tokens is not larger than 8192",
      "3: ok",
    ]);
  });

  test("a leg is asked if one of the sizes is not known", async () => {
    const unknownHere = [sized([overflow], "a", 8192), sized(reply("here"), "b")];
    expect((await wholeOf(chainOf(unknownHere))).content).toBe("here");
    const unknownBefore = [sized([overflow], "a"), sized(reply("here"), "b", 10)];
    expect((await wholeOf(chainOf(unknownBefore))).content).toBe("here");
  });

  test("the size still counts if another leg failed otherwise in between", async () => {
    const legs = [
      sized([overflow], "a", 8192),
      sized([refused], "b", 32_768),
      sized(reply("wrong"), "c", 4096),
    ];
    const failure = await failureOf(wholeOf(chainOf(legs)));
    expect(storyOf(failure.attempts).at(-1)).toBe(
      "2: its context of 4096 tokens is not larger than 8192",
    );
  });

  test("a server that does not tell its size in time is asked", async () => {
    const mute = sized(reply("here"), "b");
    let wasEnded = false;
    mute.contextLength = (_model?: string, context?: { signal: AbortSignal }) =>
      new Promise((_, reject) =>
        context!.signal.addEventListener("abort", () => {
          wasEnded = true;
          reject(context!.signal.reason);
        }),
      );
    const legs = chainOf([sized([overflow], "a", 8192), [mute, { timeout: 0.03 }]]);
    expect((await wholeOf(legs)).content).toBe("here");
    expect(wasEnded).toBe(true);
  });

  test("the overflow itself is thrown if nobody has room", async () => {
    const legs = [sized([overflow], "a", 8192), sized(reply("wrong"), "b", 4096)];
    const failure = await failureOf(wholeOf(chainOf(legs)));
    expect(failure).toBeInstanceOf(ContextLengthError);
    expect(failure.attempts).toHaveLength(2);
  });
});

describe("a provider that cannot work here", () => {
  const absent = () => answering({ name: "mlx", unavailable: "there is no GPU" });

  test("is skipped with the reason, and not asked", async () => {
    const mlx = absent();
    const response = await wholeOf(chainOf([mlx, answering()]));
    expect(response.attempts).toEqual([
      {
        leg: 0,
        provider: "mlx",
        model: undefined,
        durationMs: 0,
        skippedBecause: "there is no GPU",
      },
      expect.objectContaining({ leg: 1, phase: "done" }),
    ]);
    expect(response.usedFallback).toBe(true);
    expect(response.retryCount).toBe(0);
    expect(mlx.asked).toHaveLength(0);
  });

  test("is not even looked at before it is its turn", async () => {
    const last = absent();
    await wholeOf(chainOf([answering(), last]));
    await wholeOf(chainOf([failing(refused), answering(), last]));
    expect(last.availabilityAsked).toBe(0);
  });

  test("is looked at once for each call", async () => {
    const mlx = absent();
    await failureOf(wholeOf(chainOf([failing(refused), mlx])));
    expect(mlx.availabilityAsked).toBe(1);
  });

  test("tells itself why, if it is the only one", async () => {
    const alone = absent();
    expect((await wholeOf(chainOf([alone]))).content).toBe("here");
    expect(alone.availabilityAsked).toBe(0);
  });

  test("is named in the error if all others are like it", async () => {
    const failure = await failureOf(wholeOf(chainOf([absent(), absent()])));
    expect(failure).toBeInstanceOf(AllProvidersFailedError);
    expect(failure.message).toBe(
      "No provider could answer.\n  mlx: skipped, because there is no GPU.\n" +
        "  mlx: skipped, because there is no GPU.",
    );
    expect(failure.attempts).toHaveLength(2);
  });
});

describe("a chain in which nobody answers", () => {
  test("throws a single failure itself", async () => {
    const details = { status: 401, hint: "Set a key.", url: "http://a" };
    const error = new AuthenticationError("Who are you?", details);
    const failure = await failureOf(wholeOf(chainOf([failing(error, { defaultModel: "a" })])));
    expect(failure).toBeInstanceOf(AuthenticationError);
    expect(failure).toMatchObject({
      message: "Who are you?",
      ...details,
      provider: "ollama",
      model: "a",
      requestId: "request",
      attempts: [{ leg: 0, code: "auth", status: 401, phase: "connect" }],
    });
  });

  test("throws an error that tells of all failures", async () => {
    const busy = new RateLimitError("Too much.", { hint: "Wait." });
    const legs = [
      failing(new ConnectionError("Nobody listens.", { code: "dns", hint: "Start it." })),
      failing(busy, { name: "lmstudio" }),
      failing(new ProtocolError("HTML?", { hint: "Start it." }), { name: "mlx" }),
    ];
    const failure = await failureOf(wholeOf(chainOf(legs)));
    expect(failure).toBeInstanceOf(AllProvidersFailedError);
    expect(failure).toMatchObject({
      code: "all_providers_failed",
      message:
        "No provider could answer.\n  ollama: Nobody listens.\n  lmstudio: Too much.\n  mlx: HTML?",
      hint: "Start it. Wait.",
      requestId: "request",
      retryable: true,
      cause: { name: "ProtocolError" },
    });
    expect(storyOf(failure.attempts)).toEqual(["0: dns", "1: rate_limited", "2: protocol"]);
  });

  test("is not worth another try if none of the failures is", async () => {
    const legs = [failing(new ProtocolError("HTML?")), failing(new ModelNotFoundError("None."))];
    const failure = await failureOf(wholeOf(chainOf(legs)));
    expect(failure).toMatchObject({ code: "all_providers_failed", retryable: false });
    expect(failure.hint).toBeUndefined();
  });

  test("has the text that was generated last as partial", async () => {
    const broken = (words: string) => acting([[START], [text(words)], refused]);
    const failure = await failureOf(
      wholeOf(chainOf([broken("first"), broken("second"), failing(refused)])),
    );
    expect(failure).toMatchObject({ name: "AllProvidersFailedError", partial: "second" });
  });

  test("ends at once with a failure that all would share", async () => {
    const wrong = failing(new ValidationError("Wrong."));
    const third = answering();
    const failure = await failureOf(wholeOf(chainOf([failing(refused), wrong, third])));
    expect(failure).toBeInstanceOf(ValidationError);
    expect(storyOf(failure.attempts)).toEqual(["0: connection_refused", "1: validation"]);
    expect(third.asked).toHaveLength(0);
  });

  test.each([
    ["aborted", new AbortError("Enough.")],
    ["deadline_exceeded", new TimeoutError("Too late.", { code: "deadline_exceeded" })],
  ])("ends at once when its signal is aborted: %s", async (code, reason) => {
    const work = new AbortController();
    const silent = acting([[START], "silence"]);
    const second = answering();
    const call = newCall("Hi", { signal: work.signal });
    const opening = failureOf(chainOf([silent, second]).open(call));
    await new Promise(setImmediate);
    work.abort(reason);
    expect(await opening).toMatchObject({ code, provider: "ollama", requestId: "request" });
    expect(second.asked).toHaveLength(0);
    expect(silent.open).toBe(0);
  });
});

describe("attempts", () => {
  test("say the same on success and on failure", async () => {
    const slow = (): ScriptedProvider => {
      const provider = failing(new LLMError("Busy.", { code: "overloaded" }), {
        defaultModel: "a",
      });
      const act = provider.stream.bind(provider);
      provider.stream = (request, context) => {
        context.onProgress?.({ phase: "load", status: 503, serverRequestId: "theirs" });
        return act(request, context);
      };
      return provider;
    };
    const legs = (last: ScriptedProvider) => [
      answering({ name: "mlx", unavailable: "there is no GPU" }),
      slow(),
      last,
    ];
    const response = await wholeOf(chainOf(legs(answering({ defaultModel: "b" }))));
    const failure = await failureOf(
      wholeOf(chainOf(legs(failing(refused, { defaultModel: "b" })))),
    );
    const durationMs = expect.any(Number);
    const both = [
      { leg: 0, provider: "mlx", durationMs: 0, skippedBecause: "there is no GPU" },
      {
        leg: 1,
        provider: "ollama",
        model: "a",
        phase: "load",
        code: "overloaded",
        status: 503,
        serverRequestId: "theirs",
        durationMs,
      },
    ];
    const last = { leg: 2, provider: "ollama", durationMs };
    expect(response.attempts).toEqual([...both, { ...last, model: "m", phase: "done" }]);
    expect(failure.attempts).toEqual([
      ...both,
      { ...last, model: "b", phase: "connect", code: "connection_refused" },
    ]);
  });

  test("and fallbacks are told to hooks while they happen", async () => {
    const told: (AttemptInfo | FallbackInfo)[] = [];
    const tell = (info: AttemptInfo | FallbackInfo) => void told.push(info);
    const observer = new Observer({ onAttempt: tell, onFallback: tell });
    const legs = [
      failing(refused, { defaultModel: "a" }),
      answering({ name: "mlx", unavailable: "there is no GPU", defaultModel: "b" }),
      answering({ name: "lmstudio", defaultModel: "c" }),
    ];
    const response = await wholeOf(chainOf(legs), { observer });
    const [first, skipped, last] = response.attempts;
    expect(told).toEqual([
      { requestId: "request", attempt: first },
      { requestId: "request", attempt: skipped },
      {
        requestId: "request",
        from: { leg: 0, provider: "ollama", model: "a" },
        to: { leg: 2, provider: "lmstudio", model: "c" },
        error: expect.objectContaining({ code: "connection_refused" }),
      },
      { requestId: "request", attempt: last },
    ]);
  });

  test("are counted as retries only where the same leg was asked again", async () => {
    const flaky = new ScriptedProvider([[new RateLimitError("Wait.")], [refused]]);
    const second = new ScriptedProvider([[new RateLimitError("Wait.")], reply("here")]);
    // The second cannot take over from the first: so the first is repeated.
    const legs = [flaky, answering({ name: "mlx", unavailable: "there is no GPU" })];
    const failure = await failureOf(wholeOf(chainOf(legs)));
    expect(storyOf(failure.attempts).slice(0, 2)).toEqual([
      "0: rate_limited",
      "0: connection_refused",
    ]);
    const response = await wholeOf(chainOf([failing(refused), second], new HandClock()));
    expect(response).toMatchObject({ content: "here", retryCount: 1, usedFallback: true });
  });
});
