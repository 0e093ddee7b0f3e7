import { type Reply, jsonReply, wholeReply } from "./wire-reply.js";

const error = (status: number, text: string) => jsonReply(status, { error: text });

/** The errors of Ollama, word for word; those of 0.17.4 are compared with recorded ones. */
export const ollamaErrors = {
  missingBody: () => error(400, "missing request body"),
  modelRequired: () => error(400, "model is required"),
  brokenJson: () => error(400, "unexpected EOF"),
  modelNotFound: (model: string) => error(404, `model '${model}' not found`),
  modelNotFoundByScheduler: (model: string) =>
    error(404, `model "${model}" not found, try pulling it first`),
  noTools: (model: string) =>
    error(400, `registry.ollama.ai/library/${withTag(model)} does not support tools`),
  noThinking: (model: string) => error(400, `"${model}" does not support thinking`),
  noThinkingLevel: (level: string) =>
    error(400, `think value "${level}" is not supported for this model`),
  noChat: (model: string) => error(400, `"${model}" does not support chat`),
  tooManyLogprobs: () => error(400, "top_logprobs must be between 0 and 20"),
  badFormat: (format: unknown) =>
    error(
      500,
      `invalid format: ${JSON.stringify(JSON.stringify(format))}; expected "json" or a valid JSON Schema object`,
    ),
  badKeepAlive: (text: string) => error(400, `time: invalid duration ${JSON.stringify(text)}`),
  overflow: () => error(400, "the input length exceeds the context length"),
  overflowOfLlamaServer: () =>
    error(400, "the request exceeds the available context size, try increasing it"),
  cloudUnauthorized: () =>
    jsonReply(401, {
      error: "unauthorized",
      signin_url: "https://ollama.com/connect?name=here&key=abc",
    }),
  cloudDisabled: () => error(403, "ollama cloud is disabled: remote model is unavailable"),
  foreignHost: () => wholeReply(403, "", ""),
  busy: () => error(503, "server busy, please try again.  maximum pending requests exceeded"),
  canceled: () => error(499, "request canceled"),
  outOfMemory: () =>
    error(500, "model requires more system memory (18.6 GiB) than is available (7.2 GiB)"),
  brokenWeights: () =>
    error(500, 'tensor "blk.0.attn_norm.weight" offset+size (60448) exceeds file size (60000)'),
  runnerTerminated: () => error(500, "llama runner process has terminated: exit status 2"),
  runnerDied: () => error(500, RUNNER_DIED),
  pageNotFound: () => wholeReply(404, "text/plain", "404 page not found"),
  methodNotAllowed: () => wholeReply(405, "text/plain", "405 method not allowed"),
} satisfies Record<string, (text: string) => Reply>;

/** What a stream says when the runner died in its middle. */
export const RUNNER_DIED = "an error was encountered while running the model: unexpected EOF";

/** The name under which Ollama files a model: with its tag. */
export function withTag(model: string): string {
  return model.includes(":") ? model : `${model}:latest`;
}
