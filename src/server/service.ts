import type { HttpBindings } from "@hono/node-server";
import type { LLMClient } from "../index.js";
import type { Gate } from "./gate.js";
import type { Metrics } from "./metrics.js";
import type { Settings } from "./options.js";
import type { RequestRecord } from "./record.js";

/** What every endpoint works with. */
export interface Service {
  client: LLMClient;
  settings: Settings;
  gate: Gate;
  metrics: Metrics;
  /** Aborted when replies under way have no more time to end. */
  stopping: AbortSignal;
  isClosing: boolean;
}

/** What Hono keeps of a request. */
export interface Env {
  Bindings: HttpBindings;
  Variables: {
    record: RequestRecord;
    /** Aborted when the client leaves, or the server stops. */
    signal: AbortSignal;
  };
}
