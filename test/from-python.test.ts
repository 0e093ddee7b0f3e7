import {
  AuthenticationError,
  ConfigurationError,
  ConnectionError,
  explainConfig,
  GenerationError,
  LLMClient,
  type LLMConfig,
  LLMError,
  ModelNotFoundError,
  RateLimitError,
  TimeoutError,
  ValidationError,
} from "../src/index.js";
import { ConfigFolders } from "./helpers/config-folders.js";
import { runCli } from "./helpers/run-cli.js";
import { type FakeLmStudio, startFakeLmStudio } from "./servers/fake-lm-studio.js";
import { type FakeOllama, startFakeOllama } from "./servers/fake-ollama.js";
import { closedPort } from "./servers/ports.js";

// What docs/from-python.md promises: each feature of the Python client, used as it is used here.

let folders: ConfigFolders;
let ollama: FakeOllama;
let lmStudio: FakeLmStudio;
const clients: LLMClient[] = [];

beforeEach(async () => {
  folders = await ConfigFolders.create();
  ollama = await startFakeOllama();
  lmStudio = await startFakeLmStudio({ loaded: ["tiny-chat"] });
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all([ollama.close(), lmStudio.close(), folders.remove()]);
});

/** A client of the fake Ollama; settings may be in snake_case. */
function newClient(config: Record<string, unknown> = {}, env: Record<string, string> = {}) {
  const all = { provider: "ollama", base_url: ollama.url, model: "tiny", ...config };
  const client = new LLMClient(all as LLMConfig, folders.sources(env));
  clients.push(client);
  return client;
}

const chats = () => ollama.requests.filter(({ path }) => path === "/api/chat");

describe("LLMConfig", () => {
  test("is a plain object that takes every field, in either spelling", () => {
    const config = {
      provider: "lmstudio",
      model: "tiny-chat",
      base_url: "http://box:1",
      api_key: "secret",
      timeout: 5,
      verify_ssl: false,
      max_retries: 1,
      retry_delay: 0.5,
      retry_max_delay: 2,
      retry_exponential_base: 3,
      cache_ttl: 60,
      fallback_configs: [{ provider: "ollama", model: "tiny" }],
    };
    const { fields } = explainConfig(config as LLMConfig, folders.sources());
    const told = (name: string) => fields.find(({ field }) => field === camel(name))?.value;
    const { api_key: _key, fallback_configs: _configs, ...plain } = config;
    for (const [name, value] of Object.entries(plain)) {
      expect([name, told(name)]).toEqual([name, value]);
    }
    expect([told("api_key"), told("fallback_configs")]).toEqual(["[redacted]", ["ollama"]]);
  });

  test("has the defaults it had", () => {
    const { fields } = explainConfig({ provider: "ollama" }, folders.sources());
    const values = Object.fromEntries(fields.map(({ field, value }) => [field, value]));
    expect(values).toMatchObject({
      baseUrl: "http://localhost:11434",
      timeout: 30,
      verifySsl: true,
      maxRetries: 3,
      retryDelay: 1,
      retryMaxDelay: 10,
      retryExponentialBase: 2,
      cacheTtl: 300,
    });
  });

  test("with api_key sends it, to LM Studio too", async () => {
    const server = { provider: "lmstudio", base_url: lmStudio.url, model: "tiny-chat" };
    await newClient({ ...server, api_key: "secret" }).generate("Hello");
    expect(lmStudio.requests.at(-1)?.headers.authorization).toBe("Bearer secret");
  });

  test("with verify_ssl=False accepts any certificate", async () => {
    const secure = await startFakeOllama({ tls: true });
    try {
      const place = { base_url: secure.url.replace("127.0.0.1", "localhost"), max_retries: 0 };
      await expect(newClient(place).generate("Hello")).rejects.toMatchObject({ code: "tls" });
      const { warnings } = await newClient({ ...place, verify_ssl: false }).generate("Hello");
      expect(warnings.join()).toContain("certificate");
    } finally {
      await secure.close();
    }
  });

  test("with max_retries and retry_delay sends a request again", async () => {
    ollama.fault("status", { status: 500, times: 2 });
    const response = await newClient({ max_retries: 2, retry_delay: 0 }).generate("Hello");
    expect(response).toMatchObject({ retryCount: 2, usedFallback: false });
  });

  test("with fallback_configs asks the next provider", async () => {
    const base_url = `http://127.0.0.1:${await closedPort()}`;
    const next = { provider: "lmstudio", base_url: lmStudio.url, model: "tiny-chat" };
    const client = newClient({ base_url, fallback_configs: [next] });
    expect(await client.generate("Hello")).toMatchObject({
      provider: "lmstudio",
      usedFallback: true,
      fallbackProvider: "lmstudio",
    });
  });
});

describe("LLMRequest", () => {
  test("takes every field it had", async () => {
    const messages = [{ role: "user" as const, content: "Hello" }];
    const response = await newClient().generate({
      messages,
      model: "tiny-tools",
      temperature: 0.2,
      maxTokens: 2,
      stream: false,
      requestId: "mine",
      timeoutOverride: 5,
    });
    expect(response).toMatchObject({ requestId: "mine", finishReason: "length" });
    const [{ json, headers }] = chats() as [(typeof ollama.requests)[0]];
    expect(headers["x-request-id"]).toBe("mine");
    expect(json).toMatchObject({ messages, model: "tiny-tools" });
    expect(json?.options).toMatchObject({ temperature: 0.2, num_predict: 2 });
  });

  test("with stream=True gives a stream now", async () => {
    const events = newClient().generate({ messages: "Hello", stream: true });
    const texts: string[] = [];
    for await (const event of events) if (event.type === "text") texts.push(event.text);
    expect(texts.join("")).toBe("Hello from a fake.");
  });

  test("with timeout_override ends sooner", async () => {
    ollama.fault("never-answers");
    const request = { messages: "Hello", timeoutOverride: 0.2 };
    await expect(newClient().generate(request)).rejects.toThrow(TimeoutError);
  });
});

test("LLMResponse has every field it had", async () => {
  expect(await newClient().generate("Hello")).toMatchObject({
    content: "Hello from a fake.",
    model: "tiny",
    finishReason: "stop",
    responseId: expect.any(String),
    provider: "ollama",
    latencyMs: expect.any(Number),
    usage: {
      promptTokens: expect.any(Number),
      completionTokens: 6,
      totalTokens: expect.any(Number),
    },
    retryCount: 0,
    usedFallback: false,
  });
});

test("ModelInfo has every field it had, as far as the provider tells it", async () => {
  const [ofOllama] = await newClient().listModels();
  expect(ofOllama).toMatchObject({ id: "tiny:latest", provider: "ollama", object: "model" });
  expect(ofOllama?.created).toEqual(expect.any(Number));
  const server = { provider: "lmstudio", base_url: lmStudio.url };
  const [ofLmStudio] = await newClient(server).listModels();
  expect(ofLmStudio).toMatchObject({ id: "tiny-chat", ownedBy: "tests", contextLength: 4096 });
  const [demo] = await newClient({ provider: "mlx", base_url: undefined }).listModels();
  expect(demo).toMatchObject({ id: "demo", description: expect.any(String) });
});

test("list_models keeps its list until cache_ttl, use_cache=False or invalidate_cache", async () => {
  const client = newClient({ cache_ttl: 60 });
  const lists = () => ollama.requests.filter(({ path }) => path === "/api/tags").length;
  await client.listModels();
  await client.listModels({ useCache: true });
  expect(lists()).toBe(1);
  await client.listModels({ useCache: false });
  expect(lists()).toBe(2);
  client.invalidateCache();
  await client.listModels();
  expect(lists()).toBe(3);
});

test("health_check is true or false, and never an error", async () => {
  expect(await newClient().healthCheck()).toBe(true);
  const base_url = `http://127.0.0.1:${await closedPort()}`;
  expect(await newClient({ base_url }).healthCheck()).toBe(false);
});

test("the errors keep their names and are all an LLMError", async () => {
  const fail = (config: Record<string, unknown>, request: object = {}) =>
    newClient({ max_retries: 0, ...config }).generate({ messages: "Hello", ...request });
  const withStatus = (status: number) => {
    ollama.fault("status", { status, times: 1 });
    return fail({});
  };
  const silently = () => {
    ollama.fault("never-answers", { times: 1 });
    return fail({}, { timeoutOverride: 0.2 });
  };
  const gone = `http://127.0.0.1:${await closedPort()}`;
  const failures: [new (message: string) => LLMError, () => unknown][] = [
    [ConfigurationError, () => newClient({ timeout: -1 })],
    [ConnectionError, () => fail({ base_url: gone })],
    [AuthenticationError, () => withStatus(401)],
    [ModelNotFoundError, () => fail({ model: "missing" })],
    [RateLimitError, () => withStatus(429)],
    [TimeoutError, () => silently()],
    [ValidationError, () => fail({}, { temperature: 3 })],
    [GenerationError, () => withStatus(500)],
  ];
  for (const [errorClass, run] of failures) {
    const error: unknown = await Promise.resolve()
      .then(run)
      .catch((reason) => reason);
    expect(error).toBeInstanceOf(errorClass);
    expect(LLMError.is(error)).toBe(true);
  }
});

describe("the environment", () => {
  test("has the variables it had", () => {
    const env = {
      LLM_CLIENT_PROVIDER: "auto",
      LLM_CLIENT_MODEL: "tiny",
      LLM_CLIENT_TIMEOUT: "11",
      LLM_CLIENT_MAX_RETRIES: "1",
      LLM_CLIENT_RETRY_DELAY: "0.5",
      LLM_CLIENT_CACHE_TTL: "60",
      OLLAMA_BASE_URL: "http://a:1",
      OLLAMA_TIMEOUT: "12",
      LMSTUDIO_BASE_URL: "http://b:2",
      LMSTUDIO_API_KEY: "secret",
      MLX_MODEL_PATH: "/models",
    };
    const { legs } = explainConfig({}, folders.sources(env));
    const told = legs.map(({ provider, fields }) => {
      const all = Object.fromEntries(fields.map(({ field, value }) => [field, value]));
      return [provider, all.baseUrl, all.timeout, all.maxRetries, all.retryDelay, all.apiKey];
    });
    expect(told).toEqual([
      ["ollama", "http://a:1", 12, 1, 0.5, undefined],
      ["lmstudio", "http://b:2", 11, 1, 0.5, "[redacted]"],
      ["mlx", "/models", 11, 1, 0.5, undefined],
    ]);
  });

  test("has OLLAMA_HOST as Ollama reads it", () => {
    const sources = folders.sources({ OLLAMA_HOST: "0.0.0.0:8080" });
    const { fields } = explainConfig({ provider: "ollama" }, sources);
    const value = fields.find(({ field }) => field === "baseUrl")?.value;
    expect(value).toBe("http://127.0.0.1:8080");
  });
});

test("llm_config.json is read from the working directory", async () => {
  await folders.write(folders.projectFile, {
    provider: "ollama",
    base_url: ollama.url,
    model: "tiny",
    max_retries: 0,
  });
  const client = new LLMClient({}, folders.sources());
  clients.push(client);
  expect((await client.generate("Hello")).content).toBe("Hello from a fake.");
});

/** Runs the built command with the fake Ollama. */
function run(args: string[]) {
  return runCli([...args, "-u", ollama.url], { env: { HOME: folders.root } });
}

test("the command takes the flags it had", async () => {
  const flags = ["-p", "ollama", "-m", "tiny", "-t", "0", "--max-tokens", "2", "--timeout", "9"];
  const result = await run(["generate", ...flags, "--system", "Be brief.", "Hello"]);
  expect(result).toMatchObject({ code: 0, stdout: "Hello from\n" });
  expect(chats()[0]?.json).toMatchObject({
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hello" },
    ],
    options: { temperature: 0, num_predict: 2 },
  });
});

test("the command lists models, tells their health and prints JSON", async () => {
  const models = await run(["models", "-p", "ollama", "--json"]);
  expect(JSON.parse(models.stdout)).toContainEqual(expect.objectContaining({ id: "tiny:latest" }));
  const health = await run(["health", "-p", "ollama", "-m", "tiny", "--json"]);
  expect(JSON.parse(health.stdout)).toMatchObject({ healthy: true });
});

test("the command reads a file that --config names, and says more with -v", async () => {
  await folders.write(folders.projectFile, { provider: "ollama", model: "tiny" });
  const { code, stderr } = await run(["generate", "--config", folders.projectFile, "-v", "Hello"]);
  expect(code).toBe(0);
  expect(stderr).toContain("ollama tiny");
});

function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
