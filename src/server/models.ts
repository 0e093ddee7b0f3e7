import { isAbsolute } from "node:path";
import type { LLMRequest, ModelInfo } from "../index.js";
import { Refusal } from "./failures.js";
import type { Service } from "./service.js";

/** The models that requests may name, as far as providers list them. */
export async function knownModels({ client }: Service): Promise<ModelInfo[]> {
  const models = await client.listModels();
  return models.filter(({ usable }) => usable !== false);
}

/** The model of a name; throws a `Refusal` where none is listed. */
export async function findModel(service: Service, id: string): Promise<ModelInfo> {
  const found = (await knownModels(service)).find((model) => model.id === id);
  if (found) return found;
  throw noModel(id);
}

/** The model that a request is for; a path would let others look around on this machine. */
export function modelFor({ settings }: Service, name: string | undefined): string | undefined {
  if (name === undefined || name === settings.model) return settings.model;
  if (isAbsolute(name) || /^(\.{1,2}|~)([/\\]|$)|\\|\/\.\.(\/|$)/.test(name)) throw noModel(name);
  return name;
}

/** A request for the model that it names, or for the server's. */
export function forModel(service: Service, request: LLMRequest): LLMRequest {
  const model = modelFor(service, request.model);
  return model === undefined ? request : { ...request, model };
}

function noModel(id: string): Refusal {
  return new Refusal(404, "model_not_found", `There is no model ${JSON.stringify(id)} here.`, {
    field: "model",
  });
}
