import { loadedNative } from "./mlx/native.js";

/** Bytes that MLX holds in this process. */
export interface MlxMemory {
  /** In use now: weights, caches and what is being computed. */
  active: number;
  /** Freed, and kept to be used again. */
  cache: number;
  /** The most that was in use at a time. */
  peak: number;
}

/**
 * What MLX holds in this process, of all clients together; undefined as long as none has needed it.
 * @example console.log(mlxMemory()?.peak);
 */
export function mlxMemory(): MlxMemory | undefined {
  return loadedNative()?.memory();
}
