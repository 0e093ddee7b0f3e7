import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { abortedBy, abortTogether } from "../abort.js";
import { AbortError, GenerationError, ModelLoadError, ModelNotFoundError } from "../errors.js";
import { readBeginning } from "../regular-file.js";
import type { PullProgress } from "../types.js";
import { download, persist, type RetrySettings } from "./download.js";
import { hubCache, isOffline, readHubAddress } from "./environment.js";
import { cacheError, checkSpace } from "./file-errors.js";
import { HubConnection, type HubLimits } from "./hub-connection.js";
import { type HubFile, type Listing, listRepository } from "./listing.js";
import { type Lock, tryLock } from "./lock.js";
import { RepositoryCache } from "./repository-cache.js";
import { parseRepositoryName, type RepositoryName } from "./repository-name.js";
import { INDEX, indexOf, wantedFiles } from "./wanted-files.js";

/** How patient and how persistent a download is. */
export interface PullSettings extends HubLimits, RetrySettings {}

/** What is to be downloaded. */
export interface PullRequest {
  /** `org/name` or `org/name@revision`. */
  model: string;
  /** A GGUF file of it, instead of other weights. */
  file?: string;
  /** Only look whether it is there. */
  offline?: boolean;
  signal: AbortSignal;
  env?: NodeJS.ProcessEnv;
}

/** How patient and persistent a download is unless somebody tells. */
export const PULL_DEFAULTS: PullSettings = {
  connectTimeout: 3,
  timeout: 30,
  maxRetries: 3,
  retryDelay: 1,
  retryMaxDelay: 10,
  retryExponentialBase: 2,
};

const MOST_AT_A_TIME = 4;
const REPORT_MS = 200;
const WAIT_MS = 1000;
const ONLINE = "Pull it without --offline, and without HF_HUB_OFFLINE.";
const LARGEST_INDEX = 256 * 1024 * 1024;

/**
 * Downloads the files that a model needs into the Hugging Face cache and tells how far it has come.
 * The model appears there when all is there; leaving the loop keeps what has come for the next time.
 */
export async function* pullFromHub(
  request: PullRequest,
  settings: PullSettings,
): AsyncGenerator<PullProgress> {
  const { env = process.env, signal } = request;
  const name = parseRepositoryName(request.model);
  const cache = new RepositoryCache(hubCache(env), name.repository);
  if (request.offline || isOffline(env)) {
    yield await findOffline(name, cache, request.file);
    return;
  }
  const connection = new HubConnection(await readHubAddress(env), settings);
  try {
    yield* new Pull(connection, cache, name, settings).run(request);
  } catch (error) {
    throw signal.aborted ? abortedBy(signal) : cacheError(error, cache.cache);
  } finally {
    await connection.close();
  }
}

/** One download of one model. */
class Pull {
  readonly #connection: HubConnection;
  readonly #cache: RepositoryCache;
  readonly #name: RepositoryName;
  readonly #settings: PullSettings;
  readonly #work = new AbortController();
  /** What of each file has come since that was last told. */
  readonly #news = new Map<HubFile, number>();
  #fetching: Promise<unknown> = Promise.resolve();

  constructor(
    connection: HubConnection,
    cache: RepositoryCache,
    name: RepositoryName,
    settings: PullSettings,
  ) {
    this.#connection = connection;
    this.#cache = cache;
    this.#name = name;
    this.#settings = settings;
  }

  async *run({ file, signal }: PullRequest): AsyncGenerator<PullProgress> {
    const unlink = abortTogether(this.#work, signal);
    let lock: Lock | undefined;
    try {
      yield { status: `looking up ${this.#name.repository}` };
      const listing = await this.#list();
      await this.#cache.prepareLock();
      lock = yield* this.#lock();
      await this.#cache.prepare();
      const files = await this.#choose(listing, file);
      yield* this.#fetchAll(await this.#missing(files), listing);
      yield await this.#finish(files, listing);
    } finally {
      unlink();
      this.#work.abort(new AbortError("The download was left."));
      await this.#fetching;
      if (lock) await this.#cache.tidy();
      await lock?.release();
    }
  }

  #list(): Promise<Listing> {
    const { signal } = this.#work;
    const work = () => listRepository(this.#connection, this.#name, signal);
    return persist(this.#settings, signal, () => 0, work);
  }

  async *#lock(): AsyncGenerator<PullProgress, Lock> {
    for (;;) {
      const lock = await tryLock(this.#cache.lockFile, () => this.#work.abort(lostLock()));
      if ("release" in lock) return lock;
      yield { status: `waiting for process ${lock.pid} on ${lock.host}, which is downloading it` };
      await sleep(WAIT_MS, undefined, { signal: this.#work.signal });
    }
  }

  /** Which shards there are is told by the index, so that comes first. */
  async #choose(listing: Listing, chosen: string | undefined): Promise<HubFile[]> {
    const { files } = listing;
    const [index] = chosen === undefined ? indexOf(files) : [];
    const text = index && (await this.#read(index, listing));
    return wantedFiles(this.#name.repository, files, text, chosen);
  }

  async #read(index: HubFile, listing: Listing): Promise<string> {
    if (index.size > LARGEST_INDEX) return "";
    if (!(await this.#cache.has(index))) await this.#fetch(index, listing);
    return readFile(this.#cache.blob(index), "utf8");
  }

  /** Of several files with the same content one. */
  async #missing(files: HubFile[]): Promise<HubFile[]> {
    const contents = [...new Map(files.map((file) => [file.hash, file])).values()];
    const isThere = await Promise.all(contents.map((file) => this.#cache.has(file)));
    const missing = contents.filter((_, index) => !isThere[index]);
    const kept = await Promise.all(missing.map((file) => this.#cache.partialSize(file)));
    const bytes = missing.reduce((sum, { size }, index) => sum + size - kept[index]!, 0);
    await checkSpace(this.#cache.folder, bytes);
    missing.forEach((file, index) => {
      this.#news.set(file, kept[index]!);
    });
    return missing;
  }

  /** Downloads a few files at a time, the small ones first. */
  async *#fetchAll(missing: HubFile[], listing: Listing): AsyncGenerator<PullProgress> {
    const queue = missing.toSorted((one, other) => one.size - other.size);
    let failure: { error: unknown } | undefined;
    const workOff = async () => {
      try {
        for (let file = queue.shift(); file; file = queue.shift()) await this.#fetch(file, listing);
      } catch (error) {
        failure ??= { error };
        this.#work.abort(error);
      }
    };
    let isDone = false;
    const fetching = Promise.all(Array.from({ length: MOST_AT_A_TIME }, workOff)).then(() => {
      isDone = true;
    });
    this.#fetching = fetching;
    yield* this.#tellNews();
    while (!isDone) {
      await Promise.race([fetching, sleep(REPORT_MS)]);
      yield* this.#tellNews();
    }
    if (failure) throw failure.error;
  }

  *#tellNews(): Generator<PullProgress> {
    for (const [file, completed] of this.#news) {
      const { path, size: total, hash, hashKind } = file;
      yield { status: `downloading ${path}`, digest: `${hashKind}:${hash}`, total, completed };
    }
    this.#news.clear();
  }

  #fetch(file: HubFile, { commit }: Listing): Promise<void> {
    const { repository, revision } = this.#name;
    const { endpoint, token } = this.#connection.address;
    const path = file.path.split("/").map(encodeURIComponent).join("/");
    return download(this.#connection, this.#settings, {
      file,
      url: new URL(`${endpoint}/${repository}/resolve/${commit}/${path}`),
      question: { repository, revision, endpoint, token, file: file.path },
      partial: this.#cache.partial(file),
      target: this.#cache.blob(file),
      signal: this.#work.signal,
      onProgress: (bytes) => this.#news.set(file, bytes),
    });
  }

  /** Only now the model can be found, its config.json last. */
  async #finish(files: HubFile[], { commit }: Listing): Promise<PullProgress> {
    const isConfig = ({ path }: HubFile) => Number(path === "config.json");
    for (const file of files.toSorted((one, other) => isConfig(one) - isConfig(other))) {
      await this.#cache.link(commit, file);
    }
    await this.#cache.setRef(this.#name.revision, commit);
    return { status: "success", path: this.#cache.snapshot(commit) };
  }
}

/** Looks whether all is there, without asking anybody. */
async function findOffline(
  { repository, revision }: RepositoryName,
  cache: RepositoryCache,
  chosen: string | undefined,
): Promise<PullProgress> {
  const commit = await cache.commitOf(revision);
  const path = commit && cache.snapshot(commit);
  const files = commit === undefined ? [] : await cache.filesOf(commit);
  const isChosenThere = chosen === undefined || files.some((file) => file.path === chosen);
  if (path === undefined || files.length === 0 || !isChosenThere) {
    const what = files.length === 0 ? repository : `${chosen} of ${repository}`;
    throw new ModelNotFoundError(`${what} is not in ${cache.cache}, and this is offline.`, {
      provider: "mlx",
      model: repository,
      url: cache.cache,
      hint: ONLINE,
    });
  }
  const [index] = chosen === undefined ? indexOf(files) : [];
  const text = index && (await readBeginning(join(path, INDEX), LARGEST_INDEX));
  try {
    wantedFiles(repository, files, text, chosen);
  } catch (error) {
    // What the Hub has is not known here: a part may not have been downloaded.
    throw ModelLoadError.is(error) ? error.with({ hint: ONLINE }) : error;
  }
  return { status: "success", path };
}

function lostLock(): GenerationError {
  return new GenerationError("Another process has taken over this download.", {
    provider: "mlx",
    code: "pull_failed",
    hint: "Pull it again: what has been downloaded is kept.",
  });
}
