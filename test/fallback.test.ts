import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LegConfig, LLMClient, LLMConfig, Tool } from "../src/index.js";
import { failureOf, storyOf } from "./helpers/chain-calls.js";
import {
  call,
  MANNERS,
  NO_SOURCES,
  tellingClient,
  type Told,
  watchForUnhandledRejections,
} from "./helpers/client-calls.js";
import {
  type FakeLmStudio,
  type FakeLmStudioOptions,
  startFakeLmStudio,
} from "./servers/fake-lm-studio.js";
import { type FakeOllama, type FakeOllamaOptions, startFakeOllama } from "./servers/fake-ollama.js";
import { closedPort } from "./servers/ports.js";

/** Enough for the slowest machine; the tests themselves wait for events. */
jest.setTimeout(30_000);

watchForUnhandledRejections();

const OLLAMA = "Ollama says so.";
const LM_STUDIO = "LM Studio says so.";

let ollama: FakeOllama;
let lmStudio: FakeLmStudio;
let client: LLMClient;
let told: Told;

afterEach(async () => {
  await client?.close();
  await ollama?.close();
  await lmStudio?.close();
});

/** Starts both servers, and a client that prefers Ollama unless told otherwise. */
async function start(
  config: (legs: { ollama: LegConfig; lmStudio: LegConfig }) => LLMConfig = (legs) => ({
    ...legs.ollama,
    fallbackConfigs: [legs.lmStudio],
  }),
  options: FakeOllamaOptions = {},
  otherOptions: FakeLmStudioOptions = {},
): Promise<void> {
  ollama = await startFakeOllama(options);
  lmStudio = await startFakeLmStudio({ loaded: ["tiny-chat"], ...otherOptions });
  ollama.replies.set({ text: ["Ollama", " says so."] });
  lmStudio.replies.set({ text: ["LM Studio", " says so."] });
  const legs = {
    ollama: { provider: "ollama" as const, baseUrl: ollama.url, model: "tiny" },
    lmStudio: { provider: "lmstudio" as const, baseUrl: lmStudio.url, model: "tiny-chat" },
  };
  ({ client, told } = tellingClient({ retryDelay: 0.001, ...config(legs) }));
}

const alone = (legs: { ollama: LegConfig }) => legs.ollama;

describe("another server answers", () => {
  test("when nobody listens at the first", async () => {
    await start();
    ollama.fault("connection-refused");
    const response = await client.generate("hi");
    expect(response).toMatchObject({
      content: LM_STUDIO,
      provider: "lmstudio",
      model: "tiny-chat",
      usedFallback: true,
      fallbackProvider: "lmstudio",
      retryCount: 0,
    });
    expect(storyOf(response.attempts)).toEqual(["0: connection_refused", "1: ok"]);
  });

  test("when the first is busy, without waiting for it", async () => {
    await start(({ ollama: first, lmStudio: next }) => ({
      ...first,
      retryDelay: 20,
      fallbackConfigs: [next],
    }));
    ollama.fault("ollama-busy");
    expect(await client.generate("hi")).toMatchObject({ content: LM_STUDIO });
    expect(ollama.requests).toHaveLength(1);
  });

  test("when the first does not have the model, with its own model", async () => {
    await start((legs) => ({
      ...legs.ollama,
      model: "lost",
      fallbackConfigs: [
        { provider: "lmstudio", baseUrl: lmStudio.url },
        { provider: "ollama", baseUrl: `${ollama.url}/v1` },
        legs.lmStudio,
      ],
    }));
    const { content, model, attempts } = await client.generate("hi");
    expect({ content, model }).toEqual({ content: LM_STUDIO, model: "tiny-chat" });
    expect(attempts).toMatchObject([
      { leg: 0, model: "lost", code: "model_not_found", status: 404 },
      { leg: 1, skippedBecause: 'it has no model of its own, and "lost" is one of ollama' },
      {
        leg: 2,
        skippedBecause: "it has no model of its own, and ollama failed with model_not_found",
      },
      { leg: 3, model: "tiny-chat", phase: "done", status: 200 },
    ]);
  });

  test("when another model than the wanted one answers at the first", async () => {
    await start(
      (legs) => ({ ...legs.lmStudio, model: "big", fallbackConfigs: [legs.ollama] }),
      {},
      { justInTime: false },
    );
    const { content, attempts } = await client.generate("hi");
    expect(content).toBe(OLLAMA);
    expect(storyOf(attempts)).toEqual(["0: model_mismatch", "1: ok"]);
  });

  test("when a prompt is too long, if it has more room", async () => {
    const small = await startFakeOllama();
    await start((legs) => ({
      ...legs.ollama,
      fallbackConfigs: [{ provider: "ollama", baseUrl: small.url, model: "tiny" }, legs.lmStudio],
    }));
    const { content, attempts } = await client.generate("x".repeat(3000));
    expect(content).toBe(LM_STUDIO);
    expect(storyOf(attempts)).toEqual([
      "0: context_length_exceeded",
      "1: its context of 512 tokens is not larger than 512",
      "2: ok",
    ]);
    await small.close();
  });

  test("when the first is silent, which is asked only once", async () => {
    await start((legs) => ({
      ...legs.ollama,
      firstTokenTimeout: 0.2,
      fallbackConfigs: [legs.lmStudio],
    }));
    ollama.fault("never-answers");
    const { content, attempts } = await client.generate("hi");
    expect(content).toBe(LM_STUDIO);
    expect(storyOf(attempts)).toEqual(["0: first_content_timeout", "1: ok"]);
    await ollama.disconnectCount(1);
    expect(ollama.requests).toHaveLength(1);
  });

  test("to one of three, and hooks tell the way there", async () => {
    const port = await closedPort();
    await start((legs) => ({
      provider: "lmstudio",
      baseUrl: `http://127.0.0.1:${port}`,
      model: "a",
      fallbackConfigs: [legs.ollama, legs.lmStudio],
    }));
    ollama.fault("ollama-out-of-memory");
    const response = await client.generate({ messages: "hi", requestId: "mine" });
    expect(told.fallbacks).toMatchObject([
      {
        requestId: "mine",
        from: { leg: 0, provider: "lmstudio", model: "a" },
        to: { leg: 1, provider: "ollama", model: "tiny" },
        error: { code: "connection_refused" },
      },
      {
        from: { leg: 1, provider: "ollama" },
        to: { leg: 2, provider: "lmstudio", model: "tiny-chat" },
        error: { code: "model_load_failed" },
      },
    ]);
    expect(told.attempts.map(({ attempt }) => attempt)).toEqual(response.attempts);
    expect(told.finishes).toEqual([{ requestId: "mine", response }]);
  });
});

describe("once something was delivered", () => {
  test("a stream breaks off with the text so far", async () => {
    await start();
    ollama.fault("reset", { at: "mid-stream" });
    const { error, delivered } = await call(client, "stream", { messages: "hi" });
    expect(error).toMatchObject({
      name: "StreamInterruptedError",
      code: "stream_interrupted",
      partial: "Ollama",
      provider: "ollama",
      model: "tiny",
      url: ollama.url,
    });
    expect(delivered).toBe("Ollama");
    expect(lmStudio.requests).toEqual([]);
  });

  test("a whole reply is still replaced", async () => {
    await start();
    ollama.fault("reset", { at: "mid-stream" });
    const response = await client.generate("hi");
    expect(response).toMatchObject({ content: LM_STUDIO, usedFallback: true });
    expect(storyOf(response.attempts)).toEqual(["0: stream_interrupted", "1: ok"]);
  });

  test.each([
    { reasoning: ["Hm", " hm"] },
    {
      toolCalls: [
        { name: "look", arguments: {} },
        { name: "look", arguments: {} },
      ],
    },
  ])("a stream is locked in, also by %j", async (script) => {
    const model = "gpt-oss";
    await start((legs) => ({ ...legs.ollama, model, fallbackConfigs: [legs.lmStudio] }));
    ollama.replies.set(script);
    ollama.fault("cut", { at: "mid-stream" });
    const tools: Tool[] = [{ type: "function", function: { name: "look" } }];
    const { error } = await call(client, "stream", { messages: "hi", tools });
    expect(error).toHaveProperty("code", "stream_interrupted");
    expect(error).not.toHaveProperty("partial");
    expect(lmStudio.requests).toEqual([]);
  });
});

describe("time", () => {
  test.each([
    ["the first server alone", alone],
    ["LM Studio alone", (legs: { lmStudio: LegConfig }) => legs.lmStudio],
  ])("for loading a model does not count as silence: %s", async (_, leg) => {
    const limits = { timeout: 1, firstTokenTimeout: 20 };
    const loadMs = 1200;
    await start((legs) => ({ ...leg(legs), ...limits }), { loadMs }, { loadMs, loaded: [] });
    const { content, timings } = await client.generate("hi");
    expect(content).toMatch(/says so/);
    expect(timings.firstTokenMs).toBeGreaterThan(1150);
  });

  test("of a whole call is that of all its attempts", async () => {
    await start((legs) => ({
      ...legs.ollama,
      firstTokenTimeout: 0.2,
      deadline: 1,
      fallbackConfigs: [{ ...legs.lmStudio, firstTokenTimeout: 20 }],
    }));
    ollama.fault("never-answers");
    lmStudio.fault("headers-then-silence");
    const failure = await failureOf(client.generate("hi"));
    expect(failure).toMatchObject({ name: "TimeoutError", code: "deadline_exceeded" });
    expect(storyOf(failure.attempts)).toEqual(["0: first_content_timeout", "1: deadline_exceeded"]);
    await lmStudio.disconnectCount(1);
  });

  test("that a server asks for is kept", async () => {
    await start(alone);
    ollama.fault("rate-limited", { times: 2, headers: { "retry-after-ms": "150" } });
    const startedAt = performance.now();
    expect(await client.generate("hi")).toMatchObject({ content: OLLAMA, retryCount: 2 });
    expect(performance.now() - startedAt).toBeGreaterThan(295);
    expect(told.retries.map(({ delay }) => delay)).toEqual([0.15, 0.15]);
  });

  test("that a server asks for is not waited for where it goes beyond the deadline", async () => {
    await start((legs) => ({ ...legs.ollama, deadline: 20 }));
    ollama.fault("rate-limited", { headers: { "Retry-After": "25" } });
    const failure = await failureOf(client.generate("hi"));
    expect(failure).toMatchObject({ code: "rate_limited", retryAfter: 25 });
    expect(ollama.requests).toHaveLength(1);
  });

  test("ends for all at once when the caller aborts", async () => {
    await start();
    ollama.fault("never-answers");
    const work = new AbortController();
    const failure = failureOf(client.generate({ messages: "hi", signal: work.signal }));
    await ollama.requestCount(1);
    work.abort();
    expect(await failure).toMatchObject({ name: "AbortError", code: "aborted" });
    await ollama.disconnectCount(1);
    expect(lmStudio.requests).toEqual([]);
  });
});

describe("a server that keeps refusing", () => {
  test("is held back for a while, as health tells", async () => {
    await start();
    ollama.fault("connection-refused");
    await client.generate("hi");
    expect((await client.health()).providers[0]!.breaker).toMatchObject({ state: "closed" });
    await client.generate("hi");
    await ollama.clearFaults();
    const { attempts } = await client.generate("hi");
    expect(attempts[0]!.skippedBecause).toMatch(
      /^it is held back after 2 failures \(the last: connection_refused\), for \d+ s more$/,
    );
    expect(storyOf(attempts.slice(1))).toEqual(["1: ok"]);
    expect(ollama.requests).toEqual([]);
    const { healthy, providers } = await client.health();
    expect(healthy).toBe(true);
    expect(providers[0]!.breaker).toMatchObject({
      state: "open",
      failures: 2,
      code: "connection_refused",
      opensIn: expect.any(Number),
    });
    expect(providers[1]!.breaker).toMatchObject({ state: "closed", failures: 0 });
  });

  test("is asked all the same where there is no other, and well again at once", async () => {
    await start(alone);
    ollama.fault("connection-refused");
    for (let count = 0; count < 2; count++) await failureOf(client.generate("hi"));
    const breaker = async () => (await client.health()).providers[0]!.breaker!.state;
    expect(await breaker()).toBe("open");
    await ollama.clearFaults();
    expect(await client.generate("hi")).toMatchObject({ content: OLLAMA });
    expect(await breaker()).toBe("closed");
  });

  test("is told of with the others where nobody answers", async () => {
    await start();
    ollama.fault("connection-refused");
    lmStudio.fault("lm-studio-nothing-loaded");
    const failure = await failureOf(client.generate("hi"));
    expect(failure).toMatchObject({
      name: "AllProvidersFailedError",
      code: "all_providers_failed",
      hint: "Is Ollama running? Start it with `ollama serve`. Load it with `lms load tiny-chat`, or switch on just-in-time loading.",
    });
    expect(failure.message).toMatch(
      /^No provider could answer\.\n {2}ollama: Ollama at \S+ refused the connection\.\n {2}lmstudio: LM Studio has no model loaded/,
    );
    expect(storyOf(failure.attempts)).toEqual(["0: connection_refused", "1: model_not_loaded"]);
    await failureOf(client.generate("hi"));
    expect((await failureOf(client.generate("hi"))).message).toMatch(
      /ollama: skipped, because it is held back after 2 failures .*\n {2}lmstudio: LM Studio has no model/,
    );
  });
});

describe("without the addon", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "no-addon-"));
    process.env.MLX_LLM_CLIENT_PREBUILD = folder;
  });
  afterEach(() => {
    delete process.env.MLX_LLM_CLIENT_PREBUILD;
    rmSync(folder, { recursive: true });
  });

  /** Whether there is an addon is found out once, so each test needs modules of its own. */
  async function withFreshClient(
    config: LLMConfig,
    sources: object,
    use: (fresh: LLMClient) => Promise<void>,
  ): Promise<void> {
    await jest.isolateModulesAsync(async () => {
      const { LLMClient } = await import("../src/index.js");
      const fresh = new LLMClient(config, { ...NO_SOURCES, ...sources });
      await use(fresh).finally(() => fresh.close());
    });
  }

  test("Ollama answers, and MLX is skipped with the reason", async () => {
    await start();
    const leg = { provider: "ollama", baseUrl: ollama.url, model: "tiny" } as const;
    const config: LLMConfig = { provider: "mlx", model: "demo", fallbackConfigs: [leg] };
    await withFreshClient(config, {}, async (fresh) => {
      for (const manner of MANNERS) {
        const { response } = await call(fresh, manner, { messages: "hi" });
        expect(response).toMatchObject({ content: OLLAMA, usedFallback: true });
        expect(storyOf(response!.attempts)).toEqual([
          expect.stringMatching(/^0: (The MLX addon .* is not installed|MLX .*)/),
          "1: ok",
        ]);
      }
    });
  });

  test("nothing that runs by itself gives an error with every reason", async () => {
    const address = async () => `http://127.0.0.1:${await closedPort()}`;
    const env = { OLLAMA_BASE_URL: await address(), LMSTUDIO_BASE_URL: await address() };
    const mac = { platform: "darwin", arch: "arm64" };
    await withFreshClient({}, { env, platform: mac }, async (fresh) => {
      const { error } = await call(fresh, "generate", { messages: "hi" });
      expect(error).toMatchObject({
        name: "AllProvidersFailedError",
        code: "all_providers_failed",
      });
      expect(error!.message).toMatch(
        /mlx: skipped, because .*MLX.*\n {2}ollama: Ollama at .* refused .*\n {2}lmstudio: LM Studio at .* refused/,
      );
      expect(error!.hint).toMatch(/ollama serve.*lms server start/);
      expect(storyOf(error!.attempts)).toEqual([
        expect.stringMatching(/^0: .*MLX/),
        "1: connection_refused",
        "2: connection_refused",
      ]);
      expect(await fresh.healthCheck()).toBe(false);
    });
  });

  test("whatever runs is found by itself", async () => {
    await start();
    const env = { OLLAMA_BASE_URL: ollama.url, LMSTUDIO_BASE_URL: lmStudio.url };
    ollama.fault("connection-refused");
    await withFreshClient({}, { env }, async (fresh) => {
      const { response } = await call(fresh, "generate", { messages: "hi" });
      expect(response).toMatchObject({
        content: LM_STUDIO,
        warnings: ['no model was named, so "tiny-chat" answers'],
      });
    });
  });
});
