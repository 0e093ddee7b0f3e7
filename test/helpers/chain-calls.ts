import { Breakers } from "../../src/chain/breaker.js";
import type { Clock } from "../../src/chain/clock.js";
import { Fallback } from "../../src/chain/fallback.js";
import { type Leg, newLeg } from "../../src/chain/leg.js";
import { Observer } from "../../src/chain/observer.js";
import type { Call, Outcome, Reply, Route } from "../../src/chain/route.js";
import type { LegSettings } from "../../src/config/settings.js";
import { LLMError } from "../../src/errors.js";
import type { Provider } from "../../src/providers/provider.js";
import { checkRequest } from "../../src/request.js";
import { ResponseStream } from "../../src/response-stream.js";
import type { Attempt, LLMRequest, LLMResponse, StreamEvent } from "../../src/types.js";
import { HandClock } from "./hand-clock.js";

/** The defaults, for legs whose tests need nothing else. */
export const SETTINGS: LegSettings = {
  provider: "ollama",
  isAuto: false,
  timeout: 30,
  connectTimeout: 3,
  firstTokenTimeout: 300,
  verifySsl: true,
  maxRetries: 3,
  retryDelay: 1,
  retryMaxDelay: 10,
  retryExponentialBase: 2,
};

/** Providers, each alone or with what its settings have instead of the defaults. */
export type Legs = (Provider | [Provider, Partial<LegSettings>])[];

/** The legs of a chain, with breakers in common. */
export function legsOf(legs: Legs, clock: Clock = new HandClock()): Leg[] {
  const breakers = new Breakers(clock);
  return legs.map((leg, index) => {
    const [provider, settings] = Array.isArray(leg) ? leg : [leg, {}];
    return newLeg(
      index,
      provider,
      { ...SETTINGS, provider: provider.name, model: provider.defaultModel, ...settings },
      breakers,
    );
  });
}

/** A chain of legs, whose clock does not really sleep. */
export function chainOf(legs: Legs, clock: Clock = new HandClock()): Fallback {
  return new Fallback(legsOf(legs, clock), clock);
}

/** A call that has noted how it ended. */
export interface NotedCall extends Call {
  readonly ends: Outcome[];
}

/** A call as a client makes it; `given` replaces what it says. */
export function newCall(request: string | LLMRequest = "Hi", given: Partial<Call> = {}): NotedCall {
  const ends: Outcome[] = [];
  return {
    request: checkRequest(request),
    signal: new AbortController().signal,
    requestId: "request",
    responseId: "response",
    startedAt: performance.now(),
    wantsWhole: false,
    warnings: [],
    attempts: [],
    observer: new Observer({}),
    onEnd: (outcome) => ends.push(outcome),
    ...given,
    ends,
  };
}

/** All events of a reply. */
export async function eventsOf(reply: Reply): Promise<StreamEvent[]> {
  const all: StreamEvent[] = [];
  for (let events = await reply.next(); events; events = await reply.next()) all.push(...events);
  return all;
}

/** The response of a call that wants the whole reply. */
export async function wholeOf(route: Route, call: Partial<Call> = {}): Promise<LLMResponse> {
  const events = await eventsOf(await route.open(newCall("Hi", { ...call, wantsWhole: true })));
  const last = events.at(-1)!;
  if (last.type !== "finish") throw new Error("There is no finish.");
  return last.response;
}

/** A stream that is read as a user of a client reads it. */
export function streamOf(route: Route, call: NotedCall, work = new AbortController()) {
  return new ResponseStream(() => route.open({ ...call, signal: work.signal }), work);
}

/** The error that a call fails with, which must be one of this package. */
export async function failureOf(promise: Promise<unknown>): Promise<LLMError> {
  const error = await promise.then(
    () => new Error("It did not fail."),
    (reason: unknown) => reason,
  );
  if (!LLMError.is(error)) throw error;
  return error;
}

/** Attempts in short: leg, then its code, "ok" or why it was skipped. */
export function storyOf(attempts: Attempt[] | undefined): string[] {
  return (attempts ?? []).map(
    ({ leg, code, skippedBecause }) => `${leg}: ${skippedBecause ?? code ?? "ok"}`,
  );
}
