import { ValidationError } from "../errors.js";
import type { Fields } from "../fields.js";
import { StopMatcher } from "../stop.js";
import type { CheckedRequest } from "../request.js";
import { offeredTools } from "./chat-request.js";
import { OWN_MODEL } from "./model-name.js";
import type { PlainServerKind, TextFilter } from "./server-kind.js";

/** Else it ends a reply after 512 tokens; it does not notice when a context is full. */
const MAX_TOKENS = 32_768;

/** The server that comes with mlx-lm. It leaves out logprobs where it streams. */
export const MLX_LM_SERVER: PlainServerKind = {
  provider: "mlx",
  reasoningField: "reasoning_content",
  fetchesImages: true,
  capabilities: new Set([
    "images",
    "tools",
    "reasoning",
    "stop",
    "seed",
    "topP",
    "topK",
    "minP",
    "repetitionPenalty",
    "presencePenalty",
    "frequencyPenalty",
    "logitBias",
  ]),
  ownModel: OWN_MODEL,
  hasEmbeddings: false,
  fields: (request) => ({
    ...offeredTools(request),
    max_tokens: request.maxTokens ?? MAX_TOKENS,
    // Where its own stop texts do not fit its tokens, it cuts them out and goes on.
    stop: undefined,
    top_k: request.topK,
    min_p: request.minP,
    repetition_penalty: request.repetitionPenalty,
    logit_bias: request.logitBias,
    ...ownFields(request),
  }),
  filterFor: ({ stop }) => (stop.length > 0 ? new StopFilter(stop) : undefined),
  async check(http, signal) {
    await http.requestJson("GET", "/health", { signal });
    return {};
  },
};

/** What of the options for MLX such a server can do. */
const HONOURED = [
  "templateVariables",
  "xtcProbability",
  "xtcThreshold",
  "repetitionContextSize",
  "penaltyContextSize",
];

function ownFields({ reasoning, providerOptions }: CheckedRequest): Fields {
  const options = providerOptions?.mlx ?? {};
  for (const [name, value] of Object.entries(options)) {
    if (!HONOURED.includes(name)) refuse(name, value);
  }
  const { templateVariables } = options;
  const thinking = reasoning === undefined ? {} : thinkingVariables(reasoning);
  const variables = { ...thinking, ...templateVariables };
  return {
    chat_template_kwargs: Object.keys(variables).length > 0 ? variables : undefined,
    xtc_probability: fractionOf(options.xtcProbability),
    xtc_threshold: fractionOf(options.xtcThreshold),
    repetition_context_size: options.repetitionContextSize,
    presence_context_size: options.penaltyContextSize,
    frequency_context_size: options.penaltyContextSize,
  };
}

/** Templates know one of these names, or none. */
function thinkingVariables(reasoning: boolean | string): Fields {
  if (typeof reasoning === "boolean") return { enable_thinking: reasoning };
  return { enable_thinking: true, reasoning_effort: reasoning };
}

/** It refuses a 0 or 1 without a decimal point, and JSON has no other here. */
function fractionOf(value: number | undefined): number | undefined {
  return value !== undefined && Number.isInteger(value) ? Math.abs(value - 1e-9) : value;
}

function refuse(option: string, value: unknown): void {
  if (value === undefined || value === false) return;
  throw new ValidationError(`mlx_lm.server does not support providerOptions.mlx.${option}.`, {
    code: "unsupported",
    provider: "mlx",
    hint: "Models that run in this process do: use a folder as the base URL.",
  });
}

/** Ends the text at the first stop text. */
class StopFilter implements TextFilter {
  readonly #matcher: StopMatcher;

  constructor(stops: readonly string[]) {
    this.#matcher = new StopMatcher(stops);
  }

  push(text: string) {
    return this.#matcher.push(text);
  }

  flush() {
    return { text: this.#matcher.flush() };
  }
}
