import { ProtocolError } from "../errors.js";
import { countOf, type Fields, fieldsOf, listOf, textOf } from "../fields.js";
import { detailsOf, type Where } from "../http/where.js";
import type { ModelInfo, ProviderName } from "../types.js";
import { isSameModel } from "./model-name.js";

/** What a model is needed for. */
export type Purpose = "completion" | "embedding";

/** The entries of a list; a body without that list is no answer of such a server. */
export function entriesOf(body: unknown, field: "data" | "models", where: Where): Fields[] {
  const entries = fieldsOf(body)[field];
  if (Array.isArray(entries)) return listOf(entries);
  throw new ProtocolError(`The server's answer has no list of models in "${field}".`, {
    ...detailsOf(where),
    hint: "Check the address: something else may be listening there.",
  });
}

/** The models of `/v1/models`. */
export function toModelInfos(body: unknown, where: Where): ModelInfo[] {
  return entriesOf(body, "data", where).flatMap(
    (entry) => toModelInfo(entry, where.provider) ?? [],
  );
}

/** An entry of `/v1/models`, which tells little. */
export function toModelInfo(entry: Fields, provider: ProviderName): ModelInfo | undefined {
  const id = textOf(entry.id);
  if (id === undefined) return undefined;
  return {
    id,
    provider,
    object: "model",
    created: countOf(entry.created),
    ownedBy: textOf(entry.owned_by),
    // vLLM's, and OpenRouter's.
    contextLength: countOf(entry.max_model_len) ?? countOf(entry.context_length),
    // Nothing but the name tells them apart.
    ...(/embed/i.test(id) && { capabilities: ["embedding"] }),
  };
}

/** The model of that name; a name that fits exactly comes first. */
export function findModel(models: ModelInfo[], name: string): ModelInfo | undefined {
  return models.find(({ id }) => id === name) ?? models.find(({ id }) => isSameModel(name, id));
}

/** The model for requests that name none: one in memory, or else the first. */
export function pickModel(models: ModelInfo[], purpose: Purpose): string | undefined {
  const fitting = models.filter(({ capabilities = ["completion"] }) =>
    capabilities.includes(purpose),
  );
  return (fitting.find(({ loaded }) => loaded) ?? fitting[0])?.id;
}
