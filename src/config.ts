import * as z from "zod";
import { ConfigurationError } from "./errors.js";
import type { LLMConfig, ProviderName } from "./types.js";
import { allow, check, describeProblem } from "./validation.js";

/** A configuration with every default filled in. Durations are seconds. */
export interface Settings {
  provider: ProviderName;
  model?: string;
  baseUrl?: string;
  timeout: number;
  firstTokenTimeout: number;
  deadline?: number;
  cacheTtl: number;
}

const DEFAULT_TIMEOUT = 30;
const DEFAULT_FIRST_TOKEN_TIMEOUT = 300;
const DEFAULT_CACHE_TTL = 300;

/** Fields of the full contract that do nothing yet; accepting them would promise something. */
const NOT_YET = [
  "apiKey",
  "connectTimeout",
  "verifySsl",
  "maxRetries",
  "retryDelay",
  "retryMaxDelay",
  "retryExponentialBase",
  "maxConcurrent",
  "fallbackConfigs",
  "onAttempt",
  "onRetry",
  "onFallback",
  "onFinish",
  "logger",
];

const VARIABLES: { field: keyof LLMConfig; name: string; numeric?: boolean }[] = [
  { field: "provider", name: "LLM_CLIENT_PROVIDER" },
  { field: "model", name: "LLM_CLIENT_MODEL" },
  { field: "baseUrl", name: "MLX_MODEL_PATH" },
  { field: "timeout", name: "LLM_CLIENT_TIMEOUT", numeric: true },
  { field: "cacheTtl", name: "LLM_CLIENT_CACHE_TTL", numeric: true },
];

const DIRECT = "given directly";
const FOLDER = "the folder of a model; servers are not available in this version";
const seconds = allow.seconds();

const configSchema = z.strictObject(
  {
    provider: z
      .enum(["mlx", "ollama", "lmstudio", "auto"], '"mlx", "ollama", "lmstudio" or "auto"')
      .optional(),
    model: allow.text("the name of a model").optional(),
    baseUrl: z
      .string(FOLDER)
      .min(1, FOLDER)
      .regex(/^(?!https?:)/i, FOLDER)
      .optional(),
    timeout: seconds.optional(),
    firstTokenTimeout: seconds.optional(),
    deadline: seconds.optional(),
    cacheTtl: allow.number(0, Number.MAX_VALUE, "a number of seconds, 0 or more").optional(),
  },
  "an object",
);

/**
 * Completes a configuration from the environment and the defaults, in this order; throws a
 * `ConfigurationError` that names each wrong field, where it comes from and what is allowed.
 * @example
 * resolveConfig({ model: "demo" }, {}).timeout; // 30
 */
export function resolveConfig(
  config: LLMConfig = {},
  env: NodeJS.ProcessEnv = process.env,
): Settings {
  const given = checkLayer(camelCased(config), () => DIRECT);
  const fromEnv = checkLayer(readEnvironment(env), originOf);
  // A folder given in code says which model is meant; a name in the environment must not change it.
  if (given.baseUrl !== undefined) delete fromEnv.model;
  const { provider = "auto", ...rest } = { ...fromEnv, ...given };
  return {
    ...rest,
    provider: usableProvider(provider, given.provider ? DIRECT : originOf("provider")),
    timeout: rest.timeout ?? DEFAULT_TIMEOUT,
    firstTokenTimeout: rest.firstTokenTimeout ?? rest.timeout ?? DEFAULT_FIRST_TOKEN_TIMEOUT,
    cacheTtl: rest.cacheTtl ?? DEFAULT_CACHE_TTL,
  };
}

function checkLayer(values: unknown, originOf: (field: string) => string): LLMConfig {
  const result = check<LLMConfig>(configSchema, values);
  if (result.problems) {
    const reasons = result.problems.map((problem) => {
      const field = String(problem.path[0] ?? "");
      if (NOT_YET.includes(field)) return `${field} is not available in this version`;
      const origin = problem.allowed !== undefined && field ? ` (${originOf(field)})` : "";
      return describeProblem(problem) + origin;
    });
    throw new ConfigurationError(`The configuration is wrong: ${reasons.join("; ")}.`, {
      hint: `Known fields are ${Object.keys(configSchema.shape).join(", ")}.`,
    });
  }
  return Object.fromEntries(
    Object.entries(result.value).filter(([, value]) => value !== undefined),
  );
}

/** Accepts `base_url` for `baseUrl`, as configuration files may be written either way. */
function camelCased(config: unknown): unknown {
  if (typeof config !== "object" || config === null) return config;
  const result = new Map<string, unknown>();
  for (const [key, value] of Object.entries(config)) {
    const field = key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (result.has(field)) {
      throw new ConfigurationError(`The configuration is wrong: ${field} is given twice.`);
    }
    result.set(field, value);
  }
  return Object.fromEntries(result);
}

function readEnvironment(env: NodeJS.ProcessEnv): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const { field, name, numeric } of VARIABLES) {
    const value = env[name]?.trim();
    if (!value) continue;
    const number = Number(value);
    result[field] = numeric && !Number.isNaN(number) ? number : value;
  }
  return result;
}

function originOf(field: string): string {
  return `from ${VARIABLES.find((variable) => variable.field === field)!.name}`;
}

function usableProvider(provider: ProviderName | "auto", origin: string): ProviderName {
  if (provider === "mlx" || provider === "auto") return "mlx";
  throw new ConfigurationError(
    `Provider "${provider}" is not available in this version (${origin}).`,
    { provider, hint: 'Use provider "mlx".' },
  );
}
