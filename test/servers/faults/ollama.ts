import { ollamaErrors } from "../ollama-errors.js";
import { type Fault, instead } from "./fault.js";

/** The table of Ollama's errors, as faults; a fake Ollama also answers with them where they are due. */
export const ollamaFaults = {
  "ollama-missing-body": answering("a request without a body", "missingBody"),
  "ollama-model-required": answering("a request without a model", "modelRequired"),
  "ollama-model-not-found": answering("an unknown model", "modelNotFound"),
  "ollama-model-not-found-by-scheduler": answering(
    "an unknown model, in the words of the scheduler",
    "modelNotFoundByScheduler",
  ),
  "ollama-no-tools": answering("tools for a model without them", "noTools"),
  "ollama-no-thinking": answering("thinking asked of a model without it", "noThinking"),
  "ollama-no-chat": answering("a chat with a model that cannot", "noChat"),
  "ollama-bad-format": answering("a format that is neither JSON nor a schema", "badFormat"),
  "ollama-overflow": answering(
    "a prompt longer than the context, where none may be cut",
    "overflow",
  ),
  "ollama-overflow-of-llama-server": answering(
    "a prompt longer than the context, in the words of the other engine",
    "overflowOfLlamaServer",
  ),
  "ollama-cloud-unauthorized": answering("a cloud model without signing in", "cloudUnauthorized"),
  "ollama-cloud-disabled": answering("a cloud model where the cloud is off", "cloudDisabled"),
  "ollama-foreign-host": answering("a Host header it does not serve: an empty body", "foreignHost"),
  "ollama-busy": answering("a full queue", "busy"),
  "ollama-canceled": answering(
    "a request that its client gave up, seen through a proxy",
    "canceled",
  ),
  "ollama-out-of-memory": answering("a model larger than the memory", "outOfMemory"),
  "ollama-broken-weights": answering("a broken file of weights", "brokenWeights"),
  "ollama-runner-terminated": answering("a runner that ended while loading", "runnerTerminated"),
  "ollama-runner-died": answering("a runner that ended before the first piece", "runnerDied"),
  "ollama-page-not-found": answering("an unknown route", "pageNotFound"),
  "ollama-method-not-allowed": answering("a wrong method", "methodNotAllowed"),
} satisfies Record<string, Fault>;

function answering(what: string, name: keyof typeof ollamaErrors): Fault {
  return instead(`Ollama's answer to ${what}`, (_, { json }) =>
    ollamaErrors[name](String(json?.model ?? "")),
  );
}
