import type { ModelDetails, ModelInfo } from "../types.js";
import { countOf, type Fields, fieldsOf, textOf } from "../fields.js";
import { isSameModel, namespaceOf } from "./model-name.js";

/** What Ollama can do with a model. */
export type Capability = "completion" | "embedding" | "vision";

/** The name of a model in `/api/tags` or `/api/ps`. */
export function nameOf(entry: Fields): string | undefined {
  return textOf(entry.model) ?? textOf(entry.name);
}

/** A model of `/api/tags`, with what `/api/ps` tells of it. */
export function toModelInfo(entry: Fields, running: Fields[]): ModelInfo | undefined {
  const id = nameOf(entry);
  if (id === undefined) return undefined;
  const details = fieldsOf(entry.details);
  const inMemory = findByName(running, id);
  const host = textOf(entry.remote_host);
  return {
    id,
    provider: "ollama",
    object: "model",
    created: toUnixTime(entry.modified_at),
    ownedBy: namespaceOf(id),
    // What it was loaded with counts more than what it was trained for.
    contextLength: countOf(inMemory?.context_length) ?? countOf(details.context_length),
    description: host && `Runs at ${host}`,
    size: countOf(entry.size),
    quantization: textOf(details.quantization_level),
    family: textOf(details.family),
    capabilities: textsOf(entry.capabilities),
    loaded: inMemory !== undefined,
  };
}

/** A model of `/api/show`, with what `/api/tags` and `/api/ps` tell of it. */
export function toModelDetails(
  id: string,
  shown: Fields,
  listed: Fields[],
  running: Fields[],
): ModelDetails {
  const entry = findByName(listed, id) ?? {};
  const details = { ...fieldsOf(entry.details), ...fieldsOf(shown.details) };
  const { capabilities = entry.capabilities, modified_at = entry.modified_at } = shown;
  const merged = { ...entry, model: nameOf(entry) ?? id, details, capabilities, modified_at };
  return {
    ...(toModelInfo(merged, running) as ModelInfo),
    contextLength: contextLengthOf(shown),
    parameters: countOf(fieldsOf(shown.model_info)["general.parameter_count"]),
    hasTemplate: textOf(shown.template) !== undefined,
    license: firstLine(textOf(shown.license)),
  };
}

/** The entry of that model in a list. */
export function findByName(entries: Fields[], model: string): Fields | undefined {
  return entries.find((entry) => isSameModel(nameOf(entry) ?? "", model));
}

/** True if the model is not on this computer, but somewhere in the cloud. */
export function isRemote(entry: Fields): boolean {
  return textOf(entry.remote_host) !== undefined;
}

/** Whether a model of `/api/tags` or `/api/show` can do that; undefined where it is not told. */
export function can(entry: Fields, capability: Capability): boolean | undefined {
  return textsOf(entry.capabilities)?.includes(capability);
}

/** Tokens that a model of `/api/show` has room for: what its Modelfile says, or its training. */
export function contextLengthOf(shown: Fields): number | undefined {
  const info = fieldsOf(shown.model_info);
  const trained = countOf(info[`${textOf(info["general.architecture"])}.context_length`]);
  const [, set] = /^num_ctx\s+(\d+)$/m.exec(textOf(shown.parameters) ?? "") ?? [];
  if (set === undefined) return trained;
  return Math.min(Number(set), trained ?? Number.POSITIVE_INFINITY);
}

/** Ollama gives the whole text, which begins with its name. */
function firstLine(text: string | undefined): string | undefined {
  return text?.trim().split("\n", 1)[0];
}

function toUnixTime(date: unknown): number | undefined {
  const milliseconds = Date.parse(textOf(date) ?? "");
  return Number.isNaN(milliseconds) ? undefined : Math.floor(milliseconds / 1000);
}

function textsOf(value: unknown): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.filter((item): item is string => typeof item === "string");
}
