import type { LegSettings } from "../config/settings.js";
import type { Provider } from "../providers/provider.js";
import type { Breaker, Breakers } from "./breaker.js";
import { Slots } from "./slots.js";

/** One provider of a chain, as it is set up. */
export interface Leg {
  /** Place in the chain, from 0. */
  readonly index: number;
  readonly provider: Provider;
  readonly settings: LegSettings;
  readonly breakers: Breakers;
  readonly slots: Slots;
}

/** A leg with places for as many requests as its settings allow. */
export function newLeg(
  index: number,
  provider: Provider,
  settings: LegSettings,
  breakers: Breakers,
): Leg {
  return { index, provider, settings, breakers, slots: new Slots(settings.maxConcurrent) };
}

/** The name of a leg in hooks and records. */
export function nameLeg({ index, provider }: Leg, model = provider.defaultModel) {
  return { leg: index, provider: provider.name, model };
}

/** What tells the server of a leg from others. */
export function serverOf({ provider }: Leg): string {
  return provider.url ?? provider.name;
}

/** What holds requests back from a model of a leg. */
export function breakerOf(leg: Leg, model = leg.provider.defaultModel): Breaker {
  return leg.breakers.of(serverOf(leg), model);
}
