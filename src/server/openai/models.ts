import type { ModelInfo } from "../../index.js";
import { findModel, knownModels } from "../models.js";
import { given } from "../schemas.js";
import type { Service } from "../service.js";

/** The list of models, as OpenAI tells it. */
export async function listModels(service: Service): Promise<object> {
  return { object: "list", data: (await knownModels(service)).map(modelOf) };
}

/** One of them; throws a `Refusal` where there is none of that name. */
export async function retrieveModel(service: Service, id: string): Promise<object> {
  return modelOf(await findModel(service, id));
}

function modelOf({
  id,
  created,
  ownedBy,
  provider,
  contextLength: context_length,
  capabilities,
}: ModelInfo): object {
  const more = given({ context_length, capabilities });
  return { id, object: "model", created: created ?? 0, owned_by: ownedBy ?? provider, ...more };
}
