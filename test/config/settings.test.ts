import { resolveConfig } from "../../src/config/settings.js";
import type { LLMConfig } from "../../src/types.js";
import { ConfigFolders } from "../helpers/config-folders.js";
import { refusalOf } from "../helpers/configuration-error.js";

let folders: ConfigFolders;

beforeEach(async () => {
  folders = await ConfigFolders.create();
});
afterEach(() => folders.remove());

const resolve = (config: LLMConfig = {}, env: Record<string, string> = {}, more: object = {}) =>
  resolveConfig(config, { ...folders.sources(env), ...more });

const defaults = {
  verifySsl: true,
  timeout: 30,
  connectTimeout: 3,
  firstTokenTimeout: 300,
  maxRetries: 3,
  retryDelay: 1,
  retryMaxDelay: 10,
  retryExponentialBase: 2,
};

test.each([
  [{ configfile: "x" }, "configfile is not a known field"],
  [{ configFile: true }, "configFile is true, but must be the name of a file, or false"],
  [{ configFile: "" }, 'configFile is "", but must be the name of a file, or false'],
  [null, "it is null, but must be an object"],
])("sources that are %j are refused", (sources, problem) => {
  const { message } = refusalOf(() => resolveConfig({}, sources as never));
  expect(message).toContain(problem);
});

test.each([
  ["mlx", undefined],
  ["ollama", "http://localhost:11434"],
  ["lmstudio", "http://localhost:1234"],
] as const)("%s with all defaults", (provider, baseUrl) => {
  const place = baseUrl === undefined ? {} : { baseUrl };
  expect(resolve({ provider })).toEqual({
    legs: [{ provider, isAuto: false, ...place, ...defaults }],
    deadline: undefined,
    cacheTtl: 300,
    hooks: {},
    logger: undefined,
    warnings: [],
  });
});

describe("precedence", () => {
  test("code, flags, environment, file of the folder, file of the user, default", async () => {
    await folders.write(folders.projectFile, { timeout: 4, connectTimeout: 4 });
    await folders.write(folders.userFile, { timeout: 5, connectTimeout: 5, cacheTtl: 5 });
    const env = { LLM_CLIENT_TIMEOUT: "3", LLM_CLIENT_RETRY_DELAY: "3", LLM_CLIENT_MODEL: "3" };
    const flags = { timeout: 2, retryDelay: 2, maxRetries: 2 };
    const settings = resolve({ timeout: 1, maxRetries: 1 }, env, { flags });
    expect(settings.cacheTtl).toBe(5);
    expect(settings.legs[0]).toMatchObject({
      timeout: 1,
      maxRetries: 1,
      retryDelay: 2,
      model: "3",
      connectTimeout: 4,
      retryMaxDelay: 10,
    });
  });

  test("a field that is undefined in code does not hide others", () => {
    expect(resolve({ model: undefined }, { LLM_CLIENT_MODEL: "a" }).legs[0]?.model).toBe("a");
  });

  test("errors of flags name the flag", () => {
    const flags = { timeout: 0, baseUrl: "http://box" };
    expect(refusalOf(() => resolve({}, {}, { flags })).message).toContain("(from --timeout)");
    const { message } = refusalOf(() => resolve({}, {}, { flags: { baseUrl: "http://box" } }));
    expect(message).toContain('baseUrl is "http://box" (from --base-url)');
  });

  test("what was said of another provider does not count", async () => {
    const box = { provider: "ollama", baseUrl: "box:1", model: "qwen3", apiKey: "key" } as const;
    await folders.write(folders.userFile, {
      ...box,
      verifySsl: false,
      maxConcurrent: 2,
      timeout: 9,
    });
    const [leg] = resolve({}, {}, { flags: { provider: "lmstudio" } }).legs;
    expect(leg).toEqual({
      provider: "lmstudio",
      isAuto: false,
      baseUrl: "http://localhost:1234",
      ...defaults,
      timeout: 9,
      firstTokenTimeout: 9,
    });
    expect(resolve().legs[0]).toMatchObject({ ...box, baseUrl: "http://box:1" });
  });
});

describe("times", () => {
  test("the timeout alone sets the time for the first token too", () => {
    const times = (config: LLMConfig, env = {}) => resolve(config, env).legs[0]?.firstTokenTimeout;
    expect(times({ timeout: 5 })).toBe(5);
    expect(times({ timeout: 5, firstTokenTimeout: 60 })).toBe(60);
    expect(times({}, { LLM_CLIENT_TIMEOUT: "7" })).toBe(7);
  });

  test("client, hooks and logger are passed on", () => {
    const onRetry = () => {};
    const config = { deadline: 9, cacheTtl: 0, onRetry, logger: console };
    const { deadline, cacheTtl, hooks, logger } = resolve(config);
    expect({ deadline, cacheTtl, hooks }).toEqual({ deadline: 9, cacheTtl: 0, hooks: { onRetry } });
    expect(logger).toBe(console);
  });
});

describe("a folder in baseUrl", () => {
  test.each([{}, { provider: "mlx" as const }])("is for mlx, and says which model: %j", (more) => {
    const env = { LLM_CLIENT_MODEL: "demo", LLM_CLIENT_PROVIDER: "ollama" };
    const { legs } = resolve({ ...more, baseUrl: "./mine" }, env);
    const leg = legs.find(({ provider }) => provider === "mlx")!;
    expect(leg).toMatchObject({ baseUrl: "./mine" });
    expect(leg.model).toBeUndefined();
  });

  test("with a model named beside it holds that model", () => {
    const config = { provider: "mlx", baseUrl: "./models", model: "tiny" } as const;
    expect(resolve(config, { LLM_CLIENT_MODEL: "demo" }).legs[0]).toMatchObject(config);
  });

  test("MLX_MODEL_PATH only says where models are", () => {
    const env = { MLX_MODEL_PATH: "./models", LLM_CLIENT_MODEL: "tiny" };
    expect(resolve({ provider: "mlx" }, env).legs[0]).toMatchObject({
      baseUrl: "./models",
      model: "tiny",
    });
  });

  test("does not count for a server that is named with more right", async () => {
    await folders.write(folders.projectFile, { baseUrl: "./models" });
    const { legs } = resolve({ provider: "ollama" });
    expect(legs[0]?.baseUrl).toBe("http://localhost:11434");
  });

  test("is refused for a server that is named beside it", () => {
    const { message } = refusalOf(() => resolve({ provider: "ollama", baseUrl: "./models" }));
    expect(message).toContain(
      'baseUrl is "./models", but for ollama it must be the http(s) address',
    );
    expect(message).toContain("(given directly)");
  });
});

describe("auto", () => {
  const providers = (platform: string, arch: string) =>
    resolve({}, {}, { platform: { platform, arch } }).legs.map(({ provider }) => provider);

  test("begins with mlx on Apple silicon, and ends with it elsewhere", () => {
    expect(providers("darwin", "arm64")).toEqual(["mlx", "ollama", "lmstudio"]);
    // Also what Node says under Rosetta.
    expect(providers("darwin", "x64")).toEqual(["ollama", "lmstudio", "mlx"]);
    expect(providers("linux", "arm64")).toEqual(["ollama", "lmstudio", "mlx"]);
  });

  test("gives the model and the limits to all of them", () => {
    const { legs } = resolve({ provider: "auto", model: "qwen3", maxConcurrent: 2, timeout: 5 });
    for (const leg of legs) {
      expect(leg).toMatchObject({ isAuto: true, model: "qwen3", maxConcurrent: 2, timeout: 5 });
    }
  });

  test("gives a folder to mlx alone, and others their own addresses", () => {
    const { legs } = resolve({ baseUrl: "models/mine" }, { OLLAMA_HOST: "box" });
    expect(legs.map(({ baseUrl }) => baseUrl)).toEqual([
      "http://box:11434",
      "http://localhost:1234",
      "models/mine",
    ]);
  });

  test("gives what a file says of one provider to that one", async () => {
    const file = { provider: "lmstudio", baseUrl: "https://box", apiKey: "key", model: "a" };
    await folders.write(folders.userFile, file);
    const { legs } = resolve({ provider: "auto", model: "b" });
    expect(legs.map(({ baseUrl, apiKey, model }) => [baseUrl, apiKey, model])).toEqual([
      ["http://localhost:11434", undefined, "b"],
      ["https://box", "key", "b"],
      [undefined, undefined, "b"],
    ]);
  });

  test.each(["http://box:11434", "localhost:1234"])("refuses the address %s", (baseUrl) => {
    const { message, hint } = refusalOf(() => resolve({ baseUrl }));
    expect(message).toContain(
      `baseUrl is "${baseUrl}" (given directly), but no provider: say which provider it is`,
    );
    expect(hint).toContain("--provider");
  });

  test("refuses a key", () => {
    const { message } = refusalOf(() => resolve({ provider: "auto", apiKey: "hush" }));
    expect(message).toContain("there is an API key (given directly), but no provider");
    expect(message).not.toContain("hush");
  });

  test("comes before the fallbacks", () => {
    const { legs } = resolve({ fallbackConfigs: [{ provider: "ollama", model: "small" }] });
    expect(legs.map(({ isAuto }) => isAuto)).toEqual([true, true, true, false]);
    expect(legs[3]).toMatchObject({ provider: "ollama", model: "small" });
  });
});

describe("fallbackConfigs", () => {
  test("have times and retries from around them, and nothing else", () => {
    const times = {
      timeout: 1,
      connectTimeout: 2,
      firstTokenTimeout: 3,
      maxRetries: 4,
      retryDelay: 5,
      retryMaxDelay: 6,
      retryExponentialBase: 7,
    };
    const server = {
      model: "a",
      baseUrl: "box",
      apiKey: "key",
      verifySsl: false,
      maxConcurrent: 1,
    };
    const fallbackConfigs = [{ provider: "ollama" as const }];
    const { legs } = resolve({ provider: "lmstudio", ...server, ...times, fallbackConfigs });
    expect(legs[1]).toEqual({
      provider: "ollama",
      isAuto: false,
      baseUrl: "http://localhost:11434",
      verifySsl: true,
      ...times,
    });
  });

  test("may say all of it themselves", () => {
    const leg = {
      ...defaults,
      provider: "ollama",
      model: "b",
      apiKey: "k",
      maxRetries: 0,
    } as const;
    const own = { ...leg, baseUrl: "https://box/x", verifySsl: false, maxConcurrent: 3 };
    const { legs } = resolve({ provider: "mlx", timeout: 1, fallbackConfigs: [own] });
    expect(legs[1]).toEqual({ ...own, isAuto: false });
  });

  test("have their own timeout for the first token too, where that is not set", () => {
    const fallbackConfigs = [{ provider: "ollama" as const, timeout: 7 }];
    const first = (config: LLMConfig) => resolve({ ...config, fallbackConfigs }).legs.at(-1);
    expect(first({ timeout: 5 })).toMatchObject({ timeout: 7, firstTokenTimeout: 7 });
    expect(first({ firstTokenTimeout: 99 })).toMatchObject({ timeout: 7, firstTokenTimeout: 99 });
  });

  test("have the timeout of code before that of the environment", () => {
    const fallbackConfigs = [{ provider: "ollama" as const }];
    const env = { OLLAMA_TIMEOUT: "60" };
    const timeoutOf = (config: LLMConfig) =>
      resolve({ ...config, provider: "mlx", fallbackConfigs }, env).legs.map((leg) => leg.timeout);
    expect(timeoutOf({})).toEqual([30, 60]);
    expect(timeoutOf({ timeout: 5 })).toEqual([5, 5]);
  });

  test("of code replace those of a file, also by none", async () => {
    await folders.write(folders.projectFile, { fallbackConfigs: [{ provider: "lmstudio" }] });
    expect(resolve({ provider: "mlx" }).legs).toHaveLength(2);
    expect(resolve({ provider: "mlx", fallbackConfigs: [] }).legs).toHaveLength(1);
  });

  test("are at most so many that there are 16 legs", () => {
    const list = (length: number) => Array.from({ length }, () => ({ provider: "mlx" as const }));
    const legs = (config: LLMConfig) => resolve(config).legs.length;
    expect(legs({ provider: "ollama", fallbackConfigs: list(15) })).toBe(16);
    expect(legs({ fallbackConfigs: list(13) })).toBe(16);
    expect(refusalOf(() => legs({ fallbackConfigs: list(14) })).message).toContain(
      "fallbackConfigs has 14 legs, but must have at most 13 (given directly)",
    );
  });

  test("with a wrong address are refused by their place", () => {
    const fallbackConfigs = [{ provider: "ollama" as const, baseUrl: "ftp://box" }];
    expect(refusalOf(() => resolve({ fallbackConfigs })).message).toContain(
      '"ftp://box", but for ollama it must be the http(s) address of a server, without query ' +
        "(fallbackConfigs[0] given directly)",
    );
  });
});
