import { lstat, readdir, readFile, readlink, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { GenerationError, ModelNotFoundError } from "../errors.js";
import { tryLock } from "./lock.js";
import { RepositoryCache } from "./repository-cache.js";

/** A model in the Hugging Face cache that is to be removed. */
export interface Removal {
  cache: string;
  repository: string;
  /** Only this revision; contents that others use too stay. */
  revision?: string;
}

/**
 * Removes a repository, or one of its revisions, from the Hugging Face cache; gives the bytes that
 * became free. Links are removed, never what they lead to.
 */
export async function removeRepository({ cache, repository, revision }: Removal): Promise<number> {
  const repo = new RepositoryCache(cache, repository);
  const stats = await lstat(repo.folder).catch(() => undefined);
  if (!stats) throw notThere(repository, cache);
  if (!stats.isDirectory()) {
    throw refusal(`${repo.folder} is a link`, "Remove it, and what it leads to, yourself.");
  }
  await repo.prepareLock();
  const lock = await tryLock(repo.lockFile, () => {});
  if (!("release" in lock)) {
    throw refusal(`${repository} is being downloaded by process ${lock.pid} on ${lock.host}`);
  }
  try {
    const before = await bytesIn(repo.folder);
    if (revision === undefined) await rm(repo.folder, { recursive: true });
    else await removeRevision(repo, repository, revision);
    return before - (await bytesIn(repo.folder));
  } finally {
    await lock.release();
  }
}

async function removeRevision(
  repo: RepositoryCache,
  repository: string,
  revision: string,
): Promise<void> {
  const commit = await repo.commitOf(revision);
  const snapshots = await readdir(join(repo.folder, "snapshots")).catch(() => [] as string[]);
  if (commit === undefined || !snapshots.includes(commit)) {
    throw notThere(`${repository}@${revision}`, repo.cache);
  }
  const others = snapshots.filter((name) => name !== commit);
  if (others.length === 0) return rm(repo.folder, { recursive: true });
  const used = new Set(
    (await Promise.all(others.map((name) => blobsOf(repo.snapshot(name))))).flat(),
  );
  const own = (await blobsOf(repo.snapshot(commit))).filter((blob) => !used.has(blob));
  await rm(repo.snapshot(commit), { recursive: true });
  for (const blob of own) await rm(join(repo.folder, "blobs", blob), { force: true });
  for (const file of await filesIn(join(repo.folder, "refs"))) {
    if ((await readFile(file, "utf8")).trim() === commit) await rm(file);
  }
}

/** The names of the contents that a snapshot links to. */
async function blobsOf(snapshot: string): Promise<string[]> {
  const links = (await filesIn(snapshot)).map((file) => readlink(file).catch(() => ""));
  const targets = (await Promise.all(links)).filter((target) => /(^|\/)blobs\/[^/]+$/.test(target));
  return targets.map((target) => basename(target));
}

async function filesIn(folder: string): Promise<string[]> {
  const options = { recursive: true, withFileTypes: true } as const;
  const entries = await readdir(folder, options).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Bytes of all files that are in no other folder too. */
export async function bytesIn(folder: string): Promise<number> {
  const all = await Promise.all((await filesIn(folder)).map((file) => lstat(file)));
  return all
    .filter((stats) => stats.isFile() && stats.nlink === 1)
    .reduce((sum, { size }) => sum + size, 0);
}

function notThere(model: string, cache: string): ModelNotFoundError {
  return new ModelNotFoundError(`${model} is not in ${cache}.`, {
    provider: "mlx",
    model,
    url: cache,
    hint: '"llm-client models" lists the models on this machine.',
  });
}

function refusal(what: string, hint?: string): GenerationError {
  return new GenerationError(`${what}, so it was not removed.`, {
    provider: "mlx",
    code: "not_removed",
    hint,
  });
}
