import type { ProviderName } from "../types.js";
import { isAddress, isPath, showAddress } from "./addresses.js";
import { wrongConfiguration } from "./check-values.js";
import { concerning, inherited, namesProvider } from "./concerning.js";
import { variablesOf } from "./environment.js";
import { byDefault, type Found, find, type Layer } from "./layers.js";
import { type LegFields, readLeg } from "./leg.js";
import type { GivenConfig } from "./sources.js";

/** A leg of the chain, each value with its origin. */
export interface Leg {
  provider: Found<ProviderName>;
  isAuto: boolean;
  fields: LegFields;
}

const MAX_LEGS = 16;

/** The provider that is asked first, or "auto" for all of them. */
export function findProvider({ layers }: GivenConfig): Found<ProviderName | "auto"> {
  // A folder is for MLX: a server that is named with less right is not meant then.
  const folder = layers.findIndex(({ values }) => isPath(values.baseUrl ?? ""));
  const named = layers.filter(({ values }, index) => {
    const isServer = values.provider === "ollama" || values.provider === "lmstudio";
    return !isServer || folder < 0 || index <= folder;
  });
  return find(named, "provider") ?? byDefault("auto");
}

/** All legs, in the order in which they are asked. */
export function readLegs(given: GivenConfig): Leg[] {
  const { value, origin } = findProvider(given);
  const isAuto = value === "auto";
  if (isAuto) checkForAuto(given.layers);
  const legs = (isAuto ? autoProviders(given.platform) : [value]).map((name) => {
    const layers = withVariables(name, concerning(name, given.layers, isAuto), given);
    const provider = { value: name, origin: isAuto ? `auto, ${origin}` : origin };
    return { provider, isAuto, fields: readLeg(name, layers, given) };
  });
  return [...legs, ...fallbackLegs(given, MAX_LEGS - legs.length)];
}

/** What holds for all legs of "auto". */
export function readShared(given: GivenConfig): LegFields {
  return readLeg("mlx", concerning("mlx", given.layers, true), given);
}

function fallbackLegs(given: GivenConfig, max: number): Leg[] {
  const found = find(given.layers, "fallbackConfigs");
  if (!found) return [];
  if (found.value.length > max) {
    throw wrongConfiguration(
      `fallbackConfigs has ${found.value.length} legs, but must have at most ${max} ` +
        `(${found.origin})`,
    );
  }
  const around = given.layers.map(inherited);
  return found.value.map((values, index) => {
    const originOf = () => `fallbackConfigs[${index}] ${found.origin}`;
    // Checked: a leg names a provider, and not "auto".
    const provider = values.provider as ProviderName;
    const layers = [
      { ...found.layer, values, originOf },
      ...withVariables(provider, around, given),
    ];
    const name = { value: provider, origin: originOf() };
    return { provider: name, isAuto: false, fields: readLeg(provider, layers, given) };
  });
}

/** Puts what the environment says of a provider before what it says of all. */
function withVariables(provider: ProviderName, layers: Layer[], { env }: GivenConfig): Layer[] {
  const place = layers.findIndex(({ isEnvironment }) => isEnvironment);
  return [...layers.slice(0, place), variablesOf(provider, env), ...layers.slice(place)];
}

/** An address or a key is for one provider, so that must be named with it. */
function checkForAuto(layers: Layer[]): void {
  const open = layers.filter(({ values }) => !namesProvider(values));
  const address = find(open, "baseUrl");
  if (address && isAddress(address.value)) {
    const shown = JSON.stringify(showAddress(address.value));
    throw unnamedProvider(`baseUrl is ${shown} (${address.origin})`);
  }
  const key = find(open, "apiKey") ?? find(open, "apiKeyEnv");
  if (key) throw unnamedProvider(`there is an API key (${key.origin})`);
}

function unnamedProvider(what: string) {
  const hint = 'Set provider or --provider to "ollama", "lmstudio" or "mlx".';
  return wrongConfiguration(`${what}, but no provider: say which provider it is`, hint);
}

/** MLX comes first where it is at home. */
function autoProviders({ platform, arch }: GivenConfig["platform"]): ProviderName[] {
  const isAppleSilicon = platform === "darwin" && arch === "arm64";
  return isAppleSilicon ? ["mlx", "ollama", "lmstudio"] : ["ollama", "lmstudio", "mlx"];
}
