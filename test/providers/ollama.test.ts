import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import {
  AbortError,
  ContextLengthError,
  GenerationError,
  LLMError,
  ModelLoadError,
  ModelNotFoundError,
  ProtocolError,
  RateLimitError,
  ValidationError,
} from "../../src/errors.js";
import { OllamaProvider, type OllamaSettings } from "../../src/providers/ollama.js";
import type { CallContext, ProviderEvent } from "../../src/providers/provider.js";
import { checkRequest } from "../../src/request.js";
import type { LLMRequest, PullProgress, Tool } from "../../src/types.js";
import {
  describeProviderContract,
  failureOf,
  newContext,
  speak,
} from "../contracts/provider-contract.js";
import { type FakeOllama, startFakeOllama } from "../servers/fake-ollama.js";
import type { ScriptedReply } from "../servers/scripted-replies.js";

const look: Tool = { type: "function", function: { name: "look" } };
/** Enough for the slowest machine; the tests themselves wait for events. */
jest.setTimeout(30_000);

const picture = { type: "image" as const, image: Uint8Array.of(1, 2, 3) };

let server: FakeOllama;
let provider: OllamaProvider;

beforeEach(async () => {
  server = await startFakeOllama();
  provider = newProvider();
});

afterEach(async () => {
  await provider.close();
  await server.close();
});

function newProvider(settings: Partial<OllamaSettings> = {}): OllamaProvider {
  return new OllamaProvider({
    baseUrl: server.url,
    model: "tiny",
    connectTimeout: 3,
    verifySsl: true,
    ...settings,
  });
}

async function eventsOf(
  request: Partial<LLMRequest> = {},
  context: CallContext = newContext(),
): Promise<ProviderEvent[]> {
  const events: ProviderEvent[] = [];
  const checked = checkRequest({ messages: "Hello", ...request });
  for await (const batch of provider.stream(checked, context)) events.push(...batch);
  return events;
}

function textOf(events: ProviderEvent[]): string {
  return events.map((event) => (event.type === "text" ? event.text : "")).join("");
}

function failure(request: Partial<LLMRequest> = {}): Promise<LLMError> {
  return failureOf(eventsOf(request));
}

const anyContext = () => ({ signal: new AbortController().signal });

describe("a reply", () => {
  test("is one start, the text, and one finish", async () => {
    const events = await eventsOf();
    expect(events[0]).toEqual({ type: "start", model: "tiny", warnings: [] });
    expect(textOf(events)).toBe("Hello from a fake.");
    expect(events.at(-1)).toMatchObject({
      type: "finish",
      finishReason: "stop",
      usage: { completionTokens: 6, promptTokens: expect.any(Number) },
      timings: { firstTokenMs: expect.any(Number), promptTokensPerSecond: expect.any(Number) },
    });
  });

  test("is asked for with everything the request says, and its id", async () => {
    const context = newContext();
    const providerOptions = { ollama: { keepAlive: "5m", options: { num_ctx: 256 } } };
    await eventsOf({ maxTokens: 3, providerOptions }, context);
    const { path, headers, json } = server.requests[0]!;
    expect(path).toBe("/api/chat");
    expect(headers).toMatchObject({ "x-request-id": context.requestId });
    expect(headers).not.toHaveProperty("authorization");
    expect(json).toEqual({
      model: "tiny",
      messages: [{ role: "user", content: "Hello" }],
      stream: true,
      truncate: false,
      shift: false,
      options: { temperature: 0.7, num_predict: 3, num_ctx: 256 },
      keep_alive: "5m",
    });
  });

  test("tells how far the call has come", async () => {
    const seen: object[] = [];
    await eventsOf({}, { ...newContext(), onProgress: (progress) => seen.push(progress) });
    expect(seen[0]).toEqual({ phase: "load" });
    expect(Object.assign({}, ...seen)).toMatchObject({ phase: "prompt", status: 200 });
  });

  test("has its thoughts, and its calls as they are due", async () => {
    server.replies.once({ reasoning: ["H", "m."], text: ["Yes."] });
    const thoughtful = await eventsOf({ model: "tiny-thinking", reasoning: true });
    const thoughts = thoughtful.map((event) => (event.type === "reasoning" ? event.text : ""));
    expect(thoughts.join("")).toBe("Hm.");
    expect(textOf(thoughtful)).toBe("Yes.");

    server.replies.once({ toolCalls: [{ name: "look", arguments: { at: "me" } }] });
    const calling = await eventsOf({ model: "tiny-tools", tools: [look] });
    expect(calling.slice(1)).toMatchObject([
      { type: "tool-call", toolCall: { name: "look", arguments: { at: "me" } } },
      { type: "finish", finishReason: "tool_calls" },
    ]);
  });

  test("has log-probabilities where they were asked for", async () => {
    const finish = (await eventsOf({ topLogprobs: 2 })).at(-1);
    expect(finish).toMatchObject({ type: "finish", logprobs: expect.any(Array) });
    const { logprobs } = finish as { logprobs: { token: string; topLogprobs: object[] }[] };
    expect(logprobs.map(({ token }) => token).join("")).toBe("Hello from a fake.");
    expect(logprobs.every(({ topLogprobs }) => topLogprobs.length === 2)).toBe(true);
  });

  test("is the same, however its bytes arrive", async () => {
    server.replies.set({ text: ["Grüße, ", "\u{1F426}", " und\u2028", "Ende"] });
    const whole = textOf(await eventsOf());
    for (const fault of ["split-bytes", "crlf", "bom", "comments"] as const) {
      server.fault(fault, { times: 1 });
      expect([fault, textOf(await eventsOf())]).toEqual([fault, whole]);
    }
  });

  test("comes over a connection that was there before", async () => {
    for (let count = 0; count < 8; count++) await eventsOf();
    expect(server.requests).toHaveLength(8);
    expect(server.connections).toBeLessThanOrEqual(2);
  });

  test("that is whole stays whole, whatever becomes of its connection", async () => {
    const breaking = createServer((_request, response) => {
      const line = { model: "tiny", message: { role: "assistant", content: "Hello" }, done: true };
      response.write(`${JSON.stringify({ ...line, done_reason: "stop" })}\n`, () => {
        response.socket!.destroySoon();
      });
    });
    await once(breaking.listen(0, "127.0.0.1"), "listening");
    const { port } = breaking.address() as AddressInfo;
    provider = newProvider({ baseUrl: `http://127.0.0.1:${port}` });
    const events = await eventsOf();
    expect(textOf(events)).toBe("Hello");
    expect(events.at(-1)).toMatchObject({ type: "finish", finishReason: "stop" });
    breaking.close();
  });

  test("may come from an unchecked server, with a warning", async () => {
    const secure = await startFakeOllama({ tls: true });
    provider = newProvider({ baseUrl: secure.url, verifySsl: false });
    const [start] = await eventsOf();
    expect(start).toMatchObject({ warnings: [expect.stringContaining("certificate")] });
    await provider.close();
    provider = newProvider({ baseUrl: secure.url });
    expect(await failure()).toMatchObject({ code: "tls" });
    await secure.close();
  });

  test("carries warnings of options that Ollama ignores", async () => {
    const [start] = await eventsOf({ providerOptions: { ollama: { options: { num_ctxx: 1 } } } });
    expect(start).toMatchObject({ warnings: [expect.stringContaining("num_ctxx")] });
  });
});

describe("a request that names no model", () => {
  beforeEach(() => {
    provider = newProvider({ model: undefined });
  });

  test("is answered by the first model that can chat, with a warning", async () => {
    const [start] = await eventsOf();
    expect(start).toEqual({
      type: "start",
      model: "tiny:latest",
      warnings: ['no model was named, so "tiny:latest" answers'],
    });
  });

  test("is answered by the model in memory", async () => {
    await provider.loadModel("tiny-tools", anyContext());
    expect((await eventsOf())[0]).toMatchObject({ model: "tiny-tools:latest" });
  });

  test("is answered by the configured model, without a question and a warning", async () => {
    provider = newProvider({ model: "tiny-tools" });
    expect((await eventsOf())[0]).toMatchObject({ model: "tiny-tools", warnings: [] });
    expect(server.requests).toHaveLength(1);
  });
});

describe("an image", () => {
  const messages = [{ role: "user" as const, content: [picture] }];

  test("is sent to a model that can see", async () => {
    server.models.add({ name: "tiny-vision", capabilities: ["completion", "vision"] });
    await eventsOf({ model: "tiny-vision", messages });
    expect(server.requests.at(-1)!.json).toMatchObject({ messages: [{ images: ["AQID"] }] });
  });

  test("is refused for any other, which would not notice it", async () => {
    const error = await failure({ messages });
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toMatchObject({
      code: "unsupported",
      message: `Ollama's model "tiny" does not support images.`,
      model: "tiny",
      url: server.url,
    });
    expect(server.requests.map(({ path }) => path)).not.toContain("/api/chat");
  });
});

describe("fails with a typed error", () => {
  test("for an unknown model", async () => {
    const error = await failure({ model: "nobody/has-this" });
    expect(error).toBeInstanceOf(ModelNotFoundError);
    expect(error).toMatchObject({
      code: "model_not_found",
      status: 404,
      hint: expect.stringContaining("ollama pull nobody/has-this"),
    });
  });

  test("for a prompt beyond the context, in the words of either engine", async () => {
    const options = { num_ctx: 32 };
    const long = { messages: "word ".repeat(500), providerOptions: { ollama: { options } } };
    const error = await failure(long);
    expect(error).toBeInstanceOf(ContextLengthError);
    expect(error).toMatchObject({ code: "context_length_exceeded", retryable: false });
    server.fault("ollama-overflow-of-llama-server");
    expect(await failure(long)).toBeInstanceOf(ContextLengthError);
  });

  test.each<[string, Partial<LLMRequest>]>([
    ["tools", { tools: [look] }],
    ["thinking", { reasoning: true }],
    ["a way of thinking", { reasoning: "low", model: "tiny-thinking" }],
    ["a chat", { model: "tiny-embed" }],
  ])("for %s where the model has none", async (_what, request) => {
    const error = await failure(request);
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toMatchObject({ code: "unsupported", status: 400, retryable: false });
  });

  test.each([
    ["ollama-busy", RateLimitError, { code: "overloaded", status: 503, retryable: true }],
    ["ollama-out-of-memory", ModelLoadError, { code: "model_load_failed", retryable: false }],
    ["ollama-broken-weights", ModelLoadError, { code: "model_load_failed", retryable: false }],
    ["ollama-runner-terminated", ModelLoadError, { code: "model_crashed", retryable: true }],
    ["ollama-runner-died", ModelLoadError, { code: "model_crashed", retryable: true }],
    ["ollama-canceled", GenerationError, { code: "canceled_by_server", retryable: false }],
    ["ollama-page-not-found", ProtocolError, { code: "protocol", retryable: false }],
    ["server-error", GenerationError, { code: "server_error", retryable: true }],
    ["html", ProtocolError, { code: "protocol" }],
    ["error-text-with-200", LLMError, { message: expect.stringContaining("it went wrong") }],
    ["other-model", ModelNotFoundError, { code: "model_mismatch" }],
  ] as const)("for %s", async (fault, errorClass, details) => {
    server.fault(fault);
    const error = await failure();
    expect(error).toBeInstanceOf(errorClass);
    expect(error).toMatchObject({ provider: "ollama", model: "tiny", ...details });
  });

  test.each([
    ["eof", ProtocolError, "stream_truncated"],
    ["zero-deltas", ProtocolError, "stream_truncated"],
    ["cut", LLMError, "connection_reset"],
    ["reset", LLMError, "connection_reset"],
    ["garbage", ProtocolError, "protocol"],
    ["error-event", LLMError, "model_crashed"],
  ] as const)("for %s in the middle of a reply", async (fault, errorClass, code) => {
    const message = "an error was encountered while running the model: unexpected EOF";
    server.fault(fault, { message });
    const error = await failure();
    expect(error).toBeInstanceOf(errorClass);
    expect(error).toMatchObject({ code, provider: "ollama", model: "tiny" });
  });

  test("for a reply of nothing", async () => {
    server.replies.set({ text: [], completionTokens: 0 });
    expect(await failure()).toMatchObject({ code: "empty_response", model: "tiny" });
  });

  test("for a server that is not there", async () => {
    server.fault("connection-refused");
    expect(await failure()).toMatchObject({
      code: "connection_refused",
      url: server.url,
      hint: expect.stringContaining("ollama serve"),
    });
  });
});

describe("aborting", () => {
  test("in the middle of a reply disconnects, and leaves the others alone", async () => {
    server.replies.set({ text: Array.from({ length: 50 }, () => "la ") });
    server.fault("slow-drip", { ms: 20 });
    const controller = new AbortController();
    const aborted = async () => {
      const checked = checkRequest("Hello");
      for await (const _batch of provider.stream(checked, newContext(controller.signal))) {
        controller.abort(new Error("enough"));
      }
    };
    const other = eventsOf();
    const error = await failureOf(aborted());
    expect(error).toBeInstanceOf(AbortError);
    expect(error.cause).toEqual(new Error("enough"));
    await server.disconnectCount(1);
    expect(textOf(await other)).toHaveLength(150);
    expect(server.disconnects).toBe(1);
  });

  test("while the model loads disconnects", async () => {
    server.fault("never-answers");
    const controller = new AbortController();
    const error = failureOf(eventsOf({}, newContext(controller.signal)));
    await server.requestCount(1);
    controller.abort();
    expect(await error).toBeInstanceOf(AbortError);
    await server.disconnectCount(1);
  });

  test("leaving the loop disconnects", async () => {
    server.fault("silence");
    for await (const _batch of provider.stream(checkRequest("Hello"), newContext())) break;
    await server.disconnectCount(1);
  });
});

test("fifty replies at a time do not disturb each other", async () => {
  server.replies.set(({ messages }) => {
    const [{ content }] = messages as [{ content: string }];
    return { text: Array.from({ length: 30 }, () => `${content} `) };
  });
  const names = Array.from({ length: 50 }, (_, index) => `bird ${index}`);
  const replies = await Promise.all(names.map((messages) => eventsOf({ messages })));
  expect(replies.map(textOf)).toEqual(names.map((name) => `${name} `.repeat(30)));
});

describe("models", () => {
  test("are listed with what is known of them", async () => {
    await provider.loadModel("tiny", anyContext());
    const models = await provider.listModels(anyContext());
    expect(models[0]).toMatchObject({
      id: "tiny:latest",
      loaded: true,
      contextLength: 512,
      family: "llama",
    });
    expect(models[1]).toMatchObject({ id: "tiny-tools:latest", loaded: false });
    expect(models[1]).toMatchObject({ contextLength: undefined, capabilities: undefined });
  });

  test("are listed with more by newer servers", async () => {
    const newer = await startFakeOllama({ version: "0.33.0" });
    provider = newProvider({ baseUrl: newer.url });
    expect((await provider.listModels(anyContext()))[1]).toMatchObject({
      capabilities: ["completion", "tools"],
      contextLength: 512,
    });
    await newer.close();
  });

  test("tell their context, whether in memory or not", async () => {
    expect(await provider.contextLength(undefined, anyContext())).toBe(512);
    const providerOptions = { ollama: { options: { num_ctx: 128 } } };
    await eventsOf({ providerOptions });
    expect(await provider.contextLength("tiny", anyContext())).toBe(128);
    const unknown = provider.contextLength("nobody", anyContext());
    expect(await failureOf(unknown)).toBeInstanceOf(ModelNotFoundError);
  });

  test("are brought into memory and out of it", async () => {
    await provider.loadModel(undefined, anyContext());
    expect(server.models.isLoaded("tiny")).toBe(true);
    expect(server.requests.at(-1)!.json).toEqual({ model: "tiny", messages: [] });
    await provider.unloadModel(undefined, anyContext());
    expect(server.models.isLoaded("tiny")).toBe(false);
    const unknown = provider.loadModel("nobody", anyContext());
    expect(await failureOf(unknown)).toBeInstanceOf(ModelNotFoundError);
  });
});

test("a model is pulled, and its progress told", async () => {
  const progress: PullProgress[] = [];
  for await (const step of provider.pullModel("new", anyContext())) progress.push(step);
  expect(progress.at(-1)).toMatchObject({ status: "success" });
  expect(server.models.find("new")).toBeDefined();
});

test("texts are embedded, by a model for that where none is named", async () => {
  const named = await provider.embed({ texts: ["a", "bb"] }, "tiny-embed", anyContext());
  expect(named).toMatchObject({
    model: "tiny-embed",
    embeddings: [expect.any(Array), expect.any(Array)],
  });
  provider = newProvider({ model: undefined });
  expect(await provider.embed({ texts: ["a"] }, undefined, anyContext())).toMatchObject({
    model: "tiny-embed:latest",
  });
});

describe("as a provider", () => {
  let fake: FakeOllama;
  let speaking: FakeOllama;

  afterAll(() => Promise.all([fake.close(), speaking.close()]));

  describeProviderContract({
    create: async () => {
      fake ??= await startFakeOllama({
        models: [{ name: "able", capabilities: ["completion", "tools", "thinking", "vision"] }],
      });
      fake.replies.set(asSampled);
      fake.fault("slow-drip", { ms: 1 });
      const settings = { model: "able", connectTimeout: 3, verifySsl: true };
      return new OllamaProvider({ baseUrl: fake.url, ...settings });
    },
    createSpeaking: async () => {
      speaking = await startFakeOllama({
        models: [{ name: "able", capabilities: ["completion", "tools", "thinking"] }],
      });
      speaking.replies.set(speak);
      const settings = { model: "able", connectTimeout: 3, verifySsl: true };
      return new OllamaProvider({ baseUrl: speaking.url, ...settings });
    },
    longRequest: { messages: "Tell me a story." },
  });
});

/** A reply that depends on the options as one of a model does, without a model. */
function asSampled(body: Record<string, unknown>): ScriptedReply {
  const { temperature, top_k, top_p, min_p, seed, ...rest } = body.options as Record<
    string,
    number
  >;
  const isGreedy = temperature === 0 || top_k === 1 || top_p === 1e-6 || min_p === 1;
  const { repeat_penalty, presence_penalty, frequency_penalty } = rest;
  const penalties = [repeat_penalty, presence_penalty, frequency_penalty].map(
    (value) => value ?? 0,
  );
  const words = `${isGreedy ? "sure" : (seed ?? Math.random())} ${penalties.join(" ")}`;
  return { text: Array.from({ length: 100 }, (_, index) => `${words} ${index} `) };
}
