import type { LLMError } from "../errors.js";
import type { BreakerReport } from "../types.js";
import type { Clock } from "./clock.js";

/** How long failures are remembered, in seconds. */
const WINDOW = 60;
/** How long nothing is sent after too many failures, in seconds. */
const COOLING = 10;
/** How long a request that finds out keeps others back, in seconds: its reader may have gone. */
const TRYING = 60;
const FEWEST_FAILURES = 3;
const FEWEST_REFUSALS = 2;
/** Enough to tell what share of the calls fails. */
const MOST_OUTCOMES = 20;
/** Names of models come from requests, so their number has no bound of its own. */
const MOST_BREAKERS = 1000;

/** Failures that say something of the server, not of the request. */
const COUNTED = new Set([
  "connection_failed",
  "connection_refused",
  "connection_reset",
  "connect_timeout",
  "dns",
  "tls",
  "first_content_timeout",
  "idle_timeout",
  "stream_interrupted",
  "stream_truncated",
  "server_error",
  "overloaded",
  "rate_limited",
  "request_timeout",
  "model_crashed",
  "protocol",
  "empty_response",
]);

const WORST_FIRST: BreakerReport["state"][] = ["open", "half-open", "closed"];

interface Outcome {
  at: number;
  /** Code of the failure; undefined for a success. */
  code?: string;
}

/** Holds requests back from a model of a server that keeps failing. */
export class Breaker {
  readonly #clock: Clock;
  #outcomes: Outcome[] = [];
  #openedAt: number | undefined;
  /** The latest request that was sent to find out. */
  #probe: { sentAt: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a request should be sent now. */
  get admits(): boolean {
    const { state } = this.report();
    return state === "closed" || (state === "half-open" && !this.#isTried);
  }

  /**
   * Call it when a request is sent: after a failure only one finds out whether it works again. Call
   * what it returns with how the request ended; `undefined` means well.
   */
  enter(): (error: LLMError | undefined) => void {
    const isProbe = this.#openedAt !== undefined && !this.#isTried;
    const probe = isProbe ? { sentAt: this.#clock.now() } : undefined;
    this.#probe = probe ?? this.#probe;
    return (error) => {
      if (this.#probe === probe) this.#probe = undefined;
      this.#note(error?.code);
    };
  }

  report(): BreakerReport {
    const now = this.#clock.now();
    // What opened it counts until it closes.
    const since = this.#openedAt === undefined ? now - WINDOW : -Infinity;
    const failures = this.#failures().filter(({ at }) => at > since);
    const told = { failures: failures.length, code: failures.at(-1)?.code };
    if (this.#openedAt === undefined) return { state: "closed", ...told };
    const opensIn = this.#openedAt + COOLING - now;
    return opensIn > 0 ? { state: "open", ...told, opensIn } : { state: "half-open", ...told };
  }

  get #isTried(): boolean {
    return this.#probe !== undefined && this.#clock.now() < this.#probe.sentAt + TRYING;
  }

  #note(code: string | undefined): void {
    if (code !== undefined && !COUNTED.has(code)) return;
    if (code === undefined && this.#openedAt !== undefined) this.#recover();
    const at = this.#clock.now();
    this.#outcomes.push({ at, code });
    this.#outcomes = this.#outcomes.slice(-MOST_OUTCOMES).filter((past) => past.at > at - WINDOW);
    if (code !== undefined && (this.#openedAt !== undefined || this.#hasTooMany())) {
      this.#openedAt = at;
    }
  }

  #recover(): void {
    this.#openedAt = undefined;
    this.#outcomes = [];
  }

  #failures(): Outcome[] {
    return this.#outcomes.filter(({ code }) => code !== undefined);
  }

  #hasTooMany(): boolean {
    const failures = this.#failures().length;
    if (failures >= FEWEST_FAILURES && failures * 2 > this.#outcomes.length) return true;
    const latest = this.#outcomes.slice(-FEWEST_REFUSALS);
    return (
      latest.length === FEWEST_REFUSALS && latest.every(({ code }) => code === "connection_refused")
    );
  }
}

/** The breakers of a client, one for each model of each server. */
export class Breakers {
  readonly #clock: Clock;
  readonly #breakers = new Map<string, Breaker>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(url: string | undefined, model: string | undefined): Breaker {
    const key = `${url}\n${model}`;
    const breaker = this.#breakers.get(key) ?? new Breaker(this.#clock);
    // The one that was not asked for longest comes first, and goes first.
    this.#breakers.delete(key);
    this.#breakers.set(key, breaker);
    if (this.#breakers.size > MOST_BREAKERS) {
      this.#breakers.delete(this.#breakers.keys().next().value!);
    }
    return breaker;
  }

  /** Of the models of a server, the one that fails most. */
  reportOf(url: string): BreakerReport {
    const reports = [...this.#breakers]
      .filter(([key]) => key.startsWith(`${url}\n`))
      .map(([, breaker]) => breaker.report());
    const worst = WORST_FIRST.flatMap((state) =>
      reports.filter((report) => report.state === state),
    );
    return worst[0] ?? { state: "closed", failures: 0 };
  }
}
