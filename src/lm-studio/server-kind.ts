import { ValidationError } from "../errors.js";
import type { Fields } from "../fields.js";
import { chosenTools, reasoningEffort, toWireFormat } from "../openai/chat-request.js";
import type { ServerKind } from "../openai/server-kind.js";
import type { ResponseFormat } from "../types.js";
import { ReasoningMarkerFilter } from "./reasoning-marker.js";

/** LM Studio; other servers of its kind, such as vLLM and llama.cpp, are treated the same. */
export const LM_STUDIO: ServerKind = {
  provider: "lmstudio",
  reasoningField: "reasoning_content",
  fetchesImages: true,
  // Its documentation does not name min_p, and its log-probabilities are always null.
  capabilities: new Set([
    "images",
    "tools",
    "toolChoice",
    "responseFormat",
    "reasoning",
    "stop",
    "seed",
    "topP",
    "topK",
    "repetitionPenalty",
    "presencePenalty",
    "frequencyPenalty",
    "logitBias",
  ]),
  fields: (request) => ({
    ...chosenTools(request),
    top_k: request.topK,
    repeat_penalty: request.repetitionPenalty,
    logit_bias: request.logitBias,
    reasoning_effort: reasoningEffort(request),
    response_format: toWireFormat(withSchema(request.responseFormat)),
    ttl: request.providerOptions?.lmstudio?.ttl,
    ...checkedBody(request.providerOptions?.lmstudio?.body),
  }),
  // LM Studio tells the name twice, also when another model answers than the one that was asked for.
  // What other servers call a model may be an alias, or what the alias stands for.
  namesItsModel: ({ model, system_fingerprint }) => model === system_fingerprint,
  filterFor: (request) => new ReasoningMarkerFilter(request.responseFormat),
};

/** LM Studio knows no "json_object". */
function withSchema(format: ResponseFormat | undefined): ResponseFormat | undefined {
  return format?.type === "json_object"
    ? { type: "json_schema", schema: { type: "object" } }
    : format;
}

/** What the reply is read by. */
const OWN_FIELDS = ["model", "messages", "stream", "stream_options", "n"];

function checkedBody(body: Fields = {}): Fields {
  const wrong = OWN_FIELDS.find((field) => field in body);
  if (wrong === undefined) return body;
  throw new ValidationError(`providerOptions.lmstudio.body must not set "${wrong}".`);
}
