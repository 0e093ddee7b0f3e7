import { totalmem } from "node:os";
import { ModelLoadError } from "../errors.js";
import type { NativeAddon, NativeDevice } from "./native-types.js";

/** What is computed in passing, such as a chunk of a prompt, needs a part of the memory, too. */
const SHARE_OF_MODELS = 0.95;

/** What a model needs before it can say anything. */
export interface Need {
  folder: string;
  weightBytes: number;
  /** Of the shortest text. */
  cacheBytes: number;
}

/** Bytes of all models that are in memory or on their way there. */
let reserved = 0;

/**
 * Sets memory aside for a model; throws unless it fits beside those that are there. Call what it
 * returns once the model is freed. MLX's own count would still hold weights whose freeing is on its
 * way, and not yet those that are being read.
 */
export function reserveMemory(need: Need, limit: number): () => void {
  const bytes = need.weightBytes + need.cacheBytes;
  if (reserved + bytes > limit) throw tooLarge(need, limit);
  reserved += bytes;
  let held = true;
  return () => {
    if (held) reserved -= bytes;
    held = false;
  };
}

/** Bytes that models may take on this machine. */
export function memoryLimit(addon: NativeAddon): number {
  return memoryLimitOf(addon.device());
}

/** The same, for a device that is known already. */
export function memoryLimitOf(device: NativeDevice): number {
  const { maxRecommendedWorkingSetSize, memorySize } = device;
  const most = maxRecommendedWorkingSetSize ?? memorySize ?? totalmem();
  return Math.floor(most * SHARE_OF_MODELS);
}

function tooLarge({ folder, weightBytes, cacheBytes }: Need, limit: number): ModelLoadError {
  const others = reserved > 0 ? `, of which other models hold ${gigabytes(reserved)}` : "";
  return new ModelLoadError(
    `The model in ${folder} needs ${gigabytes(weightBytes)} for its weights and ${gigabytes(cacheBytes)} for a short text, but models may take only ${gigabytes(limit)} here${others}.`,
    {
      code: "insufficient_memory",
      url: folder,
      hint:
        reserved > 0
          ? "Wait until the other models are no longer used, or close their clients."
          : "Use a smaller or more quantized model.",
    },
  );
}

/** A size as people read it. */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
