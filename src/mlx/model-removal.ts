import { lstat, rm } from "node:fs/promises";
import { join } from "node:path";
import { LLMError, ValidationError } from "../errors.js";
import { hubCache } from "../hub/environment.js";
import { bytesIn, removeRepository } from "../hub/removal.js";
import { parseRepositoryName } from "../hub/repository-name.js";
import type { RemovedModel } from "../types.js";
import { DEMO, findModel, looksLikePath, type ModelSearch, ownCache } from "./model-places.js";

/**
 * Removes a model from our own cache, else from the Hugging Face cache; what lies in other places
 * was not put there by this package, and stays.
 */
export async function removeLocalModel(
  name: string,
  search: ModelSearch = {},
): Promise<RemovedModel> {
  const { env = process.env } = search;
  if (name === DEMO) throw refusal(name, "it comes with the package");
  if (looksLikePath(name)) throw refusal(name, "it is a folder of yours");
  const { repository, revision } = parseRepositoryName(name);
  const hasRevision = name.includes("@");
  const own = join(ownCache(env), repository);
  const stats = await lstat(own).catch(() => undefined);
  if (stats?.isDirectory() && !hasRevision) {
    const bytes = await bytesIn(own);
    await rm(own, { recursive: true });
    return { id: name, bytes };
  }
  const cache = hubCache(env);
  try {
    const given = { cache, repository, ...(hasRevision && { revision }) };
    return { id: name, bytes: await removeRepository(given) };
  } catch (error) {
    if (!LLMError.is(error) || error.code !== "model_not_found") throw error;
    // It may be in a place that others keep; if it is nowhere, that is what is told.
    throw refusal(name, `it lies in ${await findModel(name, search)}, which is not our cache`);
  }
}

function refusal(model: string, why: string): ValidationError {
  return new ValidationError(`${model} is not removed: ${why}.`, {
    provider: "mlx",
    model,
  });
}
