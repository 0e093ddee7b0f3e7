import type { ModelInfo } from "../../index.js";
import { findModel, knownModels } from "../models.js";
import type { Service } from "../service.js";

/** The list of models, as OpenAI tells it. */
export async function listModels(service: Service): Promise<object> {
  return { object: "list", data: (await knownModels(service)).map(modelOf) };
}

/** One of them; throws a `Refusal` where there is none of that name. */
export async function retrieveModel(service: Service, id: string): Promise<object> {
  return modelOf(await findModel(service, id));
}

function modelOf({ id, created, ownedBy, provider, contextLength }: ModelInfo): object {
  const more = contextLength === undefined ? {} : { context_length: contextLength };
  return { id, object: "model", created: created ?? 0, owned_by: ownedBy ?? provider, ...more };
}
