import {
  APICallError,
  embed,
  embedMany,
  generateObject,
  generateText,
  NoSuchModelError,
  Output,
  stepCountIs,
  streamText,
  tool,
} from "ai";
import { z } from "zod";
import { createMlxLlmClient, type MlxLlmClientProvider } from "../../src/ai-sdk/index.js";
import { LLMClient, LLMError } from "../../src/index.js";
import { NO_SOURCES } from "../helpers/client-calls.js";
import { describeNative } from "../helpers/native.js";
import { type FakeLmStudio, startFakeLmStudio } from "../servers/fake-lm-studio.js";
import { type FakeOllama, startFakeOllama } from "../servers/fake-ollama.js";

// Other work may keep the machine busy.
jest.setTimeout(60_000);

/** The AI SDK writes them to the console unless told. */
beforeAll(() => {
  globalThis.AI_SDK_LOG_WARNINGS = false;
});

const prompt = "What is 7 + 5?";
const person = z.object({ name: z.string(), born: z.number().int() });
const weather = tool({
  description: "Tells the weather",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => ({ city, sky: "sunny" }),
});

let ollama: FakeOllama;
let lmStudio: FakeLmStudio;
let llm: MlxLlmClientProvider;

beforeEach(async () => {
  const capabilities = ["completion", "tools", "thinking", "vision"];
  ollama = await startFakeOllama({ models: [{ name: "m", capabilities }] });
  lmStudio = await startFakeLmStudio({ models: [{ id: "other" }] });
  const client = new LLMClient(
    {
      provider: "ollama",
      baseUrl: ollama.url,
      maxRetries: 0,
      fallbackConfigs: [{ provider: "lmstudio", baseUrl: lmStudio.url, model: "other" }],
    },
    NO_SOURCES,
  );
  llm = createMlxLlmClient(client);
});

afterEach(async () => {
  await llm.close();
  await Promise.all([ollama.close(), lmStudio.close()]);
});

const lastBody = () => ollama.requests.findLast(({ path }) => path === "/api/chat")!.json!;

async function failureOf(work: PromiseLike<unknown>): Promise<unknown> {
  return Promise.resolve(work).then(
    () => Promise.reject(new Error("It did not fail.")),
    (error: unknown) => error,
  );
}

describe("generateText", () => {
  test("gives text, reasoning, usage and who answered", async () => {
    ollama.replies.set({ reasoning: ["I", " think"], text: ["Hel", "lo"], promptTokens: 9 });
    const result = await generateText({ model: llm("m"), prompt });
    expect(result).toMatchObject({ text: "Hello", reasoningText: "I think", finishReason: "stop" });
    expect(result.usage).toMatchObject({ inputTokens: 9, outputTokens: 5, totalTokens: 14 });
    // Ollama tells nothing of its cache.
    expect(result.usage.inputTokenDetails.noCacheTokens).toBeUndefined();
    expect(result.response).toMatchObject({ id: expect.stringMatching(/.{8}/), modelId: "m" });
    expect(result.providerMetadata?.mlxLlmClient).toMatchObject({
      provider: "ollama",
      usedFallback: false,
      attempts: [{ provider: "ollama", model: "m", phase: "done" }],
    });
  });

  test("passes the settings on, and warns of those that mean nothing here", async () => {
    const { warnings } = await generateText({
      model: llm("m"),
      prompt,
      maxOutputTokens: 7,
      temperature: 0.1,
      topP: 0.9,
      topK: 4,
      seed: 3,
      presencePenalty: 0.5,
      frequencyPenalty: 0.25,
      stopSequences: ["END"],
      headers: { "x-trace": "1" },
      providerOptions: { mlxLlmClient: { minP: 0.05, reasoning: false } },
    });
    expect(lastBody()).toMatchObject({
      think: false,
      options: {
        num_predict: 7,
        temperature: 0.1,
        top_p: 0.9,
        top_k: 4,
        min_p: 0.05,
        seed: 3,
        presence_penalty: 0.5,
        frequency_penalty: 0.25,
        stop: ["END"],
      },
    });
    expect(warnings).toEqual([
      { type: "unsupported", feature: "headers (x-trace)", details: expect.any(String) },
    ]);
  });

  test("runs tools until the model answers", async () => {
    ollama.replies.once({ toolCalls: [{ name: "weather", arguments: { city: "Rome" } }] });
    ollama.replies.set({ text: ["Sunny in Rome."] });
    const { text, steps } = await generateText({
      model: llm("m"),
      prompt: "Weather?",
      tools: { weather },
      toolChoice: "auto",
      stopWhen: stepCountIs(3),
    });
    expect(text).toBe("Sunny in Rome.");
    expect(steps.map(({ finishReason }) => finishReason)).toEqual(["tool-calls", "stop"]);
    const { messages } = lastBody() as { messages: Record<string, unknown>[] };
    expect(messages.slice(1)).toMatchObject([
      { role: "assistant", tool_calls: [{ function: { arguments: { city: "Rome" } } }] },
      { role: "tool", content: '{"city":"Rome","sky":"sunny"}' },
    ]);
  });

  test("sends images of a prompt", async () => {
    const image = Buffer.from("iVBORw0KGgo=", "base64");
    await generateText({
      model: llm("m"),
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is it?" },
            { type: "image", image },
          ],
        },
      ],
    });
    expect(lastBody().messages).toMatchObject([
      { content: "What is it?", images: [image.toString("base64")] },
    ]);
  });

  test("tells that another provider answered", async () => {
    ollama.fault("status", { status: 503 });
    const { text, providerMetadata, response } = await generateText({ model: llm("m"), prompt });
    expect(text).toBe("Hello from a fake.");
    expect(response.modelId).toBe("other");
    expect(providerMetadata?.mlxLlmClient).toMatchObject({
      provider: "lmstudio",
      usedFallback: true,
      fallbackProvider: "lmstudio",
      attempts: [{ provider: "ollama", status: 503 }, { provider: "lmstudio" }],
    });
  });

  test("fails with an error of both, and is not repeated by the AI SDK", async () => {
    ollama.fault("status", { status: 503 });
    lmStudio.fault("status", { status: 500 });
    const error = await failureOf(generateText({ model: llm("m"), prompt, maxRetries: 2 }));
    expect(APICallError.isInstance(error)).toBe(true);
    expect(LLMError.is(error)).toBe(true);
    expect(error).toMatchObject({ isRetryable: false, code: "all_providers_failed" });
    expect(ollama.requests.filter(({ path }) => path === "/api/chat")).toHaveLength(1);
  });

  test("fails with the caller's abort", async () => {
    ollama.fault("silence", { at: "first-content" });
    const abort = new AbortController();
    const work = generateText({ model: llm("m"), prompt, abortSignal: abort.signal });
    await ollama.requestCount(1);
    abort.abort();
    expect(await failureOf(work)).toMatchObject({ name: "AbortError" });
  });

  test("refuses options that it does not know", async () => {
    const providerOptions = { mlxLlmClient: { minp: 0.05 } };
    const error = await failureOf(generateText({ model: llm("m"), prompt, providerOptions }));
    expect(String(error)).toContain("providerOptions.mlxLlmClient has no minp");
  });
});

describe("objects", () => {
  test("are asked for with their schema", async () => {
    ollama.replies.set({ text: ['{"name":"Ada",', '"born":1815}'] });
    const { object } = await generateObject({ model: llm("m"), prompt, schema: person });
    expect(object).toEqual({ name: "Ada", born: 1815 });
    expect(lastBody().format).toMatchObject({ required: ["name", "born"] });
  });

  test("come in pieces", async () => {
    ollama.replies.set({ text: ['{"name":"Ada",', '"born":1815}'] });
    ollama.fault("slow-drip");
    const output = Output.object({ schema: person, description: "A person" });
    const result = streamText({ model: llm("m"), prompt, output });
    const pieces = [];
    for await (const piece of result.partialOutputStream) pieces.push(piece);
    expect(pieces.at(0)).toEqual({ name: "Ada" });
    expect(await result.output).toEqual({ name: "Ada", born: 1815 });
    expect(lastBody().format).toMatchObject({ description: "A person" });
  });
});

describe("streamText", () => {
  test("streams text and reasoning", async () => {
    ollama.replies.set({ reasoning: ["I", " think"], text: ["Hel", "lo"] });
    const result = streamText({ model: llm("m"), prompt });
    let text = "";
    for await (const piece of result.textStream) text += piece;
    expect(text).toBe("Hello");
    expect(await result.reasoningText).toBe("I think");
    expect((await result.usage).outputTokens).toBe(5);
    expect(await result.finishReason).toBe("stop");
  });

  test("streams the arguments of calls, and runs them", async () => {
    ollama.fault("status", { status: 503 });
    lmStudio.replies.once({ toolCalls: [{ name: "weather", arguments: { city: "Rome" } }] });
    lmStudio.replies.set({ text: ["Sunny."] });
    const tools = { weather };
    const result = streamText({ model: llm("m"), prompt, tools, stopWhen: stepCountIs(2) });
    let given = "";
    for await (const part of result.fullStream) {
      if (part.type === "tool-input-delta") given += part.delta;
    }
    expect(given).toBe('{"city":"Rome"}');
    expect(await result.text).toBe("Sunny.");
  });

  test("has an error in it when the reply breaks off", async () => {
    ollama.fault("reset", { at: "mid-stream" });
    const errors: unknown[] = [];
    const onError = ({ error }: { error: unknown }) => void errors.push(error);
    const result = streamText({ model: llm("m"), prompt, onError });
    const types = [];
    for await (const part of result.fullStream) types.push(part.type);
    expect(types).toEqual(expect.arrayContaining(["text-start", "text-end", "error"]));
    expect(errors).toMatchObject([{ code: "stream_interrupted", partial: expect.any(String) }]);
    expect(APICallError.isInstance(errors[0])).toBe(true);
  });

  test("ends with an abort, upstream too", async () => {
    ollama.fault("silence", { at: "mid-stream" });
    const abort = new AbortController();
    const result = streamText({ model: llm("m"), prompt, abortSignal: abort.signal });
    const types = [];
    for await (const { type } of result.fullStream) {
      types.push(type);
      if (type === "text-delta") abort.abort();
    }
    expect(types.at(-1)).toBe("abort");
    await ollama.disconnectCount(1);
  });
});

describe("embeddings", () => {
  beforeEach(() => ollama.models.add({ name: "e", capabilities: ["embedding"] }));

  test("come for one text", async () => {
    const { embedding, usage } = await embed({ model: llm.embeddingModel("e"), value: "one" });
    expect(embedding).toEqual([0.6, 0.8, 0]);
    expect(usage.tokens).toBe(1);
  });

  test("come for many texts in their order", async () => {
    const model = llm.textEmbeddingModel("e");
    const { embeddings } = await embedMany({ model, values: ["one", "four"] });
    expect(embeddings).toEqual([
      [0.6, 0.8, 0],
      [0.6, -0.8, 0],
    ]);
  });

  test("are refused with options that the client does not know", async () => {
    const providerOptions = { mlxLlmClient: { dimension: 2 } };
    const asked = { model: llm.embeddingModel("e"), value: "one", providerOptions };
    expect(String(await failureOf(embed(asked)))).toContain("dimension");
  });

  test("fail as calls do", async () => {
    const error = await failureOf(embed({ model: llm.embeddingModel("none"), value: "one" }));
    expect(APICallError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({ code: "model_not_found", statusCode: 404 });
  });
});

describe("the provider", () => {
  test("has no models of images", async () => {
    const error = await failureOf(Promise.resolve().then(() => llm.imageModel("flux")));
    expect(NoSuchModelError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({ modelId: "flux", modelType: "imageModel" });
  });

  test("has no client before it is asked for one", async () => {
    const wrong = createMlxLlmClient({ timeout: -1 });
    await wrong.close();
    expect(() => wrong.client).toThrow("timeout");
  });

  test("closes its client", async () => {
    await llm.close();
    expect(await failureOf(generateText({ model: llm("m"), prompt }))).toMatchObject({
      name: "AbortError",
    });
  });
});

describeNative("models in this process", () => {
  let mlx: MlxLlmClientProvider;
  beforeAll(() => {
    mlx = createMlxLlmClient(new LLMClient({ provider: "mlx" }, NO_SOURCES));
  });
  afterAll(() => mlx.close());

  test("answer, streamed or whole", async () => {
    const { text, usage } = await generateText({ model: mlx("demo"), prompt, temperature: 0 });
    expect(text).toContain("12");
    expect(usage.outputTokens).toBeGreaterThan(0);
    const stream = streamText({ model: mlx("demo"), prompt, temperature: 0 });
    expect(await stream.text).toBe(text);
  });

  test("keep to a schema", async () => {
    const options = { maxOutputTokens: 200, temperature: 0 };
    const schema = z.object({ name: z.string().max(8), born: z.number().int().min(1).max(2000) });
    const output = Output.object({ schema });
    const result = await generateText({ model: mlx("demo"), prompt, output, ...options });
    expect(Object.keys(result.output)).toEqual(["name", "born"]);
  });

  test("make calls that fit their schemas", async () => {
    const add = tool({ inputSchema: z.object({ a: z.int().max(9), b: z.int().max(9) }) });
    const { toolCalls, finishReason } = await generateText({
      model: mlx("demo"),
      prompt,
      tools: { add },
      toolChoice: { type: "tool", toolName: "add" },
      temperature: 0,
    });
    expect(finishReason).toBe("tool-calls");
    expect(toolCalls).toMatchObject([
      { toolName: "add", input: { a: expect.any(Number), b: expect.any(Number) } },
    ]);
  });
});
