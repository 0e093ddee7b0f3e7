import { untilAborted } from "../abort.js";
import { readAdapter } from "./adapter-files.js";
import { adapterError } from "./native-errors.js";
import type { NativeModel } from "./native-types.js";

/** Adapters that stay in memory beside a model; they are small, but not nothing. */
const MOST_KEPT = 8;

/** A model with one adapter or another: they share its weights. */
export class AdaptedModels {
  readonly #base: NativeModel;
  /** By folder, the one that was used last at the end. */
  readonly #kept = new Map<string, Promise<NativeModel>>();

  constructor(base: NativeModel) {
    this.#base = base;
  }

  /** The model with the adapter of a folder; an abort ends the waiting, not the loading. */
  with(folder: string, signal: AbortSignal): Promise<NativeModel> {
    const adapted = this.#kept.get(folder) ?? this.#load(folder);
    this.#kept.delete(folder);
    this.#kept.set(folder, adapted);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MOST_KEPT) this.#drop(oldest!);
    return untilAborted(adapted, signal);
  }

  /** Frees all adapters, each once nobody uses it. */
  close(): void {
    for (const folder of [...this.#kept.keys()]) this.#drop(folder);
  }

  async #load(folder: string): Promise<NativeModel> {
    try {
      return await this.#base.withAdapter(await readAdapter(folder)).model;
    } catch (error) {
      // The next call tries again: the files may have been repaired.
      this.#kept.delete(folder);
      throw adapterError(error, folder);
    }
  }

  #drop(folder: string): void {
    this.#kept.get(folder)?.then(
      (model) => model.close(),
      () => {},
    );
    this.#kept.delete(folder);
  }
}
