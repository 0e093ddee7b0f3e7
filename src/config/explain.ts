import type { LLMConfig } from "../types.js";
import { isAddress, showAddress } from "./addresses.js";
import { byDefault, type Found, find, type Layer } from "./layers.js";
import { findProvider, readLegs, readShared } from "./legs.js";
import { CODE_FIELDS } from "./schema.js";
import { type LegSettings, readClientTimes, settingsOf } from "./settings.js";
import { type ConfigSources, type FileReport, readSources } from "./sources.js";

/** A setting, and why it has its value. */
export interface FieldReport {
  field: string;
  /** Without secrets; absent where there is none. */
  value?: unknown;
  /** For example "from LLM_CLIENT_TIMEOUT", "default" or "not set". */
  origin: string;
}

/** One leg of the chain. */
export interface DescribedLeg {
  settings: LegSettings;
  /** Why this provider is there. */
  origin: string;
  fields: FieldReport[];
}

/** A configuration, with the origin of everything. */
export interface DescribedConfig {
  fields: FieldReport[];
  /** The files that are looked for. */
  files: FileReport[];
  legs: DescribedLeg[];
  warnings: string[];
}

/** Says what `resolveConfig` makes of the same arguments, and why. */
export function describeConfig(config: LLMConfig, sources: ConfigSources): DescribedConfig {
  const given = readSources(config, sources);
  const legs = readLegs(given);
  const provider = findProvider(given);
  const shared = provider.value === "auto" ? readShared(given) : legs[0]!.fields;
  return {
    fields: [
      ...reportsOf({ provider, ...shared, ...readClientTimes(given.layers) }),
      ...reportsOf(othersOf(given.layers)),
    ],
    files: given.files,
    legs: legs.map((leg) => ({
      settings: settingsOf(leg),
      origin: leg.provider.origin,
      fields: reportsOf(leg.fields),
    })),
    warnings: [...given.warnings],
  };
}

/** Legs, which are reported one by one, and functions, where there are any. */
function othersOf(layers: Layer[]): Record<string, Found<unknown>> {
  const legs = find(layers, "fallbackConfigs");
  const providers = legs && { ...legs, value: legs.value.map(({ provider }) => provider) };
  const functions = CODE_FIELDS.flatMap((field) => {
    const found = find(layers, field);
    return found ? [[field, { ...found, value: "set" }]] : [];
  });
  return { fallbackConfigs: providers ?? byDefault(undefined), ...Object.fromEntries(functions) };
}

function reportsOf(fields: object): FieldReport[] {
  return Object.entries<Found<unknown>>({ ...fields }).map(([field, { value, origin }]) => ({
    field,
    ...(value === undefined ? {} : { value: withoutSecrets(field, value) }),
    origin,
  }));
}

function withoutSecrets(field: string, value: unknown): unknown {
  if (field === "apiKey") return "[redacted]";
  return field === "baseUrl" && isAddress(String(value)) ? showAddress(String(value)) : value;
}
