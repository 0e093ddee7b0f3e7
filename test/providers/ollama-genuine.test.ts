import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import {
  AbortError,
  ContextLengthError,
  type LLMError,
  ModelLoadError,
  ValidationError,
} from "../../src/errors.js";
import { OllamaProvider } from "../../src/providers/ollama.js";
import { checkRequest } from "../../src/request.js";
import type { LLMRequest, Tool } from "../../src/types.js";
import {
  collect,
  describeProviderContract,
  failureOf,
  newContext,
  streamOf,
} from "../contracts/provider-contract.js";
import { describeOllama, type GenuineOllama, startOllama } from "../servers/ollama.js";
import { ANSWER, THOUGHT, TOOL_CALL } from "../servers/scripted-model.js";

jest.setTimeout(60_000);

const weather: Tool = { type: "function", function: { name: "get_weather" } };
const schema = {
  type: "object",
  properties: { answer: { type: "integer" } },
  required: ["answer"],
};

describeOllama("a genuine Ollama", () => {
  let server: GenuineOllama;
  let provider: OllamaProvider;

  beforeAll(async () => {
    // Ollama 0.17.4 may lose the place of a stream that is aborted in the wrong moment.
    server = await startOllama({ OLLAMA_NUM_PARALLEL: "16" });
    provider = newProvider();
  });

  afterAll(async () => {
    await provider?.close();
    await server?.stop();
  });

  function newProvider(): OllamaProvider {
    const settings = { model: server.model, connectTimeout: 3, verifySsl: true };
    return new OllamaProvider({ baseUrl: server.url, ...settings });
  }

  async function reply(request: Partial<LLMRequest> = {}) {
    return (await collect(provider, { messages: "Hello", ...request })).response;
  }

  function failure(request: Partial<LLMRequest>): Promise<LLMError> {
    return failureOf(reply(request));
  }

  const { signal } = new AbortController();

  async function loadedModels(): Promise<string[]> {
    const models = await provider.listModels({ signal });
    return models.flatMap(({ id, loaded }) => (loaded ? [id] : []));
  }

  /** Ollama answers before the memory is free. */
  async function unloadAll(): Promise<void> {
    for (const model of await loadedModels()) await provider.unloadModel(model, { signal });
    while ((await loadedModels()).length > 0) await sleep(20);
  }

  describe("as a provider", () => {
    const oneChoice = "at each place, its model has one token to choose from";
    describeProviderContract({
      create: newProvider,
      longRequest: { messages: "sing" },
      skip: { seed: oneChoice, deterministic: oneChoice },
      lacks: {
        images: "its model cannot see",
        tools: "another model of it calls tools",
        reasoning: "another model of it thinks",
      },
    });
  });

  test("answers, and counts", async () => {
    const response = await reply();
    expect(response).toMatchObject({
      content: ANSWER,
      model: server.model,
      finishReason: "stop",
      usage: { promptTokens: expect.any(Number), completionTokens: 12 },
      timings: {
        firstTokenMs: expect.any(Number),
        promptTokensPerSecond: expect.any(Number),
        tokensPerSecond: expect.any(Number),
      },
      warnings: [],
    });
  });

  test("answers a conversation with everything in it", async () => {
    const call = { id: "call_1", ...TOOL_CALL };
    const response = await reply({
      model: server.toolModel,
      messages: [
        { role: "system", content: "Be kind." },
        { role: "user", content: [{ type: "text", text: "How is the weather?" }] },
        { role: "assistant", content: "", reasoning: "Hm.", toolCalls: [call] },
        { role: "tool", content: "sunny", toolCallId: "call_1" },
      ],
      tools: [weather],
    });
    expect(response).toMatchObject({ content: ANSWER, finishReason: "stop" });
  });

  test("answers with the model in memory where none is named", async () => {
    await unloadAll();
    await provider.loadModel(server.toolModel, { signal });
    const settings = { baseUrl: server.url, connectTimeout: 3, verifySsl: true };
    const anyModel = new OllamaProvider(settings);
    const { model, warnings } = (await collect(anyModel, { messages: "Hello" })).response;
    expect(model).toBe(`${server.toolModel}:latest`);
    expect(warnings).toEqual([`no model was named, so "${model}" answers`]);
    await anyModel.close();
  });

  test("calls tools, unless it must not", async () => {
    const request = { model: server.toolModel, tools: [weather] };
    expect(await reply(request)).toMatchObject({
      content: "",
      finishReason: "tool_calls",
      toolCalls: [{ id: expect.stringMatching(/^call_/), ...TOOL_CALL }],
    });
    expect(await reply({ ...request, toolChoice: "none" })).toMatchObject({ content: ANSWER });
  });

  test("thinks, unless it must not", async () => {
    const model = server.thinkingModel;
    const thought = { reasoning: THOUGHT, content: ANSWER };
    expect(await reply({ model, reasoning: true })).toMatchObject(thought);
    expect(await reply({ model })).toMatchObject(thought);
    expect(await reply({ model, reasoning: false })).not.toHaveProperty("reasoning");
  });

  test.each([
    ["JSON", { type: "json_object" }],
    ["a schema", { type: "json_schema", schema }],
  ] as const)("keeps to %s", async (_name, responseFormat) => {
    const { content } = await reply({ responseFormat, maxTokens: 200 });
    expect(content.trimStart()).toMatch(/^\{/);
  });

  test("gives the probability of each token", async () => {
    const { logprobs } = await reply({ logprobs: true });
    expect(logprobs).toHaveLength(11);
    expect(logprobs![0]).toEqual({ token: "Hello", logprob: expect.any(Number), topLogprobs: [] });
  });

  test("refuses a prompt beyond its context", async () => {
    const error = await failure({ messages: "word ".repeat(600) });
    expect(error).toBeInstanceOf(ContextLengthError);
    expect(error).toMatchObject({ code: "context_length_exceeded", status: 400 });
  });

  test("ends a reply where the context is full", async () => {
    const { finishReason, usage } = await reply({ messages: "sing" });
    expect(finishReason).toBe("length");
    expect(usage.totalTokens).toBeLessThanOrEqual(513);
  });

  test.each<[string, Partial<LLMRequest>]>([
    ["tools", { tools: [weather] }],
    ["thinking", { reasoning: true }],
    [
      "images",
      { messages: [{ role: "user", content: [{ type: "image", image: new Uint8Array(1) }] }] },
    ],
  ])("refuses %s where the model has none", async (_what, request) => {
    const error = await failure(request);
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toMatchObject({ code: "unsupported", provider: "ollama" });
  });

  test.each<[string, Record<string, unknown>]>([
    ["an option of a wrong type", { num_ctx: "many" }],
  ])("refuses %s for good", async (_what, options) => {
    const error = await failure({ providerOptions: { ollama: { options } } });
    expect(error).toMatchObject({ code: "bad_request", retryable: false });
  });

  test("describes its models", async () => {
    // Names for the same weights share a place in memory, under the first of them.
    await unloadAll();
    await provider.loadModel(undefined, { signal });
    const models = await provider.listModels({ signal });
    const ours = models.find(({ id }) => id === `${server.model}:latest`);
    expect(ours).toMatchObject({
      provider: "ollama",
      object: "model",
      created: expect.any(Number),
      ownedBy: "library",
      contextLength: 512,
      size: expect.any(Number),
      quantization: "F16",
      family: "llama",
      loaded: true,
    });
    expect(models).toHaveLength(3);
  });

  test("brings a model into memory and out of it", async () => {
    await unloadAll();
    const isLoaded = async () => (await provider.health({ signal })).modelLoaded;
    expect(await isLoaded()).toBe(false);
    expect(await provider.contextLength(undefined, { signal })).toBe(512);
    await provider.loadModel(undefined, { signal });
    expect(await isLoaded()).toBe(true);
    expect(await provider.contextLength(undefined, { signal })).toBe(512);
    await provider.unloadModel(undefined, { signal });
    while (await isLoaded()) await sleep(20);
  });

  test("makes embeddings, and refuses texts beyond the context", async () => {
    const { embeddings, model, usage } = await provider.embed(
      { texts: ["Hello", "you"] },
      undefined,
      {
        signal,
      },
    );
    expect(embeddings).toHaveLength(2);
    expect(embeddings[0]!.length).toBeGreaterThan(100);
    expect(embeddings[1]).not.toEqual(embeddings[0]);
    expect(model).toBe(server.model);
    expect(usage.promptTokens).toBeGreaterThan(1);
    const long = provider.embed({ texts: ["word ".repeat(600)] }, undefined, { signal });
    expect(await failureOf(long)).toBeInstanceOf(ContextLengthError);
  });

  test("tells why a model cannot be pulled", async () => {
    // Nobody listens there: no test leaves this computer.
    const steps: string[] = [];
    const pulling = async () => {
      for await (const { status } of provider.pullModel("localhost:1/x/y", { signal })) {
        steps.push(status);
      }
    };
    const error = await failureOf(pulling());
    expect(steps).toEqual(["pulling manifest"]);
    expect(error.message).toContain("connection refused");
  });

  test("answers the next request after one that was aborted", async () => {
    await provider.loadModel(undefined, { signal });
    const controller = new AbortController();
    const singing = async () => {
      for await (const event of streamOf(
        provider,
        { messages: "sing" },
        newContext(controller.signal),
      )) {
        if (event.type === "text") controller.abort();
      }
    };
    expect(await failureOf(singing())).toBeInstanceOf(AbortError);
    expect((await reply()).content).toBe(ANSWER);
  });

  test("stops loading for a request that is aborted", async () => {
    const abortSoon = async () => {
      const controller = new AbortController();
      const onProgress = () => void setTimeout(() => controller.abort(), 50);
      const context = { ...newContext(controller.signal), onProgress };
      for await (const _batch of provider.stream(checkRequest("Hello"), context));
    };
    let outcome: unknown;
    // On a busy machine, loading may not have begun by then, or have ended.
    while (!server.process.output().includes("aborting load")) {
      await unloadAll();
      outcome = await abortSoon().catch((error: unknown) => error);
      await sleep(100);
    }
    expect(outcome).toBeInstanceOf(AbortError);
    expect((await reply()).content).toBe(ANSWER);
  });

  test("answers fifty requests at a time", async () => {
    const replies = await Promise.all(Array.from({ length: 50 }, () => reply()));
    expect(new Set(replies.map(({ content }) => content))).toEqual(new Set([ANSWER]));
  });

  test("reports the death of its runner", async () => {
    let isKilled = false;
    const singing = async () => {
      for await (const event of streamOf(provider, { messages: "sing" })) {
        if (event.type === "text" && !isKilled) killRunners(server.process.pid);
        isKilled = event.type === "text";
      }
    };
    const error = await failureOf(singing());
    const { cause } = error;
    expect(cause).toBeInstanceOf(ModelLoadError);
    expect(cause).toMatchObject({ code: "model_crashed" });
    expect((await reply()).content).toBe(ANSWER);
  });
});

function killRunners(server: number): void {
  const pids = execFileSync("pgrep", ["-P", String(server)], { encoding: "utf8" });
  for (const pid of pids.trim().split("\n")) process.kill(Number(pid), "SIGKILL");
}
