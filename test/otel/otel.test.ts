import { type Attributes, context, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  AggregationTemporality,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { LLMClient, type LLMConfig, type LLMRequest } from "../../src/index.js";
import { openTelemetry } from "../../src/otel/index.js";
import { NO_SOURCES } from "../helpers/client-calls.js";
import { describeNative } from "../helpers/native.js";
import { type FakeLmStudio, startFakeLmStudio } from "../servers/fake-lm-studio.js";
import { type FakeOllama, startFakeOllama } from "../servers/fake-ollama.js";

const SECRET = "sk-this-is-a-secret";

let ollama: FakeOllama;
let lmStudio: FakeLmStudio;
let spans: InMemorySpanExporter;
let tracerProvider: BasicTracerProvider;
let meterProvider: MeterProvider;
let metricExporter: InMemoryMetricExporter;
let client: LLMClient;

beforeEach(async () => {
  const capabilities = ["completion", "tools", "thinking"];
  ollama = await startFakeOllama({ models: [{ name: "m", capabilities }] });
  lmStudio = await startFakeLmStudio({ models: [{ id: "other" }] });
  spans = new InMemorySpanExporter();
  tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
  metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter: metricExporter });
  meterProvider = new MeterProvider({ readers: [reader] });
});

afterEach(async () => {
  await client.close();
  await Promise.all([ollama.close(), lmStudio.close(), meterProvider.shutdown()]);
});

/** A client of the fakes that tells of its calls. */
function newClient({
  captureContent = false,
  ...config
}: LLMConfig & { captureContent?: boolean } = {}) {
  client = new LLMClient(
    {
      provider: "ollama",
      baseUrl: ollama.url,
      model: "m",
      apiKey: SECRET,
      retryDelay: 0.001,
      fallbackConfigs: [{ provider: "lmstudio", baseUrl: lmStudio.url, model: "other" }],
      ...openTelemetry({ tracerProvider, meterProvider, captureContent }),
      ...config,
    },
    NO_SOURCES,
  );
  return client;
}

async function streamed(request: string | LLMRequest) {
  for await (const _ of client.stream(request));
}

/** The span of the call, and those of its attempts. */
function told(): { call: ReadableSpan; attempts: ReadableSpan[] } {
  const all = spans.getFinishedSpans();
  const [call, ...others] = all.filter(({ name }) => name.startsWith("chat"));
  expect(others).toEqual([]);
  const attempts = all.filter((span) => span !== call);
  for (const { parentSpanContext } of attempts) {
    expect(parentSpanContext?.spanId).toBe(call!.spanContext().spanId);
  }
  return { call: call!, attempts };
}

async function pointsOf(name: string): Promise<{ attributes: Attributes; value: Histogram }[]> {
  await meterProvider.forceFlush();
  const metrics = metricExporter.getMetrics().at(-1)!.scopeMetrics[0]!.metrics;
  const metric = metrics.find(({ descriptor }) => descriptor.name === name);
  return (metric?.dataPoints ?? []) as { attributes: Attributes; value: Histogram }[];
}

describe("the span of a call", () => {
  test("tells what was asked, who answered and what it cost", async () => {
    ollama.replies.set({ reasoning: ["Hm"], text: ["Hello"], promptTokens: 9 });
    await newClient().generate({
      messages: "Hi",
      requestId: "r-1",
      temperature: 0.2,
      topP: 0.9,
      topK: 3,
      maxTokens: 50,
      seed: 7,
      presencePenalty: 0.5,
      frequencyPenalty: 0.25,
      stop: "END",
      responseFormat: { type: "text" },
    });
    const { call, attempts } = told();
    expect(call.name).toBe("chat m");
    expect(call.attributes).toEqual({
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "ollama",
      "gen_ai.request.model": "m",
      "gen_ai.request.stream": false,
      "gen_ai.request.temperature": 0.2,
      "gen_ai.request.top_p": 0.9,
      "gen_ai.request.top_k": 3,
      "gen_ai.request.max_tokens": 50,
      "gen_ai.request.seed": 7,
      "gen_ai.request.presence_penalty": 0.5,
      "gen_ai.request.frequency_penalty": 0.25,
      "gen_ai.request.stop_sequences": ["END"],
      "gen_ai.output.type": "text",
      "gen_ai.response.id": expect.any(String),
      "gen_ai.response.model": "m",
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.usage.input_tokens": 9,
      "gen_ai.usage.output_tokens": 3,
      "mlx_llm_client.request_id": "r-1",
      "mlx_llm_client.retry_count": 0,
      "mlx_llm_client.used_fallback": false,
    });
    expect(call.status.code).toBe(SpanStatusCode.UNSET);
    expect(attempts).toMatchObject([
      {
        name: "attempt ollama",
        attributes: {
          "gen_ai.provider.name": "ollama",
          "gen_ai.request.model": "m",
          "mlx_llm_client.leg": 0,
          "mlx_llm_client.phase": "done",
        },
      },
    ]);
  });

  test("tells when the first piece of a stream came", async () => {
    newClient();
    await streamed("Hi");
    const { attributes } = told().call;
    expect(attributes["gen_ai.request.stream"]).toBe(true);
    expect(attributes["gen_ai.response.time_to_first_chunk"]).toBeGreaterThan(0);
    expect(attributes["gen_ai.response.time_to_first_chunk"]).toBeLessThan(30);
  });

  test("tells of retries, and of each attempt", async () => {
    ollama.fault("reset", { at: "load" });
    await newClient({ maxRetries: 1, fallbackConfigs: [] })
      .generate("Hi")
      .catch(() => {});
    const { call, attempts } = told();
    expect(attempts.map(({ attributes }) => attributes["error.type"])).toHaveLength(2);
    expect(call.events.map(({ name }) => name)).toEqual(["mlx_llm_client.retry"]);
  });

  test("tells of the next provider", async () => {
    ollama.fault("status", { status: 503 });
    await newClient().generate("Hi");
    const { call, attempts } = told();
    expect(call.attributes).toMatchObject({
      "gen_ai.provider.name": "lmstudio",
      "gen_ai.request.model": "m",
      "gen_ai.response.model": "other",
      "mlx_llm_client.used_fallback": true,
    });
    expect(attempts.map(({ name }) => name)).toEqual(["attempt ollama", "attempt lmstudio"]);
    expect(attempts[0]).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { "http.response.status_code": 503, "error.type": expect.any(String) },
    });
    expect(call.events).toMatchObject([
      {
        name: "mlx_llm_client.fallback",
        attributes: { "mlx_llm_client.from": "ollama", "mlx_llm_client.to": "lmstudio" },
      },
    ]);
  });

  test("ends with the error", async () => {
    ollama.fault("status", { status: 401 });
    const work = newClient({ fallbackConfigs: [] }).generate("Hi");
    await expect(work).rejects.toThrow();
    expect(told().call).toMatchObject({
      ended: true,
      status: { code: SpanStatusCode.ERROR, message: expect.stringContaining("Ollama") },
      attributes: { "error.type": "auth", "gen_ai.provider.name": "ollama" },
    });
  });

  test("ends when the reader leaves", async () => {
    ollama.fault("silence", { at: "mid-stream" });
    for await (const event of newClient().stream("Hi")) if (event.type === "text") break;
    expect(told().call.attributes["error.type"]).toBe("aborted");
  });

  test("stands in the span of the caller", async () => {
    const manager = new AsyncLocalStorageContextManager().enable();
    context.setGlobalContextManager(manager);
    try {
      const outer = tracerProvider.getTracer("test").startSpan("outer");
      newClient();
      await context.with(trace.setSpan(context.active(), outer), () => streamed("Hi"));
      expect(told().call.parentSpanContext?.spanId).toBe(outer.spanContext().spanId);
    } finally {
      context.disable();
    }
  });

  test("is not there for a request that is wrong", async () => {
    await expect(newClient().generate({ messages: "Hi", topP: 9 })).rejects.toThrow("topP");
    expect(spans.getFinishedSpans()).toEqual([]);
  });

  test("has the form of an object, and one span for each call", async () => {
    ollama.replies.set({ text: ['{"name":"Ada"}'] });
    const schema = { type: "object", properties: { name: { type: "string" } } };
    await newClient().generateObject({ messages: "Who?", schema });
    expect(told().call.attributes["gen_ai.output.type"]).toBe("json");
  });
});

describe("content", () => {
  const request: LLMRequest = {
    messages: [
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "Weather?" },
          { type: "text", text: "In Rome." },
        ],
      },
      {
        role: "assistant",
        content: "",
        reasoning: "Hm.",
        toolCalls: [{ id: "1", name: "weather", arguments: { city: "Rome" } }],
      },
      { role: "tool", toolCallId: "1", content: "sunny" },
    ],
    tools: [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }],
  };

  test("is not told unless it is wanted", async () => {
    ollama.fault("status", { status: 503 });
    await newClient().generate(request);
    const everything = spans.getFinishedSpans().map(({ name, attributes, events, status }) => {
      return { name, attributes, events, status };
    });
    expect(JSON.stringify(everything)).not.toMatch(/Rome|Be brief|Hello from|secret/);
  });

  test("is told as the conventions say where it is wanted", async () => {
    ollama.replies.set({ text: ["Sunny."] });
    await newClient({ captureContent: true }).generate(request);
    const { attributes } = told().call;
    const json = (name: string) => JSON.parse(String(attributes[name])) as unknown;
    expect(json("gen_ai.input.messages")).toEqual([
      { role: "system", parts: [{ type: "text", content: "Be brief." }] },
      {
        role: "user",
        parts: [
          { type: "text", content: "Weather?" },
          { type: "text", content: "In Rome." },
        ],
      },
      {
        role: "assistant",
        parts: [
          { type: "reasoning", content: "Hm." },
          { type: "tool_call", id: "1", name: "weather", arguments: { city: "Rome" } },
        ],
      },
      { role: "tool", parts: [{ type: "tool_call_response", id: "1", response: "sunny" }] },
    ]);
    expect(json("gen_ai.output.messages")).toEqual([
      { role: "assistant", parts: [{ type: "text", content: "Sunny." }], finish_reason: "stop" },
    ]);
    expect(json("gen_ai.tool.definitions")).toEqual([
      { type: "function", name: "weather", parameters: { type: "object" } },
    ]);
    expect(JSON.stringify(attributes)).not.toContain(SECRET);
  });
});

describe("metrics", () => {
  const common = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "ollama",
    "gen_ai.request.model": "m",
    "gen_ai.response.model": "m",
  };

  test("count calls and tokens", async () => {
    ollama.replies.set({ text: ["Hello"], promptTokens: 9 });
    await newClient().generate("Hi");
    await client.generate("Hi");
    const duration = await pointsOf("gen_ai.client.operation.duration");
    expect(duration).toMatchObject([{ attributes: common, value: { count: 2 } }]);
    expect(duration[0]!.attributes).toEqual(common);
    expect(await pointsOf("gen_ai.client.token.usage")).toMatchObject([
      { attributes: { ...common, "gen_ai.token.type": "input" }, value: { count: 2, sum: 18 } },
      { attributes: { ...common, "gen_ai.token.type": "output" }, value: { count: 2, sum: 4 } },
    ]);
    expect(await pointsOf("gen_ai.client.operation.time_to_first_chunk")).toEqual([]);
  });

  test("count the beginnings of streams", async () => {
    newClient();
    await streamed("Hi");
    const [point] = await pointsOf("gen_ai.client.operation.time_to_first_chunk");
    expect(point).toMatchObject({ attributes: common, value: { count: 1 } });
  });

  test("count failures by their code", async () => {
    ollama.fault("status", { status: 401 });
    await newClient({ fallbackConfigs: [] })
      .generate("Hi")
      .catch(() => {});
    expect(await pointsOf("gen_ai.client.operation.duration")).toMatchObject([
      { attributes: { "gen_ai.provider.name": "ollama", "error.type": "auth" } },
    ]);
  });
});

describeNative("calls of models in this process", () => {
  test("are told of as others are", async () => {
    client = new LLMClient(
      { provider: "mlx", model: "demo", ...openTelemetry({ tracerProvider, meterProvider }) },
      NO_SOURCES,
    );
    await client.generate({ messages: "What is 7 + 5?", temperature: 0 });
    const { call, attempts } = told();
    expect(call.attributes).toMatchObject({
      "gen_ai.provider.name": "mlx",
      "gen_ai.usage.cache_read.input_tokens": 0,
    });
    expect(attempts).toMatchObject([{ name: "attempt mlx" }]);
  });
});
