import { isAddress, isLoopback, isSameServer, placeOf, showAddress } from "./addresses.js";
import type { ProviderName } from "../types.js";
import { checkValues, wrongConfiguration } from "./check-values.js";
import { variableOf } from "./environment.js";
import type { Found, Layer } from "./layers.js";
import type { GivenConfig } from "./sources.js";

/** A key, and whether a file only refers to it. */
interface FoundKey extends Found<string> {
  layer: Layer;
  isReference: boolean;
}

/**
 * The key for a leg. One that could end up with a stranger is left out, with a warning: a file in
 * the working directory may not collect keys, and a key beside an address is for that server only.
 */
export function findKey(
  provider: ProviderName,
  layers: Layer[],
  address: Found<string | undefined>,
  { env, warnings }: GivenConfig,
): Found<string> | undefined {
  const key = firstKey(layers, env);
  if (!key || address.value === undefined || mayGo(key, provider, address)) return key;
  warnings.add(
    `the API key ${key.origin} is not sent to ${showAddress(address.value)} (${address.origin}); ` +
      "give the key and the address in one place, a file of yours or named with --config",
  );
  return undefined;
}

function firstKey(layers: Layer[], env: NodeJS.ProcessEnv): FoundKey | undefined {
  for (const layer of layers) {
    const { apiKey, apiKeyEnv } = layer.values;
    if (apiKey !== undefined) {
      return { value: apiKey, origin: layer.originOf("apiKey"), layer, isReference: false };
    }
    if (apiKeyEnv !== undefined) {
      const origin = `by apiKeyEnv ${layer.originOf("apiKeyEnv")}`;
      return { value: referredKey(apiKeyEnv, env, origin), origin, layer, isReference: true };
    }
  }
  return undefined;
}

/** The name is not shown: somebody may have written the key itself. */
function referredKey(name: string, env: NodeJS.ProcessEnv, origin: string): string {
  const apiKey = variableOf(name, env);
  if (apiKey !== undefined) return checkValues({ apiKey }, "code", () => origin).apiKey!;
  throw wrongConfiguration(`the variable that is named ${origin} is not set`);
}

function mayGo(key: FoundKey, provider: ProviderName, address: Found<string | undefined>): boolean {
  const to = serverOf(provider, address.value);
  if (to === undefined) return true;
  const { isFile, isProject, values } = key.layer;
  const beside = isFile ? serverOf(provider, values.baseUrl) : undefined;
  if (beside !== undefined && !isSameServer(beside, to)) return false;
  if (!address.layer?.isProject || isLoopback(to)) return true;
  return isProject ? !key.isReference : beside !== undefined;
}

/** The address in `baseUrl`; undefined where that is a folder. */
function serverOf(provider: ProviderName, baseUrl: string | undefined): string | undefined {
  const found = baseUrl === undefined ? undefined : placeOf(provider, baseUrl);
  return found && "place" in found && isAddress(found.place) ? found.place : undefined;
}
