import { OVERFLOW, lmStudioErrorEvent, lmStudioErrors } from "../lm-studio-errors.js";
import type { Reply } from "../wire-reply.js";
import { type Fault, instead } from "./fault.js";

/** The table of LM Studio's errors, as faults; a fake LM Studio also answers with them where they are due. */
export const lmStudioFaults = {
  "lm-studio-unexpected-endpoint": instead(
    "LM Studio's answer to an unknown route: status 200",
    (_, request) => lmStudioErrors.unexpectedEndpoint(`${request.method} ${request.path}`),
  ),
  "lm-studio-model-not-found": answering("an unknown model, several loaded", "modelNotFound"),
  "lm-studio-nothing-loaded": answering("any model, none loaded", "nothingLoaded"),
  "lm-studio-nothing-loaded-old": answering(
    "any model, none loaded, before 0.3.6",
    "nothingLoadedOld",
  ),
  "lm-studio-crashed": answering("a request whose model crashed", "crashed"),
  "lm-studio-unloaded": answering("a request whose model was unloaded", "unloaded"),
  "lm-studio-is-unloaded": answering("a request whose model is not there any more", "isUnloaded"),
  "lm-studio-load-failed": answering("a model that cannot be loaded", "loadFailed"),
  "lm-studio-guardrail": answering("a model larger than the memory", "guardrail"),
  "lm-studio-overflow": answering("a prompt longer than the context", "overflow"),
  "lm-studio-overflow-old": answering(
    "a prompt longer than the context, older engine",
    "overflowOld",
  ),
  "lm-studio-overflow-in-stream": instead(
    "LM Studio's answer to a prompt longer than the context: an event under status 200",
    (_, __, healthy) => onlyEvent(healthy, lmStudioErrorEvent(OVERFLOW)),
  ),
  "lm-studio-internal": answering("what its other endpoints call an internal error", "internal"),
  "lm-studio-missing-token": answering(
    "a request without a token, where one is needed",
    "missingToken",
  ),
  "lm-studio-malformed-token": instead("LM Studio's answer to a made-up token", (_, { headers }) =>
    lmStudioErrors.malformedToken(headers.authorization?.replace("Bearer ", "") ?? ""),
  ),
} satisfies Record<string, Fault>;

function answering(what: string, name: keyof typeof lmStudioErrors): Fault {
  return instead(`LM Studio's answer to ${what}`, (_, { json }) =>
    lmStudioErrors[name](String(json?.model ?? "")),
  );
}

function onlyEvent(healthy: Reply, event: string): Reply {
  const headers = { "Content-Type": "text/event-stream" };
  return {
    ...healthy,
    status: 200,
    headers,
    streamed: true,
    parts: [{ kind: "start", bytes: event }],
  };
}
