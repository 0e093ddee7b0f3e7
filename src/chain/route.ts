import type { CheckedRequest } from "../request.js";
import type { Attempt, LLMResponse, StreamEvent } from "../types.js";
import type { LLMError } from "../errors.js";
import type { Observer } from "./observer.js";

/** One call of a client, on its way to a provider. */
export interface Call {
  readonly request: CheckedRequest;
  /** Aborted by the caller, the deadline or the end of the client. */
  readonly signal: AbortSignal;
  readonly requestId: string;
  readonly responseId: string;
  /** `performance.now()` at the start. */
  readonly startedAt: number;
  /** When it must be done, as `Clock.now` counts. */
  readonly endsAt?: number;
  /** True if only the whole reply is wanted: then a reply that broke off can still be replaced. */
  readonly wantsWhole: boolean;
  /** What is doubtful about the settings, whoever answers. */
  readonly warnings: readonly string[];
  /** All that was tried so far; every layer adds to it. */
  readonly attempts: Attempt[];
  readonly observer: Observer;
  /** Told once how a reply ended that had begun. */
  onEnd(outcome: Outcome): void;
}

/** How a call ended. */
export type Outcome = { response: LLMResponse } | { error: LLMError };

/**
 * A reply that has begun: its start and first content are here. Whoever holds it is locked in;
 * from now on nobody else can answer.
 */
export interface Reply {
  /** The events that came since the last time; undefined after the finish. */
  next(): Promise<readonly StreamEvent[] | undefined>;
}

/** A way to a reply: one attempt, one that is repeated, or a chain of them. */
export interface Route {
  /** Resolves at the first content. Rejects with a typed error as long as nothing was delivered. */
  open(call: Call): Promise<Reply>;
}
