import { ValidationError } from "../errors.js";
import { fieldsOf, textOf } from "../fields.js";
import type { CheckedRequest } from "../request.js";
import { offeredTools, reasoningEffort, toWireFormat } from "./chat-request.js";
import type { PlainServerKind } from "./server-kind.js";

/** Ollama under its OpenAI-compatible address, which hides much of what Ollama can do. */
export const OLLAMA_SERVER: PlainServerKind = {
  provider: "ollama",
  reasoningField: "reasoning",
  fetchesImages: false,
  capabilities: new Set([
    "images",
    "tools",
    "responseFormat",
    "reasoning",
    "stop",
    "seed",
    "topP",
    "presencePenalty",
    "frequencyPenalty",
    "logprobs",
  ]),
  hasEmbeddings: true,
  fields(request) {
    refuseOwnOptions(request);
    const { logprobs, topLogprobs } = request;
    return {
      ...offeredTools(request),
      // Models that can think do so unless told; few know degrees.
      reasoning_effort: request.reasoning === true ? undefined : reasoningEffort(request),
      response_format: toWireFormat(request.responseFormat),
      logprobs: logprobs || topLogprobs !== undefined ? true : undefined,
      top_logprobs: topLogprobs,
    };
  },
  async check(http, signal) {
    const { body } = await http.requestJson("GET", "/api/version", { signal });
    return { version: textOf(fieldsOf(body).version) };
  },
};

function refuseOwnOptions({ providerOptions }: CheckedRequest): void {
  const [option] = Object.keys(providerOptions?.ollama ?? {});
  if (option === undefined) return;
  throw new ValidationError(
    `Ollama's OpenAI-compatible API does not support providerOptions.ollama.${option}.`,
    {
      code: "unsupported",
      provider: "ollama",
      hint: "Leave /v1 out of the base URL to use Ollama's own API.",
    },
  );
}
