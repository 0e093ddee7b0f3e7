import { Breakers } from "./chain/breaker.js";
import { systemClock } from "./chain/clock.js";
import { type Leg, newLeg } from "./chain/leg.js";
import { planSteps } from "./chain/plan.js";
import { type DescribedLeg, describeConfig, type FieldReport } from "./config/explain.js";
import type { ConfigSources } from "./config/settings.js";
import type { FileReport } from "./config/sources.js";
import { createProvider } from "./providers/registry.js";
import type { LLMConfig, ProviderName } from "./types.js";

export type { FieldReport } from "./config/explain.js";
export type { FileReport } from "./config/sources.js";

/** One provider of a configuration, and whether a request would be sent to it. */
export interface LegReport {
  /** Place in the configuration, from 0, as in `attempts`. */
  leg: number;
  provider: ProviderName;
  /** Why it is there. */
  origin: string;
  /** What answers where a request names no model; undefined where the server chooses. */
  model?: string;
  /** Why it would be left out. */
  skippedBecause?: string;
  fields: FieldReport[];
}

/** What a configuration means, without secrets. */
export interface ConfigReport {
  /** What holds for the first provider, or for all of "auto". */
  fields: FieldReport[];
  /** The files that are looked for. */
  files: FileReport[];
  /** In the order in which they are asked. */
  legs: LegReport[];
  warnings: string[];
}

/**
 * Tells what a client makes of a configuration: each value with its origin, the files, and who
 * would be asked in which order. Nothing is sent.
 * @example
 * explainConfig({ timeout: 60 }).fields.find(({ field }) => field === "timeout");
 * // { field: "timeout", value: 60, origin: "given directly" }
 */
export function explainConfig(config: LLMConfig = {}, sources: ConfigSources = {}): ConfigReport {
  const { legs: described, ...report } = describeConfig(config, sources);
  const breakers = new Breakers(systemClock);
  const legs = described.map(({ settings }, index) =>
    newLeg(index, createProvider(settings), settings, breakers),
  );
  try {
    return { ...report, legs: inOrder(legs, described) };
  } finally {
    for (const { provider } of legs) void provider.close();
  }
}

function inOrder(legs: Leg[], described: DescribedLeg[]): LegReport[] {
  const steps = planSteps(legs, undefined);
  const asked = steps.map(({ leg, model, skippedBecause }) => ({
    leg,
    model: model ?? leg.provider.defaultModel,
    // Of a single leg the plan says nothing; asking it is how a client finds out.
    skippedBecause: skippedBecause ?? leg.provider.unavailableBecause?.(),
  }));
  const others = legs.filter((leg) => steps.every((step) => step.leg !== leg));
  const unasked = others.map((leg) => ({
    leg,
    model: undefined,
    skippedBecause: `"${leg.settings.model}" is a model of ${steps[0]!.leg.provider.name}`,
  }));
  return [...asked, ...unasked].map(({ leg, model, skippedBecause }) => {
    const { origin, fields } = described[leg.index]!;
    const provider = leg.provider.name;
    return withoutUndefined({ leg: leg.index, provider, origin, model, skippedBecause, fields });
  });
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as T;
}
