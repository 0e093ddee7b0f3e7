import type { LegSettings } from "../config/settings.js";
import { abortedBy } from "../abort.js";
import { LLMError } from "../errors.js";
import type { Clock } from "./clock.js";
import type { Call, Reply, Route } from "./route.js";

/** Failures after which the same server may well answer. Not a timeout: Ollama starts a load anew. */
const REPEATED = new Set([
  "connection_reset",
  "request_timeout",
  "conflict",
  "rate_limited",
  "overloaded",
  "server_error",
  "schema_mismatch",
]);

/** Failures that a second attempt mends, or none. */
const REPEATED_ONCE = new Set(["model_unloaded", "model_crashed"]);

/** A server that wants more than this many times the longest delay is given up. */
const MOST_PATIENCE = 6;

/** When and how often something is repeated. */
export interface RetryPolicy {
  settings: LegSettings;
  clock: Clock;
  signal: AbortSignal;
  /** When it must be done, as the clock counts. */
  endsAt?: number;
  /** True if nobody should wait, because others can take over. */
  canBeLeft?(error: LLMError): boolean;
  /** Told before each repetition. */
  onRetry?(error: LLMError, delay: number): void;
}

/** Repeats a route's attempts; nothing else repeats a request. */
export class Retry implements Route {
  readonly #inner: Route;
  readonly #policy: Pick<RetryPolicy, "settings" | "clock" | "canBeLeft">;

  constructor(inner: Route, policy: Pick<RetryPolicy, "settings" | "clock" | "canBeLeft">) {
    this.#inner = inner;
    this.#policy = policy;
  }

  open(call: Call): Promise<Reply> {
    const { requestId, attempts, observer, signal, endsAt } = call;
    const onRetry = (error: LLMError, delay: number) =>
      observer.retry({ requestId, attempt: attempts.at(-1)!, delay, error });
    const policy = Object.assign({ signal, endsAt, onRetry }, this.#policy);
    return repeat(() => this.#inner.open(call), policy);
  }
}

/** Does some work, again after failures that may pass. Throws the last failure. */
export async function repeat<T>(work: () => Promise<T>, policy: RetryPolicy): Promise<T> {
  const { settings, clock, signal, endsAt, onRetry } = policy;
  for (let retries = 0; ; retries++) {
    try {
      return await work();
    } catch (error) {
      if (!LLMError.is(error) || signal.aborted || policy.canBeLeft?.(error)) throw error;
      const delay = delayBeforeRetry(error, retries, settings, clock);
      if (delay === undefined || clock.now() + delay >= (endsAt ?? Infinity)) throw error;
      onRetry?.(error, delay);
      await clock.sleep(delay, signal).catch(() => {
        // Who gave up while waiting should still hear what had been tried.
        throw abortedBy(signal).with({ attempts: error.attempts });
      });
    }
  }
}

/**
 * Seconds to wait before a request is sent again after so many retries; undefined where it must not be.
 * What the server asks for is kept to the point; else the delay grows, with full jitter.
 */
export function delayBeforeRetry(
  { code, retryAfter }: LLMError,
  retries: number,
  settings: LegSettings,
  { random }: Clock,
): number | undefined {
  const { maxRetries, retryDelay, retryMaxDelay, retryExponentialBase } = settings;
  const most = REPEATED_ONCE.has(code) ? 1 : REPEATED.has(code) ? maxRetries : 0;
  if (retries >= Math.min(most, maxRetries)) return undefined;
  if (retryAfter !== undefined) {
    return retryAfter > retryMaxDelay * MOST_PATIENCE ? undefined : retryAfter;
  }
  return random() * Math.min(retryMaxDelay, retryDelay * retryExponentialBase ** retries);
}
