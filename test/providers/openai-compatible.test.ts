import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AbortError, type LLMError, ValidationError } from "../../src/errors.js";
import { LmStudioProvider } from "../../src/providers/lmstudio.js";
import { OpenAiCompatibleProvider } from "../../src/providers/openai-compatible.js";
import type { Provider, ProviderEvent } from "../../src/providers/provider.js";
import { checkRequest } from "../../src/request.js";
import type { LLMRequest, Tool } from "../../src/types.js";
import { makeContractSpeaker } from "../contracts/contract-speaker.js";
import {
  collect,
  describeProviderContract,
  failureOf,
  newContext,
  streamOf,
} from "../contracts/provider-contract.js";
import { makeTalkingModel } from "../helpers/talking-model.js";
import {
  describeMlxLmServer,
  type GenuineMlxLmServer,
  startMlxLmServer,
} from "../servers/mlx-lm.js";
import { describeOllama, type GenuineOllama, startOllama } from "../servers/ollama.js";
import { ANSWER, THOUGHT, TOOL_CALL } from "../servers/scripted-model.js";

/** Real servers on a busy machine. */
jest.setTimeout(120_000);

const WEATHER: Tool = { type: "function", function: { name: "get_weather" } };
const REACH = { connectTimeout: 3, verifySsl: true };
const { signal } = new AbortController();

function textOf(events: readonly ProviderEvent[]): string {
  return events.map((event) => (event.type === "text" ? event.text : "")).join("");
}

async function eventsOf(provider: Provider, request: Partial<LLMRequest> = {}) {
  const events: ProviderEvent[] = [];
  const checked = checkRequest({ messages: "Hello", ...request });
  for await (const batch of provider.stream(checked, newContext())) events.push(...batch);
  return events;
}

describeMlxLmServer("mlx_lm.server", () => {
  let folder: string;
  let server: GenuineMlxLmServer;
  let provider: OpenAiCompatibleProvider;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mlx-lm-model-"));
    server = await startMlxLmServer(await makeTalkingModel(join(folder, "parrot")));
    provider = newProvider();
  });

  afterAll(async () => {
    await provider?.close();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  function newProvider(model: string | undefined = server.model): OpenAiCompatibleProvider {
    return new OpenAiCompatibleProvider("mlx", { baseUrl: server.url, model, ...REACH });
  }

  async function reply(request: Partial<LLMRequest> = {}) {
    const asked = { messages: "Hello", maxTokens: 10, temperature: 0, ...request };
    return (await collect(provider, asked)).response;
  }

  describe("as a provider", () => {
    describeProviderContract({
      create: () => newProvider(),
      createSpeaking: async () => newProvider(await makeContractSpeaker(join(folder, "speaker"))),
      longRequest: { messages: "Tell me a long story." },
      skip: { logprobs: "its streams leave them out" },
      lacks: { images: "its model cannot see" },
    });
  });

  test("answers without a model's name, with what it was started with", async () => {
    const nameless = new OpenAiCompatibleProvider("mlx", { baseUrl: server.url, ...REACH });
    const [start] = await eventsOf(nameless, { maxTokens: 2 });
    expect(start).toEqual({
      type: "start",
      model: "default_model",
      warnings: ['no model was named, so "default_model" answers'],
    });
    expect(await nameless.health({ signal })).toMatchObject({ healthy: true });
    await nameless.close();
  });

  test("goes on for longer than it would by itself", async () => {
    const controller = new AbortController();
    let length = 0;
    const reading = async () => {
      const context = newContext(controller.signal);
      const request = { messages: "Tell me a long story.", seed: 1 };
      for await (const event of streamOf(provider, request, context)) {
        if (event.type === "text") length += event.text.length;
        // Each of its tokens is a character, and it would stop after 512.
        if (length > 520) controller.abort();
      }
    };
    expect(await failureOf(reading())).toBeInstanceOf(AbortError);
  });

  test("has stop texts that end the reply wherever they begin", async () => {
    const { content } = await reply({ maxTokens: 30 });
    for (const length of [1, 3]) {
      const stop = content.slice(10, 10 + length);
      expect(await reply({ maxTokens: 30, stop })).toMatchObject({
        content: content.slice(0, content.indexOf(stop)),
        finishReason: "stop",
      });
    }
  });

  test("is told its own options", async () => {
    const mlx = { xtcProbability: 1, xtcThreshold: 0, templateVariables: { a: 1 } };
    expect(await reply({ providerOptions: { mlx } })).toMatchObject({ finishReason: "length" });
  });

  test("refuses what its model cannot do, and what it does not know itself", async () => {
    const image = { type: "image" as const, image: "data:image/png;base64,AA==" };
    const messages = [{ role: "user" as const, content: [image] }];
    expect(await failureOf(reply({ messages }))).toMatchObject({ code: "unsupported" });
    const responseFormat = { type: "json_object" } as const;
    expect(await failureOf(reply({ responseFormat }))).toMatchObject({ code: "unsupported" });
    expect(provider.embed).toBeUndefined();
  });

  test("lists the folder of its model", async () => {
    expect(await provider.listModels({ signal })).toMatchObject([
      { id: server.model, provider: "mlx", object: "model" },
    ]);
    expect(await provider.contextLength(undefined, { signal })).toBeUndefined();
  });

  test("may be silent while it writes a tool call", () => {
    const pauses = (tools: Tool[]) => provider.mayPause(checkRequest({ messages: "Hi", tools }));
    expect([pauses([]), pauses([WEATHER])]).toEqual([false, true]);
  });
});

describeOllama("Ollama under /v1", () => {
  let server: GenuineOllama;
  let provider: OpenAiCompatibleProvider;

  beforeAll(async () => {
    server = await startOllama();
    provider = newProvider();
  });

  afterAll(async () => {
    await provider?.close();
    await server?.stop();
  });

  function newProvider(model: string | undefined = server.model): OpenAiCompatibleProvider {
    return new OpenAiCompatibleProvider("ollama", { baseUrl: `${server.url}/v1`, model, ...REACH });
  }

  async function reply(request: Partial<LLMRequest> = {}) {
    return (await collect(provider, { messages: "Hello", ...request })).response;
  }

  test("answers, thinks and calls tools", async () => {
    expect(await reply()).toMatchObject({
      content: ANSWER,
      finishReason: "stop",
      usage: { promptTokens: expect.any(Number), completionTokens: 12 },
    });
    const { thinkingModel, toolModel } = server;
    expect(await reply({ model: thinkingModel, reasoning: true })).toMatchObject({
      content: ANSWER,
      reasoning: THOUGHT,
    });
    const unthinking = await reply({ model: thinkingModel, reasoning: false });
    expect(unthinking.content).toBe(ANSWER);
    expect(unthinking.reasoning).toBeUndefined();
    expect(await reply({ model: toolModel, tools: [WEATHER] })).toMatchObject({
      toolCalls: [TOOL_CALL],
      finishReason: "tool_calls",
    });
    const uncalled = await reply({ model: toolModel, tools: [WEATHER], toolChoice: "none" });
    expect(uncalled).toMatchObject({ content: ANSWER, finishReason: "stop" });
  });

  test("reads conversations with tools", async () => {
    const toolCalls = [{ id: "call_1", ...TOOL_CALL }];
    const messages: LLMRequest["messages"] = [
      { role: "user", content: "Weather?" },
      { role: "assistant", content: "", toolCalls },
      { role: "tool", content: "Sunny", toolCallId: "call_1" },
    ];
    const response = await reply({ model: server.toolModel, tools: [WEATHER], messages });
    expect(response.content).toBe(ANSWER);
  });

  test("tells its version, and which models it has", async () => {
    expect(await provider.health({ signal })).toMatchObject({
      healthy: true,
      version: expect.stringMatching(/^\d+\.\d+/),
      model: "tiny",
      modelPresent: true,
    });
    const other = newProvider("huge");
    expect(await other.health({ signal })).toMatchObject({
      healthy: false,
      reachable: true,
      modelPresent: false,
      code: "model_not_found",
      hint: expect.stringContaining("ollama pull huge"),
    });
    await other.close();
    const ids = (await provider.listModels({ signal })).map(({ id }) => id);
    expect(ids).toContain("tiny:latest");
  });

  test("makes a vector of each text", async () => {
    const texts = ["one", "two", "three"];
    const { embeddings, ...rest } = await provider.embed!({ texts }, server.model, { signal });
    expect(embeddings).toHaveLength(3);
    expect(new Set(embeddings.map(({ length }) => length)).size).toBe(1);
    expect(rest).toMatchObject({ model: server.model, provider: "ollama" });
  });
});

describe("a server that takes liberties", () => {
  let server: Server;
  let provider: LmStudioProvider;
  let answer: (response: ServerResponse, request: IncomingMessage) => void;

  beforeAll(async () => {
    server = createServer((request, response) => {
      request.resume().on("end", () => answer(response, request));
    });
    await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
    const { port } = server.address() as AddressInfo;
    const baseUrl = `http://localhost:${port}`;
    provider = new LmStudioProvider({ baseUrl, model: "tiny", ...REACH });
  });

  afterAll(async () => {
    await provider.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const said = (content: string) => ({ model: "tiny", choices: [{ delta: { content } }] });
  const finish = { model: "tiny", choices: [{ delta: {}, finish_reason: "stop" }] };
  const lines = (...chunks: unknown[]) =>
    chunks.map((chunk) => `data: ${typeof chunk === "string" ? chunk : JSON.stringify(chunk)}\n\n`);

  function send(type: string, ...parts: string[]): void {
    answer = (response) => response.writeHead(200, { "content-type": type }).end(parts.join(""));
  }

  function failure(request: Partial<LLMRequest> = {}): Promise<LLMError> {
    return failureOf(eventsOf(provider, request));
  }

  test("may send the whole reply at once", async () => {
    const choices = [{ message: { content: "Hello", tool_calls: [] }, finish_reason: "stop" }];
    const body = { model: "tiny", choices, usage: { prompt_tokens: 1, completion_tokens: 2 } };
    send("application/json; charset=utf-8", JSON.stringify(body));
    const events = await eventsOf(provider);
    expect(textOf(events)).toBe("Hello");
    expect(events.at(-1)).toMatchObject({ finishReason: "stop", usage: { completionTokens: 2 } });
  });

  test("may send an error with a good status", async () => {
    const text = "Unexpected endpoint or method. (POST /v1/chat/completions)";
    for (const type of ["application/json", "text/plain"]) {
      send(type, JSON.stringify({ error: text }));
      const { code } = await failure();
      expect([type, code]).toEqual([type, type === "text/plain" ? "empty_response" : "protocol"]);
    }
  });

  test("may name no type for its stream", async () => {
    answer = (response) => response.end(lines(said("Hi"), finish, "[DONE]").join(""));
    expect(textOf(await eventsOf(provider))).toBe("Hi");
  });

  test("may leave its stream open after its last word", async () => {
    let closed: Promise<unknown> | undefined;
    answer = (response) => {
      closed = new Promise((resolve) => response.once("close", resolve));
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(lines(said("Hi"), finish, "[DONE]").join(""));
    };
    const events = await eventsOf(provider);
    expect(textOf(events)).toBe("Hi");
    expect(events.at(-1)).toMatchObject({ type: "finish", finishReason: "stop" });
    await closed;
  });

  test("may break the connection after the finish", async () => {
    answer = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(lines(said("Hi"), finish).join(""), () => response.destroy());
    };
    expect((await eventsOf(provider)).at(-1)).toMatchObject({ finishReason: "stop" });
  });

  test("may give all its tool calls the same place", async () => {
    const call = (id: string) => ({
      model: "tiny",
      choices: [
        { delta: { tool_calls: [{ index: 0, id, function: { name: "look", arguments: "{}" } }] } },
      ],
    });
    send("text/event-stream", ...lines(call("a"), call("b"), finish, "[DONE]"));
    expect((await eventsOf(provider)).slice(1)).toMatchObject([
      { type: "tool-call-delta", index: 0, id: "a", argumentsDelta: "{}" },
      { type: "tool-call-delta", index: 1, id: "b", argumentsDelta: "{}" },
      { type: "tool-call", toolCall: { id: "a" } },
      { type: "tool-call", toolCall: { id: "b" } },
      { type: "finish", finishReason: "tool_calls" },
    ]);
  });

  test("may answer for an alias, which is told where it is no part of the name", async () => {
    const from = (model: string) => ({ ...said("Hi"), model });
    const model = "gpt-x-2026-01-01";
    send("text/event-stream", ...lines(from(model), finish, "[DONE]"));
    const [start] = await eventsOf(provider, { model: "gpt-x" });
    expect(start).toMatchObject({ model, warnings: [] });
    const [other] = await eventsOf(provider, { model: "mine/best" });
    expect(other).toMatchObject({ model, warnings: [`"${model}" answered for "mine/best"`] });
  });

  test("gets what is asked for in its own words", async () => {
    let path: string | undefined;
    answer = (response, request) => {
      path = request.url;
      response.end(lines(said("Hi"), finish, "[DONE]").join(""));
    };
    const { port } = server.address() as AddressInfo;
    const baseUrl = `http://localhost:${port}/gateway/v2`;
    const other = new LmStudioProvider({ baseUrl, model: "tiny", ...REACH });
    await eventsOf(other);
    expect(path).toBe("/gateway/v2/chat/completions");
    await other.close();
  });

  test("is not sent what no server can do", async () => {
    answer = () => {
      throw new Error("It was asked.");
    };
    const tools = { tools: [WEATHER], toolChoice: { type: "function", function: { name: "nap" } } };
    expect(await failure(tools as Partial<LLMRequest>)).toBeInstanceOf(ValidationError);
  });
});
