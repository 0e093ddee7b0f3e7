import { totalmem } from "node:os";
import { ModelLoadError } from "../errors.js";
import type { ModelFiles } from "./model-files.js";
import type { NativeAddon } from "./native-types.js";

/** Bytes of all weights that are in memory or on their way there. */
let reserved = 0;

/**
 * Sets memory aside for the weights of a model; throws unless they fit beside those that are there.
 * Call what it returns once the weights are freed. MLX's own count would still hold weights whose
 * freeing is on its way, and not yet those that are being read.
 */
export function reserveMemory(
  { folder, weightBytes }: Pick<ModelFiles, "folder" | "weightBytes">,
  limit: number,
): () => void {
  if (reserved + weightBytes > limit) throw tooLarge(folder, weightBytes, limit);
  reserved += weightBytes;
  let held = true;
  return () => {
    if (held) reserved -= weightBytes;
    held = false;
  };
}

/** Bytes that MLX may use on this machine. */
export function memoryLimit(addon: NativeAddon): number {
  const { maxRecommendedWorkingSetSize, memorySize } = addon.device();
  return maxRecommendedWorkingSetSize ?? memorySize ?? totalmem();
}

function tooLarge(folder: string, weightBytes: number, limit: number): ModelLoadError {
  const others = reserved > 0 ? `, of which other models hold ${gigabytes(reserved)}` : "";
  return new ModelLoadError(
    `The model in ${folder} needs ${gigabytes(weightBytes)} for its weights, but MLX may use only ${gigabytes(limit)} here${others}.`,
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

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
