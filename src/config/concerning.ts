import type { ProviderName } from "../types.js";
import { isAddress, isPath } from "./addresses.js";
import type { Layer } from "./layers.js";
import { type ConfigValues, INHERITED_FIELDS, OWN_FIELDS } from "./schema.js";

type Field = keyof ConfigValues;

/** The layers without what was said of another provider. */
export function concerning(provider: ProviderName, layers: Layer[], isAuto: boolean): Layer[] {
  const folder = layers.findIndex(({ values }) => isFolder(values));
  const isFolderUsed = folder >= 0 && (isAuto || provider === "mlx");
  return layers.map((layer, index) => {
    const foreign = foreignFields(layer.values, provider, isAuto);
    // A folder says which model is meant; a name with less right must not change it.
    return without(layer, isFolderUsed && index > folder ? [...foreign, "model"] : foreign);
  });
}

/** Of a layer, what a fallback has from it. */
export function inherited({ values, ...layer }: Layer): Layer {
  return { ...layer, values: filter(values, (field) => INHERITED_FIELDS.some((f) => f === field)) };
}

/** Whether values name a provider, other than "auto". */
export function namesProvider({ provider = "auto" }: ConfigValues): boolean {
  return provider !== "auto";
}

function isFolder({ provider, baseUrl }: ConfigValues): boolean {
  const isOfServer = provider === "ollama" || provider === "lmstudio";
  return baseUrl !== undefined && !isOfServer && !isAddress(baseUrl);
}

function foreignFields(values: ConfigValues, provider: ProviderName, isAuto: boolean): Field[] {
  if (namesProvider(values)) return values.provider === provider ? [] : OWN_FIELDS;
  const { baseUrl = "" } = values;
  const isOther = provider !== "mlx" && (isAuto || isPath(baseUrl));
  const foreign: Field[] = isAuto ? ["apiKey", "apiKeyEnv"] : [];
  return isOther || (isAuto && isAddress(baseUrl)) ? [...foreign, "baseUrl"] : foreign;
}

function without({ values, ...layer }: Layer, fields: Field[]): Layer {
  return { ...layer, values: filter(values, (field) => !fields.includes(field)) };
}

function filter(values: ConfigValues, keep: (field: Field) => boolean): ConfigValues {
  const entries = Object.entries(values) as [Field, unknown][];
  return Object.fromEntries(entries.filter(([field]) => keep(field)));
}
