import type { ModelDetails, ModelInfo } from "../../index.js";
import { knownModels, modelFor } from "../models.js";
import type { Service } from "../service.js";

/** The list of models, as Ollama tells it. */
export async function listTags(service: Service): Promise<object> {
  return { models: (await knownModels(service)).map(tagOf) };
}

/** The models that are in memory now. */
export async function listRunning(service: Service): Promise<object> {
  const models = (await knownModels(service)).filter(({ loaded }) => loaded === true);
  return { models: models.map((model) => ({ ...tagOf(model), size_vram: model.size ?? 0 })) };
}

/** What is known of one model. */
export async function showModel(service: Service, name: string | undefined): Promise<object> {
  const details = await service.client.showModel(modelFor(service, name) ?? "");
  const { capabilities = ["completion"], license, family } = details;
  return {
    modified_at: modifiedAt(details),
    license,
    details: detailsOf(details),
    capabilities,
    model_info: {
      "general.architecture": family,
      "general.parameter_count": details.parameters,
      [`${family ?? "general"}.context_length`]: details.contextLength,
    },
  };
}

function tagOf(model: ModelInfo): object {
  const { id, size } = model;
  const details = detailsOf(model);
  return {
    name: id,
    model: id,
    modified_at: modifiedAt(model),
    size: size ?? 0,
    digest: "",
    details,
  };
}

function detailsOf({ family, quantization, parameters }: Partial<ModelDetails>): object {
  return {
    parent_model: "",
    format: "",
    family: family ?? "",
    families: family === undefined ? [] : [family],
    parameter_size: parameters === undefined ? "" : `${(parameters / 1e9).toFixed(1)}B`,
    quantization_level: quantization ?? "",
  };
}

function modifiedAt({ created }: ModelInfo): string {
  return new Date((created ?? 0) * 1000).toISOString();
}
