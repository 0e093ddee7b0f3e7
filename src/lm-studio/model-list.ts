import { countOf, type Fields, fieldsOf, listOf, textOf } from "../fields.js";
import type { Where } from "../http/where.js";
import { isSameModel } from "../openai/model-name.js";
import { entriesOf, toModelInfo, toModelInfos } from "../openai/models.js";
import type { ModelInfo } from "../types.js";

/** A model of a list, with what LM Studio alone tells of it. */
export interface ListedModel {
  info: ModelInfo;
  /** Names of what is in memory of it; there may be several. */
  instances: string[];
}

/** One of the endpoints that list models, the most telling one first. */
export interface ListSource {
  path: string;
  /** True if there are no other models than those it lists. */
  isComplete: boolean;
  read(body: unknown, where: Where): ListedModel[];
}

/** The lists of LM Studio 0.4, of older versions, and of every server with OpenAI's API. */
export function listSources(plainPath: string): ListSource[] {
  return [
    { path: "/api/v1/models", isComplete: true, read: readVersion1 },
    { path: "/api/v0/models", isComplete: true, read: readVersion0 },
    { path: plainPath, isComplete: false, read: readPlain },
  ];
}

/** The model of that name, or of an instance of that name; what fits exactly comes first. */
export function findListed(models: ListedModel[], name: string): ListedModel | undefined {
  const names = ({ info, instances }: ListedModel) => [info.id, ...instances];
  return (
    models.find((model) => names(model).includes(name)) ??
    models.find((model) => names(model).some((known) => isSameModel(name, known)))
  );
}

function readVersion1(body: unknown, where: Where): ListedModel[] {
  return entriesOf(body, "models", where).flatMap((entry) => {
    const id = textOf(entry.key);
    if (id === undefined) return [];
    const loaded = listOf(entry.loaded_instances);
    const [contextLength] = loaded.flatMap(
      ({ config }) => countOf(fieldsOf(config).context_length) ?? [],
    );
    const info: ModelInfo = {
      id,
      provider: where.provider,
      object: "model",
      ownedBy: textOf(entry.publisher),
      // What it was loaded with counts more than what it was trained for.
      contextLength: contextLength ?? countOf(entry.max_context_length),
      description: textOf(entry.display_name),
      size: countOf(entry.size_bytes),
      quantization: quantizationOf(fieldsOf(entry.quantization)),
      family: textOf(entry.architecture),
      capabilities: capabilitiesOf(entry.type, fieldsOf(entry.capabilities)),
      loaded: loaded.length > 0,
    };
    return [{ info, instances: loaded.flatMap((instance) => textOf(instance.id) ?? []) }];
  });
}

function readVersion0(body: unknown, where: Where): ListedModel[] {
  return entriesOf(body, "data", where).flatMap((entry) => {
    const plain = toModelInfo(entry, where.provider);
    if (plain === undefined) return [];
    const told = Array.isArray(entry.capabilities) ? entry.capabilities : [];
    const capabilities = {
      vision: entry.type === "vlm",
      trained_for_tool_use: told.includes("tool_use"),
    };
    const isLoaded = entry.state === "loaded";
    const info: ModelInfo = {
      ...plain,
      ownedBy: textOf(entry.publisher),
      contextLength: countOf(entry.loaded_context_length) ?? countOf(entry.max_context_length),
      quantization: quantizationOf({ name: entry.quantization }),
      family: textOf(entry.arch),
      capabilities: capabilitiesOf(entry.type, capabilities),
      loaded: isLoaded,
    };
    return [{ info, instances: isLoaded ? [info.id] : [] }];
  });
}

function readPlain(body: unknown, where: Where): ListedModel[] {
  return toModelInfos(body, where).map((info) => ({ info, instances: [] }));
}

/** "4-bit" where the bits are told, else the name, such as "Q4_K_M". */
function quantizationOf({ name, bits_per_weight }: Fields): string | undefined {
  const text = textOf(name);
  const [, bits = countOf(bits_per_weight)] = /^(\d+)-?bit$/i.exec(text ?? "") ?? [];
  return bits === undefined ? text : `${bits}-bit`;
}

/** In the words that Ollama uses. */
function capabilitiesOf(type: unknown, told: Fields): string[] {
  if (type === "embedding" || type === "embeddings") return ["embedding"];
  return [
    "completion",
    ...(told.vision === true ? ["vision"] : []),
    ...(told.trained_for_tool_use === true ? ["tools"] : []),
    ...(told.reasoning ? ["thinking"] : []),
  ];
}
