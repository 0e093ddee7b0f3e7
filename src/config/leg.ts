import type { ProviderName } from "../types.js";
import { fromFolder, placeOf, showAddress } from "./addresses.js";
import { wrongConfiguration } from "./check-values.js";
import { findKey } from "./keys.js";
import { byDefault, type Found, find, type Layer } from "./layers.js";
import type { GivenConfig } from "./sources.js";

/** How one provider is used, with every default filled in. Durations are seconds. */
export interface LegSettings {
  provider: ProviderName;
  /** True if it is there because nobody named a provider. */
  isAuto: boolean;
  model?: string;
  /** Always there for Ollama and LM Studio; for MLX a folder or an address, or nothing. */
  baseUrl?: string;
  apiKey?: string;
  verifySsl: boolean;
  maxConcurrent?: number;
  promptCacheBytes?: number;
  promptCacheFolder?: string;
  idleUnload?: number;
  timeout: number;
  connectTimeout: number;
  firstTokenTimeout: number;
  maxRetries: number;
  retryDelay: number;
  retryMaxDelay: number;
  retryExponentialBase: number;
}

/** The values of a leg, each with its origin. */
export type LegFields = {
  [Field in Exclude<keyof LegSettings, "provider" | "isAuto">]-?: Found<LegSettings[Field]>;
};

const DEFAULTS = {
  timeout: 30,
  connectTimeout: 3,
  maxRetries: 3,
  retryDelay: 1,
  retryMaxDelay: 10,
  retryExponentialBase: 2,
};
const FIRST_TOKEN_TIMEOUT = 300;

const ADDRESSES: Record<ProviderName, string | undefined> = {
  mlx: undefined,
  ollama: "http://localhost:11434",
  lmstudio: "http://localhost:1234",
};

/** Fills in a leg from what concerns it. */
export function readLeg(provider: ProviderName, layers: Layer[], given: GivenConfig): LegFields {
  const baseUrl = findPlace(provider, layers);
  return {
    model: findModel(provider, layers),
    baseUrl,
    apiKey: findKey(provider, layers, baseUrl, given) ?? byDefault(undefined),
    verifySsl: findVerifySsl(layers, baseUrl, given),
    maxConcurrent: find(layers, "maxConcurrent") ?? byDefault(undefined),
    promptCacheBytes: find(layers, "promptCacheBytes") ?? byDefault(undefined),
    promptCacheFolder: findFolder(layers),
    idleUnload: find(layers, "idleUnload") ?? byDefault(undefined),
    ...readTimes(layers),
  };
}

/** Times and retries, which do not depend on the provider. */
function readTimes(layers: Layer[]) {
  const findOr = (field: keyof typeof DEFAULTS) =>
    find(layers, field) ?? byDefault(DEFAULTS[field]);
  const timeout = findOr("timeout");
  return {
    timeout,
    connectTimeout: findOr("connectTimeout"),
    firstTokenTimeout: find(layers, "firstTokenTimeout") ?? asTimeout(timeout),
    maxRetries: findOr("maxRetries"),
    retryDelay: findOr("retryDelay"),
    retryMaxDelay: findOr("retryMaxDelay"),
    retryExponentialBase: findOr("retryExponentialBase"),
  };
}

/** Whoever gives only the timeout means all waiting. */
function asTimeout({ value, origin, layer }: Found<number>): Found<number> {
  return layer ? { value, origin: `as timeout, ${origin}`, layer } : byDefault(FIRST_TOKEN_TIMEOUT);
}

function findPlace(provider: ProviderName, layers: Layer[]): Found<string | undefined> {
  const found = find(layers, "baseUrl");
  if (!found) return byDefault(ADDRESSES[provider]);
  const result = placeOf(provider, found.value, found.layer?.folder);
  if ("place" in result) return { ...found, value: result.place };
  throw wrongConfiguration(
    `baseUrl is ${JSON.stringify(showAddress(found.value))}, but for ${provider} it must be ` +
      `${result.allowed} (${found.origin})`,
  );
}

function findModel(provider: ProviderName, layers: Layer[]): Found<string | undefined> {
  const found = find(layers, "model");
  const isRelative = provider === "mlx" && /^\.{1,2}[/\\]/.test(found?.value ?? "");
  if (!found || !isRelative) return found ?? byDefault(undefined);
  return { ...found, value: fromFolder(found.value, found.layer?.folder) };
}

function findFolder(layers: Layer[]): Found<string | undefined> {
  const found = find(layers, "promptCacheFolder");
  if (!found) return byDefault(undefined);
  return { ...found, value: fromFolder(found.value, found.layer?.folder) };
}

/** A stranger's file may not weaken the connection to a server that it does not name. */
function findVerifySsl(
  layers: Layer[],
  address: Found<string | undefined>,
  { warnings }: GivenConfig,
): Found<boolean> {
  const found = find(layers, "verifySsl") ?? byDefault(true);
  const isStrange = found.layer?.isProject && !address.layer?.isProject;
  if (found.value || !isStrange) return found;
  warnings.add(`verifySsl ${found.origin} is left out: it counts only for an address of that file`);
  return byDefault(true);
}
