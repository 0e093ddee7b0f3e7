import { randomUUID } from "node:crypto";
import {
  AbortError,
  ContextLengthError,
  LLMError,
  ModelNotFoundError,
  TimeoutError,
  ValidationError,
} from "../../src/errors.js";
import { Attempt } from "../../src/chain/attempt.js";
import { Breakers } from "../../src/chain/breaker.js";
import { systemClock } from "../../src/chain/clock.js";
import { newLeg } from "../../src/chain/leg.js";
import { Observer } from "../../src/chain/observer.js";
import type { LegSettings } from "../../src/config/settings.js";
import type { CallContext, OptionalFeature, Provider } from "../../src/providers/provider.js";
import { checkRequest } from "../../src/request.js";
import type { ScriptedReply } from "../servers/scripted-replies.js";
import type { LLMRequest, LLMResponse, Message, StreamEvent, Tool } from "../../src/types.js";

/** What the suite needs to know of a provider. */
export interface ProviderContract {
  /** A fresh provider whose default model can chat. */
  create(): Provider | Promise<Provider>;
  /** A request that is answered with some sentences, so that it can be cut short. */
  longRequest: LLMRequest;
  /** A prompt that is longer than the context; absent where there is no such limit. */
  overlongPrompt?: string;
  /** A fresh provider whose default model says `SPOKEN`; absent where no model of these tests can. */
  createSpeaking?(): Provider | Promise<Provider>;
  /** What this provider cannot do, with the reason; its tests are skipped by name. */
  skip?: Partial<Record<"deterministic" | "concurrent" | "logprobs" | "seed" | "stop", string>>;
  /** What the provider can do, but not with the model of these tests, with the reason. */
  lacks?: Partial<Record<OptionalFeature, string>>;
}

/** The tool that a speaking model calls. */
export const WEATHER: Tool = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } } },
  },
};

/** What a speaking model says: thoughts and an answer, or these thoughts and a call of `WEATHER`. */
export const SPOKEN = {
  reasoning: ["Some", "one ", "greets."],
  answer: ["Hello", ", you", "."],
  call: { name: "get_weather", arguments: { city: "Paris" } },
  /** After the result of the call. */
  afterCall: ["It", " rains."],
};

/** Patient, and without retries: the suite asks the provider alone. */
const LEG: LegSettings = {
  provider: "mlx",
  timeout: 30,
  connectTimeout: 3,
  firstTokenTimeout: 60,
  verifySsl: true,
  maxRetries: 0,
  isAuto: false,
  retryDelay: 1,
  retryMaxDelay: 10,
  retryExponentialBase: 2,
};

/** Requests that use exactly one feature. */
const FEATURE_REQUESTS: Record<OptionalFeature, Partial<LLMRequest>> = {
  images: {
    messages: [{ role: "user", content: [{ type: "image", image: "data:image/png;base64,AA==" }] }],
  },
  tools: { tools: [{ type: "function", function: { name: "look" } }] },
  toolChoice: { toolChoice: "required" },
  responseFormat: { responseFormat: { type: "json_object" } },
  regex: { responseFormat: { type: "regex", pattern: "[a-z ]{1,9}" } },
  grammar: { responseFormat: { type: "grammar", grammar: "start: /[a-z ]{1,9}/" } },
  reasoning: { reasoning: true },
  "reasoning.maxTokens": { reasoning: { maxTokens: 5 } },
  stop: { stop: "\n" },
  seed: { seed: 1 },
  topP: { topP: 0.9 },
  topK: { topK: 5 },
  minP: { minP: 0.1 },
  repetitionPenalty: { repetitionPenalty: 1.1 },
  presencePenalty: { presencePenalty: 0.1 },
  frequencyPenalty: { frequencyPenalty: 0.1 },
  logitBias: { logitBias: { 1: 1 } },
  logprobs: { logprobs: true },
  promptCacheFile: { providerOptions: { mlx: { promptCacheFile: "prompt.safetensors" } } },
};

/** Requests that leave one token to choose from at any temperature. */
const NARROWING: Partial<Record<OptionalFeature, Partial<LLMRequest>>> = {
  topP: { topP: 1e-6 },
  topK: { topK: 1 },
  minP: { minP: 1 },
};

/** Requests that no reply of some length follows unchanged. */
const PENALTIES: Partial<Record<OptionalFeature, Partial<LLMRequest>>> = {
  repetitionPenalty: { repetitionPenalty: 1.8 },
  presencePenalty: { presencePenalty: 2 },
  frequencyPenalty: { frequencyPenalty: 2 },
};

/** Describes what every provider must do; call it once in the tests of each. */
export function describeProviderContract(contract: ProviderContract): void {
  const { skip = {}, lacks = {}, longRequest } = contract;
  let provider: Provider;
  const testUnless = (reason?: string) => (title: string, body: () => Promise<void>) => {
    if (reason === undefined) test(title, body);
    else test.skip(`${title} (not here: ${reason})`, body);
  };
  const run = (request: LLMRequest, context?: CallContext) => collect(provider, request, context);

  beforeAll(async () => {
    provider = await contract.create();
  });
  afterAll(() => provider.close());

  describe("a stream", () => {
    test("has one start, then text, then one finish with all of the text", async () => {
      const { events, response } = await run({ ...longRequest, maxTokens: 20 });
      const types = events.map(({ type }) => type);
      expect(types[0]).toBe("start");
      expect(types.at(-1)).toBe("finish");
      expect(new Set(types.slice(1, -1))).toEqual(new Set(["text"]));
      expect(textOf(events)).toBe(response.content);
      expect(events.every((event) => event.type !== "text" || event.text !== "")).toBe(true);
    });

    test("tells who answers before the first text, and the same at the end", async () => {
      const context = newContext();
      const { events, response } = await run({ ...longRequest, maxTokens: 4 }, context);
      const { requestId, responseId } = context;
      const start = { type: "start", provider: provider.name, requestId, responseId };
      expect(events[0]).toMatchObject(start);
      const { type: _type, ...ids } = start;
      expect(response).toMatchObject(ids);
      expect(response.model).toBe((events[0] as { model: string }).model);
      expect(response.attempts).toMatchObject([{ leg: 0, provider: provider.name, phase: "done" }]);
      expect(response).toMatchObject({ retryCount: 0, usedFallback: false, warnings: [] });
      expect(response.latencyMs).toBeGreaterThan(0);
    });

    test("stops after maxTokens and counts the tokens", async () => {
      const { response } = await run({ ...longRequest, maxTokens: 5 });
      expect(response.finishReason).toBe("length");
      const { promptTokens, completionTokens, totalTokens } = response.usage;
      expect(completionTokens).toBe(5);
      expect(promptTokens).toBeGreaterThan(0);
      expect(totalTokens).toBe(promptTokens! + 5);
    });
  });

  describe("options", () => {
    testUnless(skip.deterministic)("temperature 0 gives the same reply again", async () => {
      const request = { ...longRequest, temperature: 0, maxTokens: 20 };
      const first = await run(request);
      expect((await run(request)).response.content).toBe(first.response.content);
    });

    testUnless(skip.seed)(
      "the same seed gives the same reply, another seed another one",
      async () => {
        const reply = async (seed: number) =>
          (await run({ ...longRequest, temperature: 1.5, maxTokens: 20, seed })).response.content;
        expect(await reply(7)).toBe(await reply(7));
        expect(await reply(8)).not.toBe(await reply(7));
      },
    );

    testUnless(skip.stop)("a stop text ends the reply and is left out", async () => {
      const request = { ...longRequest, temperature: 0, maxTokens: 30 };
      const { content } = (await run(request)).response;
      // From the middle of the reply, and most likely across a border of tokens.
      const stop = content.slice(content.length / 2 - 2, content.length / 2 + 2);
      const { response } = await run({ ...request, stop: ["never said \u{1f409}", stop] });
      expect(response.content).toBe(content.slice(0, content.indexOf(stop)));
      expect(response.finishReason).toBe("stop");
    });

    testUnless(skip.deterministic)(
      "options that narrow the choice to one token are greedy",
      async () => {
        const request = { ...longRequest, maxTokens: 20 };
        const greedy = (await run({ ...request, temperature: 0 })).response.content;
        for (const [feature, fields] of Object.entries(NARROWING)) {
          if (!provider.capabilities.has(feature as OptionalFeature)) continue;
          const { response } = await run({ ...request, temperature: 2, ...fields });
          expect([feature, response.content]).toEqual([feature, greedy]);
        }
      },
    );

    testUnless(skip.deterministic)("penalties change the reply", async () => {
      const request = { ...longRequest, temperature: 0, maxTokens: 60 };
      const plain = (await run(request)).response.content;
      for (const [feature, fields] of Object.entries(PENALTIES)) {
        if (!provider.capabilities.has(feature as OptionalFeature)) continue;
        const { response } = await run({ ...request, ...fields });
        expect([feature, response.content]).not.toEqual([feature, plain]);
      }
    });

    testUnless(skip.logprobs)("a bias of -100 bans a token", async () => {
      if (!provider.capabilities.has("logitBias")) return;
      const request = { ...longRequest, temperature: 0, maxTokens: 1, logprobs: true };
      const firstToken = async (fields: Partial<LLMRequest>) =>
        (await run({ ...request, ...fields })).response.logprobs![0]!.tokenId!;
      const favourite = await firstToken({});
      expect(await firstToken({ logitBias: { [favourite]: -100 } })).not.toBe(favourite);
    });

    testUnless(skip.logprobs)("logprobs come for each token, best alternatives first", async () => {
      const request = { ...longRequest, temperature: 0, maxTokens: 6, topLogprobs: 3 };
      const { logprobs } = (await run(request)).response;
      expect(logprobs).toHaveLength(6);
      for (const { token, logprob, topLogprobs } of logprobs!) {
        expect(logprob).toBeLessThanOrEqual(0);
        expect(topLogprobs).toHaveLength(3);
        expect(topLogprobs[0]).toMatchObject({ token });
        const values = topLogprobs.map((alternative) => alternative.logprob);
        expect(values).toEqual([...values].sort((a, b) => b - a));
      }
    });

    for (const [name, fields] of Object.entries(FEATURE_REQUESTS)) {
      const feature = name as OptionalFeature;
      const title = `${feature} is honoured, refused by name, or left out with a warning`;
      testUnless(lacks[feature])(title, async () => {
        const request = { ...longRequest, maxTokens: 2, ...fields };
        if (provider.capabilities.has(feature)) {
          expect((await run(request)).response.warnings).toEqual([]);
          return;
        }
        const outcome = await run(request).catch((error: unknown) => error);
        if (outcome instanceof ValidationError) {
          expect(outcome).toMatchObject({ code: "unsupported", provider: provider.name });
          expect(outcome.message).toContain(feature);
        } else {
          const { response } = outcome as { response: LLMResponse };
          expect(response.warnings).toEqual([expect.stringContaining(feature)]);
        }
      });
    }
  });

  (contract.createSpeaking ? describe : describe.skip)("a model that thinks and calls", () => {
    let speaking: Provider;
    beforeAll(async () => {
      speaking = await contract.createSpeaking!();
    });
    afterAll(() => speaking.close());
    const ask = (request: Partial<LLMRequest>) =>
      collect(speaking, { messages: "Hello", reasoning: true, ...request });

    test("has its thoughts apart, before its answer", async () => {
      const { events, response } = await ask({});
      expect(response.reasoning).toBe(SPOKEN.reasoning.join(""));
      expect(response.content).toBe(SPOKEN.answer.join(""));
      const types = events.map(({ type }) => type);
      expect(types.lastIndexOf("reasoning")).toBeLessThan(types.indexOf("text"));
      expect(response.finishReason).toBe("stop");
      const { reasoningTokens = 1, completionTokens } = response.usage;
      expect(reasoningTokens).toBeGreaterThan(0);
      expect(reasoningTokens).toBeLessThan(completionTokens!);
    });

    test("has its calls whole, after what was told of their arguments", async () => {
      const { events, response } = await ask({ tools: [WEATHER] });
      expect(response).toMatchObject({ content: "", finishReason: "tool_calls" });
      const [call, ...others] = response.toolCalls!;
      expect([call, others]).toMatchObject([SPOKEN.call, []]);
      const told = events.flatMap((event) => (event.type === "tool-call" ? [event.toolCall] : []));
      expect(told).toEqual([call]);
      const deltas = events.flatMap((event) => (event.type === "tool-call-delta" ? [event] : []));
      const written = deltas.map(({ argumentsDelta }) => argumentsDelta).join("");
      if (deltas.length > 0) expect(JSON.parse(written)).toEqual(SPOKEN.call.arguments);
      for (const delta of deltas) {
        expect(delta).toMatchObject({ index: 0, id: call!.id, name: call!.name });
      }
    });

    test("reads the result of its call", async () => {
      const { reasoning, toolCalls } = (await ask({ tools: [WEATHER] })).response;
      const messages: Message[] = [
        { role: "user", content: "Hello" },
        { role: "assistant", content: "", reasoning, toolCalls },
        { role: "tool", toolCallId: toolCalls![0]!.id, content: "rain" },
      ];
      const { response } = await ask({ tools: [WEATHER], messages });
      expect(response.content).toBe(SPOKEN.afterCall.join(""));
      expect(response.finishReason).toBe("stop");
    });

    test("calls nothing that it must not", async () => {
      const { response } = await ask({ tools: [WEATHER], toolChoice: "none" });
      expect(response.content).toBe(SPOKEN.answer.join(""));
      expect(response.toolCalls).toBeUndefined();
    });
  });

  describe("aborting", () => {
    test("before the start fails at once", async () => {
      const failure = await failureOf(run(longRequest, newContext(AbortSignal.abort())));
      expect(failure).toBeInstanceOf(AbortError);
      expect(failure).toMatchObject({ code: "aborted", provider: provider.name });
      expect(failure.partial).toBeUndefined();
    });

    test("after the first text fails with that text", async () => {
      const controller = new AbortController();
      const context = newContext(controller.signal);
      let text = "";
      const reading = async () => {
        for await (const event of streamOf(provider, longRequest, context)) {
          if (event.type !== "text") continue;
          text += event.text;
          controller.abort(new Error("enough"));
        }
      };
      const failure = await failureOf(reading());
      expect(failure).toBeInstanceOf(AbortError);
      expect(failure.partial).toBe(text);
      expect(failure.attempts).toMatchObject([{ phase: "stream", code: "aborted" }]);
      expect(failure.cause).toEqual(new Error("enough"));
    });

    test("with an error of this package fails with that error", async () => {
      const signal = AbortSignal.abort(new TimeoutError("Too late.", { code: "idle_timeout" }));
      const failure = await failureOf(run(longRequest, newContext(signal)));
      expect(failure).toBeInstanceOf(TimeoutError);
      expect(failure).toMatchObject({ code: "idle_timeout", provider: provider.name });
    });

    test("one call leaves the others alone", async () => {
      const controller = new AbortController();
      const aborting = async () => {
        const context = newContext(controller.signal);
        for await (const event of streamOf(provider, longRequest, context)) {
          if (event.type === "text") controller.abort();
        }
      };
      const other = run({ ...longRequest, maxTokens: 20 });
      expect(await failureOf(aborting())).toBeInstanceOf(AbortError);
      expect((await other).response.finishReason).toBe("length");
    });
  });

  test("leaving the loop leaves the provider usable", async () => {
    for await (const event of streamOf(provider, longRequest)) {
      if (event.type === "text") break;
    }
    expect((await run({ ...longRequest, maxTokens: 2 })).response.finishReason).toBe("length");
  });

  testUnless(skip.concurrent)("calls at the same time do not disturb each other", async () => {
    const request = { ...longRequest, temperature: 0, maxTokens: 12 };
    const alone = (await run(request)).response.content;
    const together = await Promise.all(Array.from({ length: 8 }, () => run(request)));
    expect(together.map(({ response }) => response.content)).toEqual(Array(8).fill(alone));
  });

  test("an unknown model is a ModelNotFoundError that names it", async () => {
    const failure = await failureOf(run({ ...longRequest, model: "nobody/has-this" }));
    expect(failure).toBeInstanceOf(ModelNotFoundError);
    expect(failure).toMatchObject({ model: "nobody/has-this", provider: provider.name });
    expect(failure.message).toContain("nobody/has-this");
  });

  (contract.overlongPrompt ? test : test.skip)(
    "a prompt beyond the context is refused with both counts",
    async () => {
      const failure = await failureOf(run({ messages: contract.overlongPrompt! }));
      expect(failure).toBeInstanceOf(ContextLengthError);
      expect(failure.message).toMatch(/\d+ tokens.*\d+/);
    },
  );

  test("models are listed with the provider's name", async () => {
    const models = await provider.listModels({ signal: newContext().signal });
    expect(models.length).toBeGreaterThan(0);
    for (const model of models) {
      expect(model).toMatchObject({ provider: provider.name, object: "model" });
      expect(model.id).not.toBe("");
    }
  });

  test("health tells that the default model works", async () => {
    const health = await provider.health({ signal: newContext().signal });
    expect(health).toMatchObject({ provider: provider.name, healthy: true, reachable: true });
    expect(health.latencyMs).toBeGreaterThan(0);
  });

  test("health reports an abort instead of throwing", async () => {
    const health = await provider.health({ signal: AbortSignal.abort() });
    expect(health).toMatchObject({ healthy: false, code: "aborted" });
  });

  test("closing twice is fine", async () => {
    const other = await contract.create();
    await other.close();
    await other.close();
  });
}

/** The events of a request as a client sees them. */
export async function* streamOf(
  provider: Provider,
  request: LLMRequest,
  context: CallContext = newContext(),
): AsyncGenerator<StreamEvent> {
  const leg = newLeg(0, provider, LEG, new Breakers(systemClock));
  const left = new AbortController();
  const reply = await new Attempt(leg).open({
    request: checkRequest(request),
    ...context,
    signal: AbortSignal.any([context.signal, left.signal]),
    wantsWhole: false,
    warnings: [],
    attempts: [],
    observer: new Observer({}),
    onEnd: () => {},
  });
  try {
    for (let events = await reply.next(); events; events = await reply.next()) yield* events;
  } finally {
    left.abort();
    await reply.next().catch(() => undefined);
  }
}

/** Runs a whole request and gives back its events and response. */
export async function collect(
  provider: Provider,
  request: LLMRequest,
  context: CallContext = newContext(),
): Promise<{ events: StreamEvent[]; response: LLMResponse }> {
  const events: StreamEvent[] = [];
  for await (const event of streamOf(provider, request, context)) events.push(event);
  const finishes = events.flatMap((event) => (event.type === "finish" ? [event.response] : []));
  expect(finishes).toHaveLength(1);
  return { events, response: finishes[0]! };
}

/** The error that a promise rejects with, which must be one of this package. */
export async function failureOf(promise: Promise<unknown>): Promise<LLMError> {
  const error = await promise.then(
    () => new Error("It did not fail."),
    (reason: unknown) => reason,
  );
  if (!LLMError.is(error)) throw error;
  return error;
}

/** The context of a call that nothing aborts unless `signal` does. */
export function newContext(signal = new AbortController().signal): CallContext {
  const startedAt = performance.now();
  return { signal, requestId: randomUUID(), responseId: randomUUID(), startedAt };
}

function textOf(events: StreamEvent[]): string {
  return events.map((event) => (event.type === "text" ? event.text : "")).join("");
}

/** What a speaking server says to a request. */
export function speak(body: Record<string, unknown>): ScriptedReply {
  const last = (body.messages as { role: string }[]).at(-1)!;
  if (last.role === "tool") return { text: SPOKEN.afterCall };
  const hasTools = Array.isArray(body.tools) && body.tool_choice !== "none";
  if (hasTools) return { reasoning: SPOKEN.reasoning, toolCalls: [SPOKEN.call] };
  return { reasoning: SPOKEN.reasoning, text: SPOKEN.answer };
}
