import { untilAborted } from "../abort.js";
import { readAdapter } from "./adapter-files.js";
import { adapterError } from "./native-errors.js";
import type { NativeModel } from "./native-types.js";

/** Adapters that stay in memory beside a model; they are small, but not nothing. */
const MOST_KEPT = 8;

/** Use of a model with an adapter; `release` must be called once it is over. */
export interface AdaptedLease {
  native: NativeModel;
  release(): void;
}

/** A model with one adapter or another: they share its weights. */
export class AdaptedModels {
  readonly #base: NativeModel;
  /** By folder, the one that was used last at the end. */
  readonly #kept = new Map<string, Adapted>();

  constructor(base: NativeModel) {
    this.#base = base;
  }

  /** The model with the adapter of a folder; an abort ends the waiting, not the loading. */
  async with(folder: string, signal: AbortSignal): Promise<AdaptedLease> {
    const adapted = this.#kept.get(folder) ?? this.#add(folder);
    this.#kept.delete(folder);
    this.#kept.set(folder, adapted);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MOST_KEPT) this.#drop(oldest!);
    const release = adapted.use();
    try {
      return { native: await untilAborted(adapted.model, signal), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Frees all adapters, each once nobody uses it. */
  close(): void {
    for (const folder of [...this.#kept.keys()]) this.#drop(folder);
  }

  #add(folder: string): Adapted {
    const adapted = new Adapted(this.#load(folder));
    // The next call tries again: the files may have been repaired.
    adapted.model.catch(() => {
      if (this.#kept.get(folder) === adapted) this.#kept.delete(folder);
    });
    return adapted;
  }

  async #load(folder: string): Promise<NativeModel> {
    try {
      return await this.#base.withAdapter(await readAdapter(folder)).model;
    } catch (error) {
      throw adapterError(error, folder);
    }
  }

  #drop(folder: string): void {
    this.#kept.get(folder)?.drop();
    this.#kept.delete(folder);
  }
}

/** A model with an adapter, loaded or loading; it is freed when it was dropped and nobody uses it. */
class Adapted {
  readonly model: Promise<NativeModel>;
  #users = 0;
  #isDropped = false;

  constructor(model: Promise<NativeModel>) {
    this.model = model;
  }

  use(): () => void {
    this.#users += 1;
    let held = true;
    return () => {
      if (held) this.#users -= 1;
      held = false;
      this.#freeIdle();
    };
  }

  drop(): void {
    this.#isDropped = true;
    this.#freeIdle();
  }

  #freeIdle(): void {
    if (!this.#isDropped || this.#users > 0) return;
    this.model.then(
      (model) => model.close(),
      () => {},
    );
  }
}
