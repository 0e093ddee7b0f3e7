import {
  AbortError,
  AuthenticationError,
  ConnectionError,
  ContextLengthError,
  GenerationError,
  type LLMError,
  ModelLoadError,
  ModelNotFoundError,
  ProtocolError,
  ValidationError,
} from "../../src/errors.js";
import type { ServerSettings } from "../../src/openai/server.js";
import { LmStudioProvider } from "../../src/providers/lmstudio.js";
import type { CallContext, ProviderEvent } from "../../src/providers/provider.js";
import { checkRequest } from "../../src/request.js";
import type { LLMRequest, PullProgress, Tool } from "../../src/types.js";
import {
  describeProviderContract,
  failureOf,
  newContext,
  speak,
} from "../contracts/provider-contract.js";
import {
  type FakeLmStudio,
  type FakeLmStudioOptions,
  LM_STUDIO_TOKEN,
  startFakeLmStudio,
} from "../servers/fake-lm-studio.js";
import type { FaultName } from "../servers/faults.js";
import type { ScriptedReply } from "../servers/scripted-replies.js";

/** Enough for the slowest machine; the tests themselves wait for events. */
jest.setTimeout(30_000);

const LOOK: Tool = { type: "function", function: { name: "look" } };
const STORY = Array.from({ length: 40 }, (_, index) => ` word${index}`);

let server: FakeLmStudio;
let provider: LmStudioProvider;

afterEach(async () => {
  await provider?.close();
  await server?.close();
});

/** Starts a server with a loaded model, and a provider for it. */
async function start(
  options: FakeLmStudioOptions = {},
  settings: Partial<ServerSettings> = {},
): Promise<void> {
  server = await startFakeLmStudio({ loaded: ["tiny-chat"], ...options });
  provider = newProvider({ model: "tiny-chat", ...settings });
}

function newProvider(settings: Partial<ServerSettings>): LmStudioProvider {
  return new LmStudioProvider({
    baseUrl: server.url,
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
  return events.filter(({ type }) => type !== "progress");
}

function failure(request: Partial<LLMRequest> = {}): Promise<LLMError> {
  return failureOf(eventsOf(request));
}

function textOf(events: ProviderEvent[]): string {
  return events.map((event) => (event.type === "text" ? event.text : "")).join("");
}

const anyContext = () => ({ signal: new AbortController().signal });
const pathsOf = () => server.requests.map(({ method, path }) => `${method} ${path}`);

describe("a reply", () => {
  test("is one start, the text, and one finish", async () => {
    await start();
    const events = await eventsOf();
    expect(events[0]).toEqual({ type: "start", model: "tiny-chat", warnings: [] });
    expect(textOf(events)).toBe("Hello from a fake.");
    expect(events.at(-1)).toMatchObject({
      type: "finish",
      finishReason: "stop",
      usage: { completionTokens: 6, promptTokens: expect.any(Number), reasoningTokens: 0 },
      timings: { firstTokenMs: expect.any(Number) },
    });
  });

  test("is asked for with what the request says, its id, and no key", async () => {
    await start();
    const context = newContext();
    await eventsOf({ maxTokens: 3, providerOptions: { lmstudio: { ttl: 60 } } }, context);
    const { path, headers, json } = server.requests[0]!;
    expect(path).toBe("/v1/chat/completions");
    expect(headers).toMatchObject({ "x-request-id": context.requestId });
    expect(headers).not.toHaveProperty("authorization");
    expect(json).toEqual({
      model: "tiny-chat",
      messages: [{ role: "user", content: "Hello" }],
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0.7,
      max_tokens: 3,
      ttl: 60,
    });
  });

  test.each(["/v1", "/v1/", "/"])(
    "is asked for at the same place with %s at the end",
    async (end) => {
      await start();
      await provider.close();
      provider = newProvider({ baseUrl: server.url + end, model: "tiny-chat" });
      expect(textOf(await eventsOf())).toBe("Hello from a fake.");
      expect(await provider.listModels(anyContext())).toHaveLength(4);
      expect(pathsOf()).toEqual(["POST /v1/chat/completions", "GET /api/v1/models"]);
    },
  );

  test("tells how far the call has come", async () => {
    await start();
    const seen: object[] = [];
    await eventsOf({}, { ...newContext(), onProgress: (progress) => seen.push(progress) });
    expect(seen[0]).toEqual({ phase: "load" });
    expect(Object.assign({}, ...seen)).toMatchObject({ phase: "prompt", status: 200 });
  });

  test.each(["reasoning_content", "reasoning"] as const)("has thoughts from %s", async (field) => {
    await start({ reasoningField: field });
    server.replies.once({ reasoning: ["H", "m."], text: ["Yes."] });
    const events = await eventsOf({ reasoning: true });
    const thoughts = events.map((event) => (event.type === "reasoning" ? event.text : ""));
    expect(thoughts.join("")).toBe("Hm.");
    expect(textOf(events)).toBe("Yes.");
    expect(events.at(-1)).toMatchObject({ usage: { reasoningTokens: 2 } });
  });

  test("has several tool calls, put together from their fragments", async () => {
    await start();
    const toolCalls = [
      { name: "look", arguments: { at: "the cat" } },
      { name: "look", arguments: {} },
    ];
    server.replies.once({ text: ["Wait."], toolCalls });
    const events = await eventsOf({ tools: [LOOK] });
    const deltas = events.flatMap((event) => (event.type === "tool-call-delta" ? [event] : []));
    const written = [0, 1].map((index) =>
      deltas.map((delta) => (delta.index === index ? delta.argumentsDelta : "")).join(""),
    );
    expect(written).toEqual(['{"at":"the cat"}', "{}"]);
    expect(events.filter(({ type }) => type !== "tool-call-delta").slice(1)).toMatchObject([
      { type: "text", text: "Wait." },
      {
        type: "tool-call",
        toolCall: { id: "365174485", name: "look", arguments: { at: "the cat" } },
      },
      { type: "tool-call", toolCall: { id: "365174486", name: "look", arguments: {} } },
      { type: "finish", finishReason: "tool_calls" },
    ]);
  });

  test.each([
    ["chat.sse", ["text"]],
    ["chat-reasoning.sse", ["reasoning", "text"]],
    ["chat-tools.sse", ["tool-call-delta", "tool-call"]],
  ])("is understood as LM Studio documents it: %s", async (recording, types) => {
    await start();
    server.replies.once({ recording: `0.4/${recording}` });
    const events = await eventsOf({ tools: [LOOK] });
    const seen = new Set(events.map(({ type }) => type));
    expect([...seen]).toEqual(["start", ...types, "finish"]);
  });

  test("is the same, however its bytes arrive", async () => {
    await start();
    server.replies.set({ text: ["Grüße, ", "\u{1F426}", " und\u2028", "Ende"] });
    const whole = textOf(await eventsOf());
    expect(whole).toBe("Grüße, \u{1F426} und\u2028Ende");
    const ways = ["split-bytes", "crlf", "cr", "bom", "comments", "no-space"] as const;
    for (const fault of ways) {
      server.fault(fault, { times: 1 });
      expect([fault, textOf(await eventsOf())]).toEqual([fault, whole]);
    }
  });

  test("may come without [DONE], with late counts, or with none", async () => {
    await start();
    for (const fault of ["finish-without-done", "late-usage", "no-usage"] as const) {
      server.fault(fault, { times: 1 });
      const events = await eventsOf();
      expect([fault, textOf(events)]).toEqual([fault, "Hello from a fake."]);
      const usage = fault === "no-usage" ? {} : { completionTokens: 6 };
      expect(events.at(-1)).toMatchObject({ finishReason: "stop", usage });
    }
  });

  test("without a finish but with [DONE] is told in a warning", async () => {
    await start();
    server.fault("done-without-finish");
    expect((await eventsOf()).at(-1)).toMatchObject({
      finishReason: "other",
      warnings: [expect.stringContaining("why the reply ended")],
    });
  });

  test("leaves its connection for the next one", async () => {
    await start();
    for (let count = 0; count < 5; count++) await eventsOf();
    expect(server.connections).toBeLessThanOrEqual(2);
  });

  test("fifty at a time do not disturb each other", async () => {
    await start();
    server.replies.set(({ messages }) => {
      const [{ content }] = messages as [{ content: string }];
      return { text: STORY.map((word) => `${word}${content}`) };
    });
    const ask = async (name: string) => textOf(await eventsOf({ messages: name }));
    const names = Array.from({ length: 50 }, (_, index) => `-${index}`);
    const replies = await Promise.all(names.map(ask));
    expect(replies).toEqual(names.map((name) => STORY.map((word) => word + name).join("")));
  });

  test("of a server whose certificate nobody checks says so", async () => {
    await start({ tls: true });
    expect(await failure()).toMatchObject({ code: "tls" });
    await provider.close();
    provider = newProvider({ model: "tiny-chat", verifySsl: false });
    expect((await eventsOf())[0]).toMatchObject({
      warnings: ["the server's TLS certificate was not checked"],
    });
  });
});

describe("the model for requests that name none", () => {
  test("is the loaded one, with a warning", async () => {
    await start({ loaded: ["text-embedding-tiny", "tiny-reasoner"] }, { model: undefined });
    expect((await eventsOf())[0]).toEqual({
      type: "start",
      model: "tiny-reasoner",
      warnings: ['no model was named, so "tiny-reasoner" answers'],
    });
  });

  test("is else the first one that can chat, which is then loaded", async () => {
    await start({ loaded: [] }, { model: undefined });
    expect((await eventsOf())[0]).toMatchObject({ model: "tiny-chat" });
    expect(server.models.isLoaded("tiny-chat")).toBe(true);
  });

  test("must be there", async () => {
    const models = [{ id: "text-embedding-tiny", type: "embeddings" as const }];
    await start({ models, loaded: [] }, { model: undefined });
    const error = await failure();
    expect(error).toBeInstanceOf(ModelNotFoundError);
    expect(error).toMatchObject({ provider: "lmstudio", hint: expect.stringContaining("lms get") });
  });
});

describe("a failure", () => {
  test.each<[FaultName, new (message: string) => LLMError, string]>([
    ["lm-studio-unexpected-endpoint", ProtocolError, "protocol"],
    ["lm-studio-model-not-found", ModelNotFoundError, "model_not_found"],
    ["lm-studio-nothing-loaded", ModelLoadError, "model_not_loaded"],
    ["lm-studio-nothing-loaded-old", ModelLoadError, "model_not_loaded"],
    ["lm-studio-crashed", ModelLoadError, "model_crashed"],
    ["lm-studio-unloaded", ModelLoadError, "model_unloaded"],
    ["lm-studio-is-unloaded", ModelLoadError, "model_unloaded"],
    ["lm-studio-load-failed", ModelLoadError, "model_load_failed"],
    ["lm-studio-guardrail", ModelLoadError, "model_load_failed"],
    ["lm-studio-overflow", ContextLengthError, "context_length_exceeded"],
    ["lm-studio-overflow-old", ContextLengthError, "context_length_exceeded"],
    ["lm-studio-overflow-in-stream", ContextLengthError, "context_length_exceeded"],
    ["lm-studio-missing-token", AuthenticationError, "auth"],
    ["lm-studio-malformed-token", AuthenticationError, "auth"],
    ["error-with-200", GenerationError, "server_error"],
    ["zero-deltas", ProtocolError, "empty_response"],
    ["empty-finish", ProtocolError, "empty_response"],
    ["other-model", ModelNotFoundError, "model_mismatch"],
    ["html", ProtocolError, "protocol"],
    ["empty-body", ProtocolError, "protocol"],
    ["not-json", ProtocolError, "protocol"],
    ["wrong-shape", ProtocolError, "protocol"],
    ["garbage", ProtocolError, "protocol"],
    ["eof", ProtocolError, "stream_truncated"],
    ["cut", ConnectionError, "connection_reset"],
    ["reset", ConnectionError, "connection_reset"],
  ])("%s is a %p with the code %s", async (fault, errorClass, code) => {
    await start();
    const settings = fault === "empty-finish" ? { completionTokens: 0 } : {};
    server.replies.set({ text: ["Hello", " you", "."], ...settings });
    server.fault(fault);
    const error = await failure();
    expect(error).toBeInstanceOf(errorClass);
    expect(error).toMatchObject({
      code,
      provider: "lmstudio",
      model: "tiny-chat",
      url: server.url,
    });
  });

  test("before any content delivers nothing but perhaps a start", async () => {
    await start();
    server.fault("other-model");
    const seen: ProviderEvent[] = [];
    const reading = async () => {
      const stream = provider.stream(checkRequest("Hello"), newContext());
      for await (const batch of stream) seen.push(...batch);
    };
    await failureOf(reading());
    expect(seen).toEqual([]);
  });

  test("in the middle keeps what came before it", async () => {
    await start();
    server.fault("error-event", { message: "Model unloaded by user or API request." });
    const seen: ProviderEvent[] = [];
    const reading = async () => {
      const stream = provider.stream(checkRequest("Hello"), newContext());
      for await (const batch of stream) seen.push(...batch);
    };
    expect(await failureOf(reading())).toMatchObject({ code: "model_unloaded" });
    expect(textOf(seen)).toBe("Hello");
  });

  test("to name a known model is told by its name", async () => {
    await start();
    const error = await failure({ model: "nobody/has-this" });
    expect(error).toBeInstanceOf(ModelNotFoundError);
    expect(error).toMatchObject({ code: "model_mismatch", model: "nobody/has-this" });
    expect(error.message).toContain('"nobody/has-this"');
    expect(error.message).toContain('"tiny-chat"');
  });

  test("in the shape of a request is found before anything is sent", async () => {
    await start();
    const body = { messages: [] };
    const error = await failure({ providerOptions: { lmstudio: { body } } });
    expect(error).toBeInstanceOf(ValidationError);
    expect(server.requests).toEqual([]);
  });
});

describe("a server that wants a token", () => {
  beforeEach(() => start({ token: LM_STUDIO_TOKEN }));

  test("answers who has it", async () => {
    await provider.close();
    provider = newProvider({ model: "tiny-chat", apiKey: LM_STUDIO_TOKEN });
    expect(textOf(await eventsOf())).toBe("Hello from a fake.");
    expect(await provider.health(anyContext())).toMatchObject({
      healthy: true,
      authenticated: true,
    });
  });

  test.each([
    ["no token", undefined],
    ["a malformed one", "lm-studio-is-great"],
  ])("refuses %s, in chats, lists and health checks", async (_name, apiKey) => {
    await provider.close();
    provider = newProvider({ model: "tiny-chat", apiKey });
    const error = await failure();
    expect(error).toBeInstanceOf(AuthenticationError);
    expect(error.hint).toContain("apiKey");
    expect(await failureOf(provider.listModels(anyContext()))).toBeInstanceOf(AuthenticationError);
    const health = await provider.health(anyContext());
    expect(health).toMatchObject({
      healthy: false,
      reachable: true,
      authenticated: false,
      code: "auth",
    });
    for (const told of [error, health]) expect(JSON.stringify(told)).not.toContain("is-great");
  });
});

describe("aborting", () => {
  beforeEach(async () => {
    await start();
    server.replies.set({ text: STORY });
  });

  test("in the middle is seen by the server", async () => {
    server.fault("silence", { afterPieces: 3 });
    const controller = new AbortController();
    const reading = async () => {
      const stream = provider.stream(checkRequest("Hello"), newContext(controller.signal));
      for await (const batch of stream) if (textOf([...batch])) controller.abort();
    };
    expect(await failureOf(reading())).toBeInstanceOf(AbortError);
    await server.disconnectCount(1);
    expect(server.requests[0]!.disconnected).toBe(true);
  });

  test("while the model loads is seen by the server", async () => {
    server.fault("headers-then-silence");
    const controller = new AbortController();
    const reading = failureOf(eventsOf({}, newContext(controller.signal)));
    await server.requestCount(1);
    controller.abort();
    expect(await reading).toBeInstanceOf(AbortError);
    await server.disconnectCount(1);
  });

  test("by leaving the loop is seen by the server", async () => {
    server.fault("silence", { afterPieces: 3 });
    for await (const batch of provider.stream(checkRequest("Hello"), newContext())) {
      if (textOf([...batch])) break;
    }
    await server.disconnectCount(1);
  });
});

describe("models", () => {
  test("are listed with all that LM Studio tells", async () => {
    await start();
    const models = await provider.listModels(anyContext());
    expect(models.map(({ id }) => id)).toEqual([
      "tiny-chat",
      "tiny-reasoner",
      "tiny-vision",
      "text-embedding-tiny",
    ]);
    expect(models[0]).toEqual({
      id: "tiny-chat",
      provider: "lmstudio",
      object: "model",
      ownedBy: "tests",
      contextLength: 4096,
      description: "tiny-chat",
      size: 241_410_208,
      quantization: "4-bit",
      family: "qwen2",
      capabilities: ["completion", "tools"],
      loaded: true,
    });
    expect(models[1]).toMatchObject({
      contextLength: 32_768,
      loaded: false,
      capabilities: ["completion", "thinking"],
    });
    expect(models.at(-1)).toMatchObject({ capabilities: ["embedding"] });
  });

  test.each([
    ["0.4", ["/api/v1/models"], { loaded: true, quantization: "4-bit" }],
    ["0.3", ["/api/v1/models", "/api/v0/models"], { loaded: true, quantization: "4-bit" }],
    ["0.2", ["/api/v1/models", "/api/v0/models", "/v1/models"], { ownedBy: "organization_owner" }],
  ] as const)("are listed by version %s, which is asked once", async (version, paths, told) => {
    await start({ version });
    for (let count = 0; count < 2; count++) {
      const models = await provider.listModels(anyContext());
      expect(models).toHaveLength(4);
      expect(models[0]).toMatchObject({ id: "tiny-chat", provider: "lmstudio", ...told });
    }
    expect(pathsOf()).toEqual([...paths, paths.at(-1)].map((path) => `GET ${path}`));
  });

  test.each(["html", "html-not-found", "wrong-shape"] as const)(
    "of another kind of server are listed too, which answers %s elsewhere",
    async (fault) => {
      await start();
      server.fault(fault, { on: "/api" });
      expect(await provider.listModels(anyContext())).toHaveLength(4);
    },
  );

  test("are listed again after the server has become another one", async () => {
    await start();
    await provider.listModels(anyContext());
    server.fault("lm-studio-unexpected-endpoint", { on: "/api/v1" });
    await failureOf(provider.listModels(anyContext()));
    expect(await provider.listModels(anyContext())).toHaveLength(4);
    expect(pathsOf().at(-1)).toBe("GET /api/v0/models");
  });

  test("are not listed by something else at the port", async () => {
    await start();
    server.fault("html", { on: "everything" });
    expect(await failureOf(provider.listModels(anyContext()))).toMatchObject({ code: "protocol" });
  });

  test("have the context that they were loaded with, or else could have", async () => {
    await start();
    server.models.load("tiny-chat", 2000);
    expect(await provider.contextLength(undefined, anyContext())).toBe(2000);
    expect(await provider.contextLength("tests/tiny-reasoner", anyContext())).toBe(32_768);
    expect(await provider.contextLength("unknown", anyContext())).toBeUndefined();
  });
});

describe("health", () => {
  test("tells that the model is there and loaded", async () => {
    await start();
    expect(await provider.health(anyContext())).toMatchObject({
      provider: "lmstudio",
      healthy: true,
      reachable: true,
      authenticated: true,
      model: "tiny-chat",
      modelPresent: true,
      modelLoaded: true,
      url: server.url,
      latencyMs: expect.any(Number),
    });
  });

  test("is good while the model is not loaded", async () => {
    await start({ loaded: [] }, { model: undefined });
    expect(await provider.health(anyContext())).toMatchObject({
      healthy: true,
      model: "tiny-chat",
      modelPresent: true,
      modelLoaded: false,
    });
  });

  test("is bad without the model", async () => {
    await start({}, { model: "huge-chat" });
    expect(await provider.health(anyContext())).toMatchObject({
      healthy: false,
      reachable: true,
      model: "huge-chat",
      modelPresent: false,
      code: "model_not_found",
      hint: expect.stringContaining("lms get huge-chat"),
    });
  });

  test("is bad without any model", async () => {
    await start({ models: [], loaded: [] }, { model: undefined });
    expect(await provider.health(anyContext())).toMatchObject({
      healthy: false,
      reachable: true,
      code: "model_not_found",
    });
  });

  test("does not judge by the list of another kind of server", async () => {
    await start({ version: "0.2" }, { model: "an-alias" });
    const health = await provider.health(anyContext());
    expect(health).toMatchObject({ healthy: true, model: "an-alias" });
    expect(health.modelPresent).toBeUndefined();
  });

  test("is bad where nobody answers", async () => {
    await start();
    server.fault("connection-refused");
    expect(await provider.health(anyContext())).toMatchObject({
      healthy: false,
      reachable: false,
      code: "connection_refused",
      hint: expect.stringContaining("lms server start"),
    });
  });

  test("is bad where something else answers", async () => {
    await start();
    server.fault("html", { on: "everything" });
    expect(await provider.health(anyContext())).toMatchObject({
      healthy: false,
      reachable: true,
      code: "protocol",
    });
  });
});

describe("managing models", () => {
  test("loads a model once", async () => {
    await start();
    await provider.loadModel("tiny-reasoner", anyContext());
    await provider.loadModel("tests/tiny-reasoner", anyContext());
    expect(server.models.isLoaded("tiny-reasoner")).toBe(true);
    expect(pathsOf().filter((path) => path.endsWith("/load"))).toHaveLength(1);
  });

  test("loads the model of the configuration where none is named", async () => {
    await start({ loaded: [] });
    await provider.loadModel(undefined, anyContext());
    expect(server.models.isLoaded("tiny-chat")).toBe(true);
  });

  test("frees a model, and does nothing where it is not loaded", async () => {
    await start();
    for (let count = 0; count < 2; count++) await provider.unloadModel("tiny-chat", anyContext());
    expect(server.models.isLoaded("tiny-chat")).toBe(false);
    expect(pathsOf().filter((path) => path.endsWith("/unload"))).toHaveLength(1);
  });

  test.each(["loadModel", "unloadModel"] as const)(
    "%s fails for an unknown model",
    async (method) => {
      await start();
      const error = await failureOf(provider[method]("huge-chat", anyContext()));
      expect(error).toBeInstanceOf(ModelNotFoundError);
      expect(error.model).toBe("huge-chat");
    },
  );

  test("downloads a model, and tells how far it has come", async () => {
    await start();
    const seen: PullProgress[] = [];
    for await (const progress of provider.pullModel("new-model", anyContext())) seen.push(progress);
    expect(seen).toEqual([
      { status: "downloading", total: 1000, completed: 948 },
      { status: "downloading", total: 1000, completed: 500 },
      { status: "completed", total: 1000, completed: 1000 },
    ]);
    expect((await provider.listModels(anyContext())).map(({ id }) => id)).toContain("new-model");
  });

  test("downloads nothing that is there", async () => {
    await start();
    const seen: PullProgress[] = [];
    for await (const progress of provider.pullModel("tiny-chat", anyContext())) seen.push(progress);
    expect(seen).toEqual([
      { status: "already_downloaded", total: undefined, completed: undefined },
    ]);
  });

  const pull = async (model: string, signal = anyContext().signal) => {
    for await (const _progress of provider.pullModel(model, { signal }));
  };

  test("tells that a download failed", async () => {
    await start();
    const error = await failureOf(pull("missing-model"));
    expect(error).toBeInstanceOf(GenerationError);
    expect(error).toMatchObject({ code: "pull_failed", model: "missing-model" });
  });

  test("tells why in one safe line", async () => {
    await start();
    provider = newProvider({ apiKey: LM_STUDIO_TOKEN });
    const reason = `no room\n\u001b[31m for ${LM_STUDIO_TOKEN}${"!".repeat(1000)}`;
    const body = JSON.stringify({ status: reason });
    server.fault("status", { on: "/api/v1/models/download", status: 200, body });
    const { message } = await failureOf(pull("new-model"));
    expect(message).not.toContain(LM_STUDIO_TOKEN);
    expect(message).not.toMatch(/\p{Cc}/u);
    expect(message.length).toBeLessThan(500);
  });

  test("stops waiting for a download when it is aborted", async () => {
    await start({ downloadSteps: 1000 });
    const controller = new AbortController();
    const pulling = failureOf(pull("new-model", controller.signal));
    await server.requestCount(2);
    controller.abort();
    expect(await pulling).toBeInstanceOf(AbortError);
  });

  test.each([
    ["load", () => provider.loadModel("tiny-reasoner", anyContext())],
    ["unload", () => provider.unloadModel("tiny-chat", anyContext())],
    ["download", () => pull("new-model")],
  ])("tells that an older server cannot %s models", async (action, act) => {
    await start({ version: "0.3" });
    const error = await failureOf(act());
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toMatchObject({ code: "unsupported", hint: expect.stringContaining("0.4") });
    expect(error.message).toContain(`cannot ${action} models`);
  });
});

describe("embeddings", () => {
  test("come from the model that is named, or else from one that makes them", async () => {
    await start({}, { model: undefined });
    for (const model of ["text-embedding-tiny", undefined]) {
      const { embeddings, ...rest } = await provider.embed(
        { texts: ["a", "bb"] },
        model,
        anyContext(),
      );
      expect(embeddings).toEqual([
        [0.6, 0.8, 0],
        [0.6, -0.8, 0],
      ]);
      expect(rest).toMatchObject({ model: "text-embedding-tiny", provider: "lmstudio" });
    }
    expect(server.requests[0]!.json).toEqual({ model: "text-embedding-tiny", input: ["a", "bb"] });
  });

  test("are not made by a model that chats", async () => {
    await start();
    const error = await failureOf(provider.embed({ texts: ["a"] }, undefined, anyContext()));
    expect(error).toBeInstanceOf(ModelNotFoundError);
  });

  test.each(["wrong-shape", "html", "other-model"] as const)("fail for %s", async (fault) => {
    await start();
    server.fault(fault, { on: "/v1/embeddings" });
    const error = await failureOf(
      provider.embed({ texts: ["a"] }, "text-embedding-tiny", anyContext()),
    );
    expect(error).toMatchObject({
      code: fault === "other-model" ? "model_mismatch" : "protocol",
      model: "text-embedding-tiny",
    });
  });
});

test("tool calls and JSON may make a reply pause", async () => {
  await start();
  const pauses = (fields: Partial<LLMRequest>) =>
    provider.mayPause(checkRequest({ messages: "Hello", ...fields }));
  expect(pauses({})).toBe(false);
  expect(pauses({ tools: [LOOK] })).toBe(true);
  expect(pauses({ responseFormat: { type: "json_object" } })).toBe(true);
});

describe("as a provider", () => {
  let fake: FakeLmStudio;
  let speaking: FakeLmStudio;

  afterAll(() => Promise.all([fake.close(), speaking.close()]));

  describeProviderContract({
    create: async () => {
      fake ??= await startFakeLmStudio({ loaded: ["tiny-chat"] });
      fake.replies.set(asSampled);
      fake.fault("slow-drip", { ms: 1 });
      const settings = { model: "tiny-chat", connectTimeout: 3, verifySsl: true };
      return new LmStudioProvider({ baseUrl: fake.url, ...settings });
    },
    createSpeaking: async () => {
      speaking = await startFakeLmStudio({ loaded: ["tiny-chat"] });
      speaking.replies.set(speak);
      const settings = { model: "tiny-chat", connectTimeout: 3, verifySsl: true };
      return new LmStudioProvider({ baseUrl: speaking.url, ...settings });
    },
    longRequest: { messages: "Tell me a story." },
    skip: { logprobs: "LM Studio tells none" },
  });
});

/** A reply that depends on the options as one of a model does, without a model. */
function asSampled(body: Record<string, unknown>): ScriptedReply {
  const isGreedy = body.temperature === 0 || body.top_k === 1 || body.top_p === 1e-6;
  const penalties = [body.repeat_penalty, body.presence_penalty, body.frequency_penalty];
  const words = [isGreedy ? "sure" : (body.seed ?? Math.random()), ...penalties].join(" ");
  return { text: Array.from({ length: 100 }, (_, index) => `${words} ${index} `) };
}
