import { stat } from "node:fs/promises";

interface Entry<T extends object> {
  /** When the files were changed, and how long they are. */
  state: string;
  making?: Promise<T> | undefined;
  /** Weak, so that what nobody uses any more takes no memory. */
  made?: WeakRef<T>;
}

/** What is made of files, once for all who use it at the same time; anew when a file has changed. */
export class SharedByFiles<T extends object> {
  readonly #entries = new Map<string, Entry<T>>();

  /** What was made of these files and is still in use, else what `make` makes of them. */
  async get(files: string[], make: () => Promise<T>): Promise<T> {
    const key = files.join("\n");
    const state = (await Promise.all(files.map(stateOf))).join("\n");
    const known = this.#entries.get(key);
    const shared = known?.state === state ? (known.making ?? known.made?.deref()) : undefined;
    if (shared) return shared;
    const entry: Entry<T> = { state };
    this.#entries.set(key, entry);
    entry.making = this.#fill(entry, make);
    return entry.making;
  }

  async #fill(entry: Entry<T>, make: () => Promise<T>): Promise<T> {
    try {
      const made = await make();
      entry.made = new WeakRef(made);
      return made;
    } finally {
      entry.making = undefined;
    }
  }
}

async function stateOf(file: string): Promise<string> {
  const stats = await stat(file).catch(() => undefined);
  return stats ? `${stats.ino} ${stats.mtimeMs} ${stats.size}` : "missing";
}
