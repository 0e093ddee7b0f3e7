import { LLMError } from "../errors.js";
import { nearestName } from "../nearest-name.js";
import { parseOllamaHost } from "../ollama/host.js";
import type { ProviderName } from "../types.js";
import { showAddress } from "./addresses.js";
import { checkValues, wrongConfiguration } from "./check-values.js";
import type { Layer } from "./layers.js";
import type { ConfigValues } from "./schema.js";

interface Variable {
  name: string;
  field: keyof ConfigValues;
  read?: (text: string, name: string) => unknown;
}

const GENERAL: Variable[] = [
  { name: "LLM_CLIENT_PROVIDER", field: "provider" },
  { name: "LLM_CLIENT_MODEL", field: "model" },
  { name: "LLM_CLIENT_TIMEOUT", field: "timeout", read: readNumber },
  { name: "LLM_CLIENT_MAX_RETRIES", field: "maxRetries", read: readNumber },
  { name: "LLM_CLIENT_RETRY_DELAY", field: "retryDelay", read: readNumber },
  { name: "LLM_CLIENT_CACHE_TTL", field: "cacheTtl", read: readNumber },
];

/** The command line reads it. */
const SERVE_TOKEN = "LLM_CLIENT_SERVE_TOKEN";

/** Of two for the same field the first counts. */
const OF_PROVIDER: Record<ProviderName, Variable[]> = {
  mlx: [{ name: "MLX_MODEL_PATH", field: "baseUrl" }],
  ollama: [
    { name: "OLLAMA_BASE_URL", field: "baseUrl" },
    { name: "OLLAMA_HOST", field: "baseUrl", read: readOllamaHost },
    { name: "OLLAMA_TIMEOUT", field: "timeout", read: readNumber },
  ],
  lmstudio: [
    { name: "LMSTUDIO_BASE_URL", field: "baseUrl" },
    { name: "LMSTUDIO_API_KEY", field: "apiKey" },
    { name: "LM_API_TOKEN", field: "apiKey" },
  ],
};

/** What the environment says of every leg; a mistyped name brings a warning. */
export function generalVariables(env: NodeJS.ProcessEnv, warnings: Set<string>): Layer {
  const known = [...GENERAL.map(({ name }) => name), SERVE_TOKEN];
  for (const name of Object.keys(env)) {
    if (!name.startsWith("LLM_CLIENT_") || known.includes(name)) continue;
    const near = nearestName(name, known);
    const suggestion = near === undefined ? known.join(", ") : `did you mean ${near}?`;
    warnings.add(`the variable ${name} is not known and has no effect: ${suggestion}`);
  }
  return readVariables(env, GENERAL);
}

/** What the environment says of the legs of one provider; not read where there is none. */
export function variablesOf(provider: ProviderName, env: NodeJS.ProcessEnv): Layer {
  return readVariables(env, OF_PROVIDER[provider]);
}

/** The value of a variable; an empty one counts as unset. */
export function variableOf(name: string, env: NodeJS.ProcessEnv): string | undefined {
  return env[name]?.trim() || undefined;
}

function readVariables(env: NodeJS.ProcessEnv, variables: Variable[]): Layer {
  const values: Record<string, unknown> = {};
  const names: Record<string, string> = {};
  for (const { name, field, read = (text: string) => text } of variables) {
    const text = variableOf(name, env);
    if (text === undefined || field in values) continue;
    values[field] = read(text, name);
    names[field] = name;
  }
  const originOf = (field: string) => `from ${names[field]}`;
  return { values: checkValues(values, "code", originOf), originOf, isEnvironment: true };
}

/** Other spellings of numbers, such as "0x10", stay texts and are refused as such. */
function readNumber(text: string): number | string {
  const number = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(number) ? number : text;
}

function readOllamaHost(text: string, name: string): string {
  try {
    return parseOllamaHost(text);
  } catch (error) {
    if (!LLMError.is(error)) throw error;
    throw wrongConfiguration(
      `baseUrl is ${JSON.stringify(showAddress(text))}, but must be a host, a port such as ":11434", ` +
        `both, or an http(s) address (from ${name})`,
    );
  }
}
