import { lstat, rm } from "node:fs/promises";
import { join, sep } from "node:path";
import { GenerationError, LLMError, ValidationError } from "../errors.js";
import { hubCache } from "../hub/environment.js";
import { bytesIn, removeRepository } from "../hub/removal.js";
import { parseRepositoryName } from "../hub/repository-name.js";
import type { RemovedModel } from "../types.js";
import { DEMO, looksLikePath, type ModelSearch } from "./model-names.js";
import { findModel, modelIn, ownCache } from "./model-places.js";

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
  const cache = hubCache(env);
  const caches = [ownCache(env), cache];
  // A name must not mean one model where it is used and another one here.
  const used = await findModel(name, search).catch(() => undefined);
  if (used !== undefined && !caches.some((place) => used.startsWith(join(place, sep)))) {
    throw refusal(name, `it lies in ${used}, which is not our cache`);
  }
  const own = join(ownCache(env), repository);
  const isOwn = !hasRevision && (await isOwnModel(own, repository));
  const given = { cache, repository, ...(hasRevision && { revision }) };
  try {
    return { id: name, bytes: await (isOwn ? removeFolder(own) : removeRepository(given)) };
  } catch (error) {
    throw LLMError.is(error) ? error : notRemoved(name, error as Error);
  }
}

async function removeFolder(folder: string): Promise<number> {
  const bytes = await bytesIn(folder);
  await rm(folder, { recursive: true });
  return bytes;
}

/** Of a name without an organisation it is not enough that the folder is there: it may be one. */
async function isOwnModel(folder: string, repository: string): Promise<boolean> {
  const stats = await lstat(folder).catch(() => undefined);
  if (!stats?.isDirectory()) return false;
  return repository.includes("/") || (await modelIn(folder)) !== undefined;
}

function refusal(model: string, why: string): ValidationError {
  return new ValidationError(`${model} is not removed: ${why}.`, {
    provider: "mlx",
    model,
    hint: "Models of the Hugging Face cache and of our own are removed, by their names.",
  });
}

function notRemoved(model: string, cause: Error): GenerationError {
  return new GenerationError(`${model} cannot be removed: ${cause.message}.`, {
    provider: "mlx",
    model,
    code: "not_removed",
    hint: "This user must be allowed to write in the cache.",
    cause,
  });
}
