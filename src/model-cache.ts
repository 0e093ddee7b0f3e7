import type { ModelInfo } from "./types.js";

/** For how many seconds a failure is kept, so that a dead server is not asked at every turn. */
const FAILURE_TTL = 2;

/** Remembers a list of models for a while; those who ask at the same time share one look-up. */
export class ModelCache {
  readonly #lookUp: () => Promise<ModelInfo[]>;
  readonly #ttlMs: number;
  #entry: { models: Promise<ModelInfo[]>; until: number } | undefined;

  /** `ttl` is in seconds; 0 keeps nothing once the look-up is done. */
  constructor(lookUp: () => Promise<ModelInfo[]>, ttl: number) {
    this.#lookUp = lookUp;
    this.#ttlMs = ttl * 1000;
  }

  async get({ useCache = true }: { useCache?: boolean } = {}): Promise<ModelInfo[]> {
    if (!useCache || !this.#entry || performance.now() >= this.#entry.until) this.#refresh();
    const models = await this.#entry!.models;
    // Copies, because the list belongs to its caller.
    return structuredClone(models);
  }

  clear(): void {
    this.#entry = undefined;
  }

  #refresh(): void {
    const entry = { models: this.#lookUp(), until: Number.POSITIVE_INFINITY };
    this.#entry = entry;
    entry.models.then(
      () => {
        entry.until = performance.now() + this.#ttlMs;
      },
      () => {
        entry.until = performance.now() + Math.min(this.#ttlMs, FAILURE_TTL * 1000);
      },
    );
  }
}
