import { checkValues } from "../../src/config/check-values.js";
import { refusalOf } from "../helpers/configuration-error.js";

const refusal = (values: unknown) => refusalOf(() => checkValues(values, "code", () => "here"));

test("fields in camelCase and snake_case come out alike, undefined ones not at all", () => {
  const hook = () => {};
  const values = { base_url: "box", maxRetries: 0, model: undefined, on_retry: hook };
  expect(checkValues(values, "code", () => "here")).toEqual({
    baseUrl: "box",
    maxRetries: 0,
    onRetry: hook,
  });
});

test.each<[unknown, string]>([
  ["demo", 'it is "demo", but must be an object (here)'],
  [[], "it must be an object (here)"],
  [
    { provider: "openai" },
    'provider is "openai", but must be "mlx", "ollama", "lmstudio" or "auto" (here)',
  ],
  [{ model: "" }, 'model is "", but must be the name of a model (here)'],
  [{ baseUrl: 1 }, "baseUrl is 1, but must be the address of a server, or a folder (here)"],
  [{ timeout: 0 }, "timeout is 0, but must be a number of seconds above 0 (here)"],
  [{ timeout: Infinity }, "timeout is Infinity, but must be a number of seconds above 0"],
  [{ connectTimeout: -1 }, "connectTimeout is -1, but must be a number of seconds above 0"],
  [{ deadline: "1" }, 'deadline is "1", but must be a number of seconds above 0'],
  [{ cacheTtl: -1 }, "cacheTtl is -1, but must be a number of seconds, 0 or more"],
  [{ verifySsl: "no" }, 'verifySsl is "no", but must be true or false'],
  [{ maxRetries: 1.5 }, "maxRetries is 1.5, but must be a whole number from 0 to 100"],
  [{ retryDelay: -1 }, "retryDelay is -1, but must be a number of seconds from 0 to 86400"],
  [{ retryMaxDelay: 1e9 }, "retryMaxDelay is 1000000000, but must be a number of seconds from 0"],
  [{ retryExponentialBase: 0.5 }, "retryExponentialBase is 0.5, but must be a number from 1 to"],
  [{ promptCacheBytes: -1 }, "promptCacheBytes is -1, but must be a whole number, 0 or more"],
  [{ maxConcurrent: 0 }, "maxConcurrent is 0, but must be a whole number, 1 or more"],
  [{ onAttempt: 1 }, "onAttempt is 1, but must be a function"],
  [{ logger: { warn() {} } }, "logger must be an object with the functions debug, info, warn and"],
  [{ fallbackConfigs: {} }, "fallbackConfigs must be a list of objects (here)"],
  [{ fallbackConfigs: ["mlx"] }, 'fallbackConfigs[0] is "mlx", but must be an object { provider,'],
  [
    { fallbackConfigs: [{}] },
    'fallbackConfigs[0].provider is missing, but must be "mlx", "ollama" or "lmstudio" (here)',
  ],
  [
    { fallbackConfigs: [{ provider: "auto" }] },
    'fallbackConfigs[0].provider is "auto", but must be "mlx", "ollama" or "lmstudio" (here)',
  ],
  [
    { fallbackConfigs: [{ provider: "mlx", timeout: 0 }] },
    "fallbackConfigs[0].timeout is 0, but must be a number of seconds above 0 (here)",
  ],
  [{ toString: 1 }, "toString is not a known field (here)"],
  [{ baseUrl: "/a", base_url: "/b" }, "baseUrl is given twice (here)"],
  [{ apiKeyEnv: "KEY" }, "apiKeyEnv (here) is for files; give the key itself as apiKey"],
])("%j is refused", (values, problem) => {
  expect(refusal(values).message).toContain(problem);
});

test.each(["deadline", "cacheTtl", "fallbackConfigs", "onFinish", "logger"])(
  "%s is not for a leg",
  (field) => {
    const { message } = refusal({ fallbackConfigs: [{ provider: "mlx", [field]: 1 }] });
    expect(message).toContain(
      `fallbackConfigs[0].${field} (here) belongs beside fallbackConfigs, not into it`,
    );
  },
);

test.each([
  ["modle", "model"],
  ["baseURL", "baseUrl"],
  ["verify_SSL", "verifySsl"],
  ["retry_dely", "retryDelay"],
  ["timeouts", "timeout"],
])("for %s it suggests %s", (field, suggestion) => {
  expect(refusal({ [field]: 1 }).message).toContain(
    `${field} is not a known field (here; did you mean ${suggestion}?)`,
  );
});

test("for what is like nothing it suggests nothing, and lists all fields", () => {
  const { message, hint } = refusal({ temperature: 1 });
  expect(message).not.toContain("did you mean");
  expect(hint).toContain("provider, model, baseUrl");
});

test("all problems are told at once", () => {
  const { message } = refusal({ timeout: 0, modle: "x", maxRetries: -1 });
  for (const field of ["timeout", "modle", "maxRetries"]) expect(message).toContain(field);
});

test.each<[unknown]>([
  [{ apiKey: "" }],
  [{ apiKey: ["hush"] }],
  [{ apiKey: "hush hush" }],
  [{ apiKey: "hush\r\nx-header: 1" }],
  [{ logger: { token: "hush" } }],
  [{ fallbackConfigs: { apiKey: "hush" } }],
  [{ fallbackConfigs: [{ provider: "ollama", apiKey: "hush\n" }] }],
  [{ apikey: "hush" }],
])("no key is shown of %j", (values) => {
  const { message, hint } = refusal(values);
  expect(message).toMatch(/apiKey must be|logger must be|fallbackConfigs must be|apikey is not/);
  expect(message + hint).not.toContain("hush");
});
