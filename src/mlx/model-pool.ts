import { untilAborted } from "../abort.js";
import { AbortError } from "../errors.js";
import type { LoadedModel, LoadOptions } from "./model.js";

/** Use of a loaded model; `release` must be called once it is over. */
export interface ModelLease {
  model: LoadedModel;
  release(): void;
}

/** A model as it is wanted in memory. */
export interface WantedModel extends LoadOptions {
  folder: string;
}

/** Loads a model; aborting the signal ends the loading. */
export type LoadWanted = (wanted: WantedModel, signal: AbortSignal) => Promise<LoadedModel>;

/**
 * Keeps models in memory. Each is loaded once, whoever asks. Those that somebody uses stay, and
 * the one that was asked for last, with its companion, for `idleUnload` seconds if that is told;
 * all others are freed.
 */
export class ModelPool {
  readonly #load: LoadWanted;
  readonly #entries = new Map<string, Entry>();
  #newest: string[] = [];
  #freeing: Promise<unknown> = Promise.resolve();
  #closed = false;
  readonly #idleUnload: number | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(load: LoadWanted, idleUnload?: number) {
    this.#load = load;
    this.#idleUnload = idleUnload;
  }

  /** Whether the model of a folder is in memory. */
  isLoaded(folder: string): boolean {
    return [...this.#entries.values()].some((entry) => entry.folder === folder && entry.loaded);
  }

  /** The model of a folder as far as it is in memory, only to read what it knows of texts. */
  find(folder: string): Promise<LoadedModel> | undefined {
    return [...this.#entries.values()].find((entry) => entry.folder === folder)?.model;
  }

  /**
   * A model, loaded if it was not; an abort ends the waiting, not the loading. A companion that is
   * loaded stays as long as the model does.
   */
  async acquire(
    wanted: WantedModel,
    signal: AbortSignal,
    companion?: WantedModel,
  ): Promise<ModelLease> {
    if (this.#closed) throw closedError();
    signal.throwIfAborted();
    const key = keyOf(wanted);
    this.#newest = companion ? [key, keyOf(companion)] : [key];
    this.#freeIdle();
    const entry = this.#entries.get(key) ?? this.#add(key, wanted);
    entry.users += 1;
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      entry.users -= 1;
      this.#freeIdle();
      this.#watchIdle();
    };
    try {
      return { model: await untilAborted(entry.model, signal), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Frees the model of a folder as soon as nobody uses it any more. */
  release(folder: string): void {
    this.#newest = this.#newest.filter((key) => this.#entries.get(key)?.folder !== folder);
    this.#freeIdle();
  }

  /** Frees all models and ends all loading. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#idle);
    for (const key of this.#entries.keys()) this.#free(key);
  }

  #add(key: string, wanted: WantedModel): Entry {
    // Two models at once may not fit, so what is being freed is waited for.
    const freed = this.#freeing;
    const load = (signal: AbortSignal) => freed.then(() => this.#load(wanted, signal));
    const entry = new Entry(wanted.folder, load);
    this.#entries.set(key, entry);
    // The next call tries again: the files may have been repaired.
    entry.model.catch(() => {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
    });
    return entry;
  }

  #freeIdle(): void {
    for (const [key, { users }] of this.#entries) {
      if (users === 0 && !this.#newest.includes(key)) this.#free(key);
    }
  }

  /** Begins to wait anew, as somebody has just used a model. */
  #watchIdle(): void {
    clearTimeout(this.#idle);
    if (this.#idleUnload === undefined || this.#closed) return;
    this.#idle = setTimeout(() => {
      this.#newest = this.#newest.filter((key) => this.#entries.get(key)?.users);
      this.#freeIdle();
    }, this.#idleUnload * 1000);
    // Whoever is done need not wait for that.
    this.#idle.unref();
  }

  #free(key: string): void {
    this.#freeing = Promise.all([this.#freeing, this.#entries.get(key)?.free()]);
    this.#entries.delete(key);
  }
}

/** A model that is loaded or loading. */
class Entry {
  readonly folder: string;
  readonly model: Promise<LoadedModel>;
  users = 0;
  loaded = false;
  readonly #stop = new AbortController();

  constructor(folder: string, load: (signal: AbortSignal) => Promise<LoadedModel>) {
    this.folder = folder;
    this.model = load(this.#stop.signal);
    this.model.then(
      () => {
        this.loaded = true;
      },
      () => {},
    );
  }

  /** Frees the model, or ends its loading; resolves when that is done. */
  async free(): Promise<void> {
    this.#stop.abort(closedError());
    await this.model.then(
      (model) => model.close(),
      () => {},
    );
  }
}

function closedError(): AbortError {
  return new AbortError("The model has been closed.", { code: "closed" });
}

function keyOf({ folder, quantize, distributed = false }: WantedModel): string {
  return `${quantize ?? ""}:${distributed}:${folder}`;
}
