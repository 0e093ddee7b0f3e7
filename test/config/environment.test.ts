import { resolveConfig } from "../../src/config/settings.js";
import type { LLMConfig } from "../../src/types.js";
import { refusalOf } from "../helpers/configuration-error.js";

const platform = { platform: "linux", arch: "x64" };

const resolve = (env: Record<string, string>, config: LLMConfig = {}) =>
  resolveConfig(config, { env, configFile: false, platform });

test("LLM_CLIENT_… set what every leg has", () => {
  const settings = resolve({
    LLM_CLIENT_PROVIDER: "ollama",
    LLM_CLIENT_MODEL: "qwen3:4b",
    LLM_CLIENT_TIMEOUT: "12.5",
    LLM_CLIENT_MAX_RETRIES: "0",
    LLM_CLIENT_RETRY_DELAY: ".5",
    LLM_CLIENT_CACHE_TTL: "1e2",
  });
  expect(settings).toMatchObject({ cacheTtl: 100, legs: [{ provider: "ollama" }] });
  expect(settings.legs[0]).toMatchObject({
    model: "qwen3:4b",
    timeout: 12.5,
    firstTokenTimeout: 12.5,
    maxRetries: 0,
    retryDelay: 0.5,
  });
});

test("empty variables count as unset", () => {
  expect(resolve({ LLM_CLIENT_MODEL: "", LLM_CLIENT_TIMEOUT: " " })).toEqual(resolve({}));
});

test.each([
  ["LLM_CLIENT_TIMEOUT", "abc", 'timeout is "abc"'],
  ["LLM_CLIENT_TIMEOUT", "1e999", 'timeout is "1e999"'],
  ["LLM_CLIENT_TIMEOUT", "-1", "timeout is -1"],
  ["LLM_CLIENT_TIMEOUT", "0x10", 'timeout is "0x10"'],
  ["LLM_CLIENT_TIMEOUT", "5s", 'timeout is "5s"'],
  ["LLM_CLIENT_MAX_RETRIES", "1.5", "maxRetries is 1.5"],
  ["LLM_CLIENT_RETRY_DELAY", "Infinity", 'retryDelay is "Infinity"'],
  ["LLM_CLIENT_CACHE_TTL", "never", 'cacheTtl is "never"'],
  ["LLM_CLIENT_PROVIDER", "openai", 'provider is "openai"'],
  ["OLLAMA_TIMEOUT", "NaN", 'timeout is "NaN"'],
  ["OLLAMA_BASE_URL", "ftp://box", 'baseUrl is "ftp://box"'],
  ["OLLAMA_HOST", "ftp://box", 'baseUrl is "ftp://box"'],
  ["LMSTUDIO_BASE_URL", "./folder", 'baseUrl is "./folder"'],
  ["LMSTUDIO_API_KEY", "two words", "apiKey must be a text of printable ASCII"],
])("%s=%s is refused by name", (name, value, problem) => {
  const { message } = refusalOf(() => resolve({ [name]: value }));
  expect(message).toContain(problem);
  expect(message).toContain(`(from ${name})`);
});

test("an unknown LLM_CLIENT_… is told, with the name that it may stand for", () => {
  expect(resolve({ LLM_CLIENT_MODLE: "x", OTHER_CLIENT_MODEL: "y" }).warnings).toEqual([
    "the variable LLM_CLIENT_MODLE is not known and has no effect: did you mean LLM_CLIENT_MODEL?",
  ]);
  const { warnings } = resolve({ LLM_CLIENT_BASE_URL: "http://ada:hush@box" });
  expect(warnings).toEqual([
    expect.stringContaining("no effect: LLM_CLIENT_PROVIDER, LLM_CLIENT_"),
  ]);
  expect(warnings[0]).not.toContain("hush");
});

test("a wrong variable of a provider that is not used does no harm", () => {
  const env = { OLLAMA_TIMEOUT: "soon", OLLAMA_HOST: "ftp://box" };
  expect(resolve(env, { provider: "mlx" }).legs).toHaveLength(1);
});

test("credentials in an address are not shown", () => {
  for (const name of ["OLLAMA_HOST", "OLLAMA_BASE_URL"]) {
    const { message } = refusalOf(() => resolve({ [name]: "ftp://ada:hush@box" }));
    expect(message).toContain("[redacted]@box");
    expect(message).not.toContain("hush");
  }
});

describe("variables of one provider", () => {
  const ollama = (env: Record<string, string>, config: LLMConfig = {}) =>
    resolve(env, { provider: "ollama", ...config }).legs[0];

  test("OLLAMA_BASE_URL comes before OLLAMA_HOST", () => {
    const env = { OLLAMA_HOST: "one", OLLAMA_BASE_URL: "http://two:2/" };
    expect(ollama(env)?.baseUrl).toBe("http://two:2");
  });

  test.each([
    ["0.0.0.0", "http://127.0.0.1:11434"],
    [":8080", "http://127.0.0.1:8080"],
    ["box", "http://box:11434"],
    ["https://box", "https://box"],
  ])("OLLAMA_HOST=%s is read as Ollama reads it", (OLLAMA_HOST, address) => {
    expect(ollama({ OLLAMA_HOST })?.baseUrl).toBe(address);
  });

  test("OLLAMA_TIMEOUT comes before LLM_CLIENT_TIMEOUT, for Ollama alone", () => {
    const env = { OLLAMA_TIMEOUT: "60", LLM_CLIENT_TIMEOUT: "10" };
    const times = resolve(env).legs.map(({ provider, timeout }) => [provider, timeout]);
    expect(times).toEqual([
      ["ollama", 60],
      ["lmstudio", 10],
      ["mlx", 10],
    ]);
  });

  test("LMSTUDIO_API_KEY comes before LM_API_TOKEN", () => {
    const key = (env: Record<string, string>) => resolve(env, { provider: "lmstudio" }).legs[0];
    expect(key({ LM_API_TOKEN: "b", LMSTUDIO_API_KEY: "a" })?.apiKey).toBe("a");
    expect(key({ LM_API_TOKEN: " b " })?.apiKey).toBe("b");
  });

  test("they reach every leg of that provider that does not say otherwise", () => {
    const env = { LMSTUDIO_BASE_URL: "http://box:1", LMSTUDIO_API_KEY: "key" };
    const { legs } = resolve(env, {
      provider: "mlx",
      fallbackConfigs: [
        { provider: "lmstudio" },
        { provider: "lmstudio", baseUrl: "http://other", apiKey: "own" },
        { provider: "ollama" },
      ],
    });
    expect(legs.map(({ baseUrl, apiKey }) => [baseUrl, apiKey])).toEqual([
      [undefined, undefined],
      ["http://box:1", "key"],
      ["http://other", "own"],
      ["http://localhost:11434", undefined],
    ]);
  });

  test("MLX_MODEL_PATH is a folder or the address of a server", () => {
    const place = (MLX_MODEL_PATH: string) =>
      resolve({ MLX_MODEL_PATH }, { provider: "mlx" }).legs[0]?.baseUrl;
    expect(place("./models")).toBe("./models");
    expect(place("http://box:8080/")).toBe("http://box:8080");
  });
});
