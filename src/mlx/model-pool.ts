import type { LoadedModel } from "./model.js";

/** Use of a loaded model; `release` must be called once it is over. */
export interface ModelLease {
  model: LoadedModel;
  release(): void;
}

interface Entry {
  loading: Promise<LoadedModel>;
  users: number;
}

/**
 * Keeps models in memory. Each is loaded once, whoever asks; loading another one frees those
 * that nobody uses.
 */
export class ModelPool {
  readonly #load: (folder: string) => Promise<LoadedModel>;
  readonly #entries = new Map<string, Entry>();

  constructor(load: (folder: string) => Promise<LoadedModel>) {
    this.#load = load;
  }

  /** Folders of the models that are loaded or loading. */
  get folders(): string[] {
    return [...this.#entries.keys()];
  }

  /** The model of a folder, loaded if it was not. */
  async acquire(folder: string): Promise<ModelLease> {
    const entry = this.#entries.get(folder) ?? this.#add(folder);
    entry.users += 1;
    let held = true;
    const release = () => {
      if (held) entry.users -= 1;
      held = false;
    };
    try {
      return { model: await entry.loading, release };
    } catch (error) {
      // The next call tries again: the files may have been repaired.
      if (this.#entries.get(folder) === entry) this.#entries.delete(folder);
      throw error;
    }
  }

  /** Frees all models; those still loading are freed as soon as they are there. */
  close(): void {
    for (const folder of this.folders) this.#drop(folder);
  }

  #add(folder: string): Entry {
    for (const [other, { users }] of this.#entries) if (users === 0) this.#drop(other);
    const entry = { loading: this.#load(folder), users: 0 };
    this.#entries.set(folder, entry);
    return entry;
  }

  #drop(folder: string): void {
    const entry = this.#entries.get(folder);
    this.#entries.delete(folder);
    entry?.loading.then(
      ({ native }) => native.close(),
      () => {},
    );
  }
}
