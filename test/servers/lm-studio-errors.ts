import { type Reply, jsonReply } from "./wire-reply.js";

const asObject = (status: number, message: string, code: string | null) =>
  jsonReply(status, { error: { message, type: "invalid_request_error", param: "model", code } });
const asText = (status: number, text: string) => jsonReply(status, { error: text });
const unauthorized = (message: string) =>
  jsonReply(401, { error: { type: "invalid_request", code: "invalid_api_key", message } });

const NOTHING_LOADED =
  "No models loaded. Please load a model in the developer page or use the 'lms load' command.";

/** The errors of LM Studio as they are documented; nearly every status can mean anything. */
export const lmStudioErrors = {
  unexpectedEndpoint: (request: string) =>
    asText(200, `Unexpected endpoint or method. (${request})`),
  modelNotFound: (model: string) =>
    asObject(
      400,
      `Invalid model identifier "${model}". Please specify a valid downloaded model.`,
      "model_not_found",
    ),
  nothingLoaded: () => asObject(400, NOTHING_LOADED, null),
  nothingLoadedOld: () => asObject(404, NOTHING_LOADED, null),
  crashed: () =>
    asText(
      400,
      "The model has crashed without additional information. (Exit code: 18446744072635812000)",
    ),
  unloaded: () => asText(400, "Model unloaded by user or API request."),
  isUnloaded: () => asText(400, "Model is unloaded."),
  loadFailed: (model: string) =>
    asObject(
      400,
      `Failed to load model "${model}". Error: Failed to load model.`,
      "model_load_failed",
    ),
  guardrail: (model: string) =>
    asObject(
      400,
      `Failed to load model "${model}". Error: Model loading was stopped due to insufficient system resources.`,
      "model_load_failed",
    ),
  overflow: () => asText(400, OVERFLOW),
  overflowOld: () => asText(400, OVERFLOW_OLD),
  internal: () =>
    jsonReply(500, {
      error: { message: OVERFLOW, type: "internal_error", param: null, code: null },
    }),
  missingToken: () =>
    unauthorized("An LM Studio API token is required to make requests to this server."),
  malformedToken: (token: string) =>
    unauthorized(`Malformed LM Studio API token provided: ${token}.`),
} satisfies Record<string, (text: string) => Reply>;

/** What a prompt that does not fit gets, in whole replies and in streams. */
export const OVERFLOW =
  "The number of tokens to keep from the initial prompt is greater than the context length. " +
  "Try to load the model with a larger context length, or provide a shorter input.";

/** The same from an older engine. */
export const OVERFLOW_OLD =
  "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded " +
  "with context length of only 4096 tokens, which is not enough.";

/** An error in the middle of a stream: an event of its own, and no [DONE]. */
export function lmStudioErrorEvent(message: string): string {
  return `event: error\ndata: ${JSON.stringify({ error: { message }, message })}\n\n`;
}
