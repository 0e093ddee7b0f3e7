import { abortTogether } from "../abort.js";
import { AllProvidersFailedError, LLMError } from "../errors.js";
import { Attempt } from "./attempt.js";
import type { Clock } from "./clock.js";
import { breakerOf, type Leg, nameLeg } from "./leg.js";
import { isAdmitted, isFinal, mayFollow, planSteps, type Step } from "./plan.js";
import { Retry } from "./retry.js";
import type { Call, Reply, Route } from "./route.js";

/** A step that failed. */
interface Failure {
  step: Step;
  error: LLMError;
}

/** Asks one leg after the other until one answers. */
export class Fallback implements Route {
  readonly #legs: readonly Leg[];
  readonly #clock: Clock;

  constructor(legs: readonly Leg[], clock: Clock) {
    this.#legs = legs;
    this.#clock = clock;
  }

  async open(call: Call): Promise<Reply> {
    const steps = planSteps(this.#legs, call.request.model);
    const admitted = steps.filter(isAdmitted);
    const reasons = new Map<Step, string>();
    const failures: Failure[] = [];
    let isAnyHeld = false;
    for (const [index, step] of steps.entries()) {
      const hold = reasonToHold(step, admitted);
      isAnyHeld ||= hold !== undefined;
      let reason = reasonToSkip(step, failures) ?? hold;
      const overflow = failures.findLast(({ error }) => error.code === "context_length_exceeded");
      // Nothing else is awaited: of many calls at once one alone finds out whether a leg works.
      if (!reason && overflow) reason = await reasonOfContext(overflow.step, step, call);
      if (reason !== undefined) {
        reasons.set(step, reason);
        skip(step, reason, call);
        continue;
      }
      const last = failures.at(-1);
      if (last) tellFallback(last, step, call);
      const later = steps.slice(index + 1).filter((next) => !reasonToHold(next, admitted));
      try {
        return await this.#routeOf(step, later, failures).open(withModel(call, step.model));
      } catch (error) {
        if (!LLMError.is(error) || call.signal.aborted || isFinal(error)) throw error;
        failures.push({ step, error });
      }
    }
    // What is held back has failed as well, before.
    const [failure] = failures;
    if (failure && failures.length === 1 && !isAnyHeld) {
      throw failure.error.with({ attempts: [...call.attempts] });
    }
    throw summary(steps, failures, reasons, call);
  }

  #routeOf({ leg }: Step, later: Step[], failures: Failure[]): Route {
    const canBeLeft = (error: LLMError) => {
      const errors = [...failures.map((failure) => failure.error), error];
      return later.some((next) => errors.every((each) => mayFollow(next, each)));
    };
    return new Retry(new Attempt(leg), { settings: leg.settings, clock: this.#clock, canBeLeft });
  }
}

/** A leg that failed too often of late passes; where nobody else may answer, trying is better. */
function reasonToHold(step: Step, admitted: Step[]): string | undefined {
  if (isAdmitted(step)) return undefined;
  const others = admitted.filter((other) => other !== step);
  if (others.every(({ skippedBecause }) => skippedBecause !== undefined)) return undefined;
  return describeBreaker(step);
}

function reasonToSkip(step: Step, failures: Failure[]): string | undefined {
  if (step.skippedBecause !== undefined) return step.skippedBecause;
  const bar = failures.find(({ error }) => !mayFollow(step, error));
  if (!bar) return undefined;
  return `it has no model of its own, and ${nameOf(bar.step)} failed with ${bar.error.code}`;
}

/** After an overflow only a larger context helps, as far as the sizes are known. */
async function reasonOfContext(failed: Step, step: Step, call: Call): Promise<string | undefined> {
  const [before, here] = await Promise.all([failed, step].map((each) => sizeOf(each, call)));
  if (before === undefined || here === undefined || here > before) return undefined;
  return `its context of ${here} tokens is not larger than ${before}`;
}

async function sizeOf({ leg, model }: Step, call: Call): Promise<number | undefined> {
  // Not AbortSignal.timeout: what only follows it may be collected before it fires.
  const work = new AbortController();
  const unlink = abortTogether(work, call.signal);
  const timer = setTimeout(() => work.abort(), leg.settings.timeout * 1000);
  try {
    return await leg.provider.contextLength?.(model, { signal: work.signal });
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    unlink();
  }
}

function describeBreaker({ leg, model }: Step): string {
  const { failures, code, opensIn } = breakerOf(leg, model).report();
  const rest = opensIn === undefined ? "it is being tried out" : `for ${Math.ceil(opensIn)} s more`;
  return `it is held back after ${failures} failures (the last: ${code}), ${rest}`;
}

function skip({ leg, model }: Step, skippedBecause: string, call: Call): void {
  const attempt = { ...nameLeg(leg, model), durationMs: 0, skippedBecause };
  call.attempts.push(attempt);
  call.observer.attempt({ requestId: call.requestId, attempt });
}

function tellFallback({ step, error }: Failure, next: Step, call: Call): void {
  const { requestId, observer } = call;
  const from = nameLeg(step.leg, step.model);
  observer.fallback({ requestId, from, to: nameLeg(next.leg, next.model), error });
}

function withModel(call: Call, model: string | undefined): Call {
  return model === call.request.model ? call : { ...call, request: { ...call.request, model } };
}

/** What the caller is told of all the legs that could not answer. */
function summary(
  steps: Step[],
  failures: Failure[],
  reasons: Map<Step, string>,
  call: Call,
): LLMError {
  const errors = failures.map(({ error }) => error);
  const stories = steps.map((step) => {
    const failure = failures.find((other) => other.step === step)?.error.message;
    return `${nameOf(step)}: ${failure ?? `skipped, because ${reasons.get(step)}.`}`;
  });
  const lines = ["No provider could answer.", ...stories];
  return new AllProvidersFailedError(lines.join("\n  "), {
    requestId: call.requestId,
    attempts: [...call.attempts],
    hint: [...new Set(errors.flatMap(({ hint }) => hint ?? []))].join(" ") || undefined,
    partial: errors.findLast(({ partial }) => partial !== undefined)?.partial,
    retryable: errors.some(({ retryable }) => retryable),
    cause: errors.at(-1),
  });
}

function nameOf({ leg }: Step): string {
  return leg.provider.name;
}
