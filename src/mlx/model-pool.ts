import { untilAborted } from "../abort.js";
import { AbortError } from "../errors.js";
import type { LoadedModel } from "./model.js";

/** Use of a loaded model; `release` must be called once it is over. */
export interface ModelLease {
  model: LoadedModel;
  release(): void;
}

/** Loads the model of a folder; aborting the signal ends the loading. */
export type LoadFolder = (folder: string, signal: AbortSignal) => Promise<LoadedModel>;

/**
 * Keeps models in memory. Each is loaded once, whoever asks. Those that somebody uses stay, and
 * the one that was asked for last; all others are freed.
 */
export class ModelPool {
  readonly #load: LoadFolder;
  readonly #entries = new Map<string, Entry>();
  #newest: string | undefined;
  #freeing: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(load: LoadFolder) {
    this.#load = load;
  }

  /** Whether the model of a folder is in memory. */
  isLoaded(folder: string): boolean {
    return this.#entries.get(folder)?.loaded === true;
  }

  /** The model of a folder, loaded if it was not; an abort ends the waiting, not the loading. */
  async acquire(folder: string, signal: AbortSignal): Promise<ModelLease> {
    if (this.#closed) throw closedError();
    signal.throwIfAborted();
    this.#newest = folder;
    this.#freeIdle();
    const entry = this.#entries.get(folder) ?? this.#add(folder);
    entry.users += 1;
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      entry.users -= 1;
      this.#freeIdle();
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
    if (this.#newest === folder) this.#newest = undefined;
    this.#freeIdle();
  }

  /** Frees all models and ends all loading. */
  close(): void {
    this.#closed = true;
    for (const folder of this.#entries.keys()) this.#free(folder);
  }

  #add(folder: string): Entry {
    // Two models at once may not fit, so what is being freed is waited for.
    const freed = this.#freeing;
    const entry = new Entry((signal) => freed.then(() => this.#load(folder, signal)));
    this.#entries.set(folder, entry);
    // The next call tries again: the files may have been repaired.
    entry.model.catch(() => {
      if (this.#entries.get(folder) === entry) this.#entries.delete(folder);
    });
    return entry;
  }

  #freeIdle(): void {
    for (const [folder, { users }] of this.#entries) {
      if (users === 0 && folder !== this.#newest) this.#free(folder);
    }
  }

  #free(folder: string): void {
    this.#freeing = Promise.all([this.#freeing, this.#entries.get(folder)?.free()]);
    this.#entries.delete(folder);
  }
}

/** A model that is loaded or loading. */
class Entry {
  readonly model: Promise<LoadedModel>;
  users = 0;
  loaded = false;
  readonly #stop = new AbortController();

  constructor(load: (signal: AbortSignal) => Promise<LoadedModel>) {
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
