import type { Hooks, LLMConfig, Logger } from "../types.js";
import { byDefault, type Found, find, type Layer } from "./layers.js";
import type { LegSettings } from "./leg.js";
import { type Leg, readLegs } from "./legs.js";
import { type ConfigSources, readSources } from "./sources.js";

export type { LegSettings } from "./leg.js";
export type { ConfigSources } from "./sources.js";

/** A configuration with every default filled in. Durations are seconds. */
export interface Settings {
  /** At least one; asked in this order. */
  legs: LegSettings[];
  deadline?: number;
  cacheTtl: number;
  hooks: Hooks;
  logger?: Logger;
  /** What was left out for safety, and what else is doubtful; the logger has been told. */
  warnings: string[];
}

const CACHE_TTL = 300;

/**
 * Completes a configuration from flags, environment, files and defaults, in this order; throws a
 * `ConfigurationError` that names each wrong field, where it comes from and what is allowed.
 * @example
 * resolveConfig({ provider: "ollama", timeout: 60 }).legs[0].baseUrl; // "http://localhost:11434"
 */
export function resolveConfig(config: LLMConfig = {}, sources: ConfigSources = {}): Settings {
  const given = readSources(config, sources);
  const legs = readLegs(given).map(settingsOf);
  const logger = find(given.layers, "logger")?.value;
  const warnings = [...given.warnings];
  for (const warning of warnings) logger?.warn(warning);
  const { deadline, cacheTtl } = readClientTimes(given.layers);
  const hooks = hooksOf(given.layers);
  return { legs, deadline: deadline.value, cacheTtl: cacheTtl.value, hooks, logger, warnings };
}

/** Times that a client has once. */
export function readClientTimes(layers: Layer[]) {
  return {
    deadline: find(layers, "deadline") ?? byDefault(undefined),
    cacheTtl: find(layers, "cacheTtl") ?? byDefault(CACHE_TTL),
  };
}

/** The values of a leg without their origins. */
export function settingsOf({ provider, isAuto, fields }: Leg): LegSettings {
  const values = Object.entries<Found<unknown>>(fields)
    .map(([field, { value }]) => [field, value] as const)
    .filter(([, value]) => value !== undefined);
  return { provider: provider.value, isAuto, ...Object.fromEntries(values) } as LegSettings;
}

function hooksOf(layers: Layer[]): Hooks {
  const names = ["onStart", "onAttempt", "onRetry", "onFallback", "onFinish"] as const;
  return Object.fromEntries(
    names.flatMap((name) => {
      const hook = find(layers, name)?.value;
      return hook ? [[name, hook]] : [];
    }),
  );
}
