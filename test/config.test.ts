import { resolveConfig } from "../src/config.js";
import { ConfigurationError } from "../src/errors.js";
import type { LLMConfig } from "../src/types.js";

function failureOf(config: unknown, env: Record<string, string> = {}): ConfigurationError {
  try {
    resolveConfig(config as LLMConfig, env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return error as ConfigurationError;
  }
  throw new Error("The configuration was accepted.");
}

test("an empty configuration gives the defaults", () => {
  expect(resolveConfig({}, {})).toEqual({
    provider: "mlx",
    timeout: 30,
    firstTokenTimeout: 300,
    cacheTtl: 300,
  });
});

test("the environment fills in what code leaves out", () => {
  const env = {
    LLM_CLIENT_PROVIDER: "mlx",
    LLM_CLIENT_MODEL: "org/name",
    MLX_MODEL_PATH: "/models",
    LLM_CLIENT_TIMEOUT: "12.5",
    LLM_CLIENT_CACHE_TTL: "0",
  };
  expect(resolveConfig({}, env)).toEqual({
    provider: "mlx",
    model: "org/name",
    baseUrl: "/models",
    timeout: 12.5,
    firstTokenTimeout: 12.5,
    cacheTtl: 0,
  });
});

test("code wins over the environment", () => {
  const env = { LLM_CLIENT_PROVIDER: "lmstudio", LLM_CLIENT_MODEL: "a", LLM_CLIENT_TIMEOUT: "5" };
  const config = { provider: "mlx", model: "b", timeout: 6 } as const;
  expect(resolveConfig(config, env)).toMatchObject(config);
});

test("a field that is undefined in code does not hide the environment", () => {
  expect(resolveConfig({ model: undefined }, { LLM_CLIENT_MODEL: "a" }).model).toBe("a");
});

test("a folder given in code is not overruled by a model of the environment", () => {
  const settings = resolveConfig({ baseUrl: "/models/mine" }, { LLM_CLIENT_MODEL: "demo" });
  expect(settings).toMatchObject({ baseUrl: "/models/mine" });
  expect(settings.model).toBeUndefined();
});

test("empty variables count as absent", () => {
  expect(resolveConfig({}, { LLM_CLIENT_MODEL: "", LLM_CLIENT_TIMEOUT: " " })).toEqual(
    resolveConfig({}, {}),
  );
});

test("the timeout alone sets the time for the first token too", () => {
  expect(resolveConfig({ timeout: 5 }, {})).toMatchObject({ timeout: 5, firstTokenTimeout: 5 });
  expect(resolveConfig({ timeout: 5, firstTokenTimeout: 60 }, {}).firstTokenTimeout).toBe(60);
});

test("fields may be written in snake case", () => {
  const config = { base_url: "/models/mine", first_token_timeout: 9 } as LLMConfig;
  expect(resolveConfig(config, {})).toMatchObject({
    baseUrl: "/models/mine",
    firstTokenTimeout: 9,
  });
});

test.each([
  [{ timeout: 0 }, "timeout is 0, but must be a number of seconds above 0 (given directly)"],
  [{ cacheTtl: -1 }, "cacheTtl is -1, but must be a number of seconds, 0 or more"],
  [{ model: "" }, 'model is "", but must be the name of a model'],
  [
    { provider: "openai" },
    'provider is "openai", but must be "mlx", "ollama", "lmstudio" or "auto"',
  ],
  [
    { baseUrl: "http://localhost:8080" },
    "must be the folder of a model; servers are not available in this version",
  ],
  [{ modle: "demo" }, "modle is not a known field"],
  [{ maxRetries: 3 }, "maxRetries is not available in this version"],
  [{ fallback_configs: [] }, "fallbackConfigs is not available in this version"],
  [{ baseUrl: "/a", base_url: "/b" }, "baseUrl is given twice"],
  [{ toString: 1 }, "toString is not a known field"],
  ["demo", 'it is "demo", but must be an object'],
])("%j is refused", (config, problem) => {
  expect(failureOf(config).message).toContain(problem);
});

test("a wrong variable is refused by name", () => {
  expect(failureOf({}, { LLM_CLIENT_TIMEOUT: "soon" }).message).toContain(
    'timeout is "soon", but must be a number of seconds above 0 (from LLM_CLIENT_TIMEOUT)',
  );
  expect(failureOf({}, { LLM_CLIENT_PROVIDER: "openai" }).message).toContain(
    "(from LLM_CLIENT_PROVIDER)",
  );
});

test("the hint lists the known fields", () => {
  expect(failureOf({ modle: "demo" }).hint).toContain("provider, model, baseUrl, timeout");
});

test.each(["ollama", "lmstudio"] as const)("%s is not available yet", (provider) => {
  expect(failureOf({ provider })).toMatchObject({ provider, code: "configuration" });
  expect(failureOf({ provider }).message).toContain("(given directly)");
  const fromEnvironment = failureOf({}, { LLM_CLIENT_PROVIDER: provider });
  expect(fromEnvironment.message).toContain("in this version (from LLM_CLIENT_PROVIDER)");
});
