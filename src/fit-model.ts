import { checkFit } from "./check-question.js";
import { configuredSearch } from "./configured-search.js";
import type { FitOptions } from "./mlx/model-fit.js";
import { loadNative } from "./mlx/native.js";
import type { ModelFit } from "./types.js";

export type { FitOptions } from "./mlx/model-fit.js";

/**
 * Tells what an MLX model takes in memory and how long a text fits beside it, before it is loaded.
 * Throws a `ValidationError` for a wrong option, a `ModelNotFoundError`, or a `ModelLoadError` that
 * names the file and the reason.
 * @example
 * const { fits, longestContext } = await fitModel("mlx-community/Qwen3-8B-4bit");
 */
export async function fitModel(model: string, options: FitOptions = {}): Promise<ModelFit> {
  const { model: name, ...checked } = checkFit({ ...options, model });
  // Who asks for nothing pays for nothing.
  const { fitLocalModel } = await import("./mlx/model-fit.js");
  return fitLocalModel(name, loadNative(), checked, configuredSearch());
}
