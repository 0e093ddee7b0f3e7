import { checkConversion } from "./check-question.js";
import { configuredSearch } from "./configured-search.js";
import type { ConvertedModel, ConvertOptions } from "./mlx/convert-model.js";
import { loadNative } from "./mlx/native.js";

export type { ConvertedModel, ConvertOptions } from "./mlx/convert-model.js";

/** Which model is converted, into which folder, and how. */
export interface Conversion extends ConvertOptions {
  /** `org/name`, `demo` or a folder. */
  model: string;
  /** A new folder. */
  folder: string;
}

/**
 * Writes a model as a folder in MLX format, quantized if that is asked for; mlx-lm reads it as well.
 * Throws a `ValidationError` for a wrong option, a `ConfigurationError` where the folder is in use
 * or options contradict each other, a `ModelNotFoundError`, a `ModelLoadError` that names the file
 * and the reason, or a `GenerationError` where the folder cannot be written.
 * @example
 * await convertModel({ model: "Qwen/Qwen3-0.6B", folder: "./qwen3-4bit", quantize: 4 });
 */
export async function convertModel(conversion: Conversion): Promise<ConvertedModel> {
  const { model, folder, ...options } = checkConversion({ ...conversion });
  // Who converts nothing pays for nothing.
  const { convertLocalModel } = await import("./mlx/convert-model.js");
  return convertLocalModel(model, folder, loadNative(), options, configuredSearch());
}
