import type { LLMError } from "../errors.js";
import { breakerOf, type Leg } from "./leg.js";

/** A leg with what it would be asked for one request. */
export class Step {
  readonly leg: Leg;
  /** Undefined: the provider chooses. */
  readonly model: string | undefined;
  /** True if the name of the model is meant for this leg. */
  readonly hasOwnModel: boolean;
  readonly #reason: () => string | undefined;
  #skippedBecause: { reason: string | undefined } | undefined;

  constructor(
    leg: Leg,
    model: string | undefined,
    hasOwnModel: boolean,
    reason: () => string | undefined,
  ) {
    this.leg = leg;
    this.model = model;
    this.hasOwnModel = hasOwnModel;
    this.#reason = reason;
  }

  /** Why it cannot be asked at all; found out when it matters, as it may load the addon. */
  get skippedBecause(): string | undefined {
    this.#skippedBecause ??= { reason: this.#reason() };
    return this.#skippedBecause.reason;
  }
}

/** Failures that another leg would share, or that the caller wanted. */
const FINAL = new Set(["aborted", "closed", "deadline_exceeded", "validation", "bad_request"]);

/** Failures of one server's names and keys: only a leg with a model of its own is asked next. */
const OF_ONE_LEG = new Set(["auth", "model_not_found", "model_mismatch"]);

/** Who is asked for a model, in which order, and who is left out and why. */
export function planSteps(allLegs: readonly Leg[], requested: string | undefined): Step[] {
  const wanted = requested ?? allLegs[0]!.settings.model;
  const legs = inOrder(allLegs, wanted);
  const first = legs[0]!;
  // Another server of the same kind knows the same names.
  const knowing = legs.filter((leg) => leg === first || leg.settings.isAuto);
  const names = new Set(knowing.map(({ provider }) => provider.name));
  return legs.map((leg) => {
    const { model: own } = leg.settings;
    // A single leg tells itself why it cannot work.
    const unavailable = () => (legs.length > 1 ? leg.provider.unavailableBecause?.() : undefined);
    // Under "auto" any of the providers may know a name.
    if (knowing.includes(leg)) return new Step(leg, wanted, true, unavailable);
    if (own !== undefined || wanted === undefined) return new Step(leg, own, true, unavailable);
    if (names.has(leg.provider.name)) return new Step(leg, wanted, false, unavailable);
    const reason = `it has no model of its own, and "${wanted}" is one of ${first.provider.name}`;
    return new Step(leg, undefined, false, () => unavailable() ?? reason);
  });
}

/** Under "auto" some models can only be of one provider: it is asked first, or alone if it is named. */
function inOrder(legs: readonly Leg[], wanted: string | undefined): readonly Leg[] {
  const isMeant = ({ provider, settings }: Leg) => settings.isAuto && provider.isMeantBy?.(wanted);
  const meant = legs.filter(isMeant);
  if (meant.length === 0) return legs;
  const others = legs.filter((leg) => !meant.includes(leg));
  const own = others.filter(({ settings }) => !settings.isAuto);
  return [...meant, ...(wanted === undefined ? others : own)];
}

/** Whether a failure ends the call, whoever else could be asked. */
export function isFinal({ code }: LLMError): boolean {
  return FINAL.has(code);
}

/** Whether a leg may be asked after another one failed with this error. */
export function mayFollow(step: Step, error: LLMError): boolean {
  if (isFinal(error) || (OF_ONE_LEG.has(error.code) && !step.hasOwnModel)) return false;
  return step.skippedBecause === undefined;
}

/** Whether a leg has not failed too often of late. */
export function isAdmitted({ leg, model }: Step): boolean {
  return breakerOf(leg, model).admits;
}
