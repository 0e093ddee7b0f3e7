import { GenerationError, LLMError, ModelLoadError, ValidationError } from "../errors.js";
import type { NativeErrorCode } from "./native-types.js";

const LOAD_CODES: Partial<Record<NativeErrorCode, string>> = {
  unknown_model_type: "unsupported_model_type",
  bad_config: "bad_config",
  missing_tensor: "bad_weights",
  unused_tensor: "bad_weights",
  tensor_shape: "bad_weights",
  out_of_memory: "insufficient_memory",
  cannot_shard: "cannot_shard",
  peer_lost: "peer_lost",
  peer_mismatch: "peer_mismatch",
};

const PEER_HINTS = {
  peer_lost: "Start all processes that share the model again.",
  peer_mismatch: "All processes that share a model must make the same calls in the same order.",
};

const GENERATION_HINTS: Partial<Record<NativeErrorCode, string>> = {
  ...PEER_HINTS,
  grammar_failed: "Make the schema or grammar simpler, or use another provider.",
  out_of_memory: "Give a shorter prompt or fewer maxTokens, or use a smaller model.",
};

const LOAD_HINTS: Record<string, string> = {
  ...PEER_HINTS,
  cannot_shard: "Start another number of processes, or choose another model.",
  unsupported_model_type: '"llm-client models" tells which of your models can be used.',
  bad_config: "Download the model again, or choose another one.",
  bad_weights: "The download may be incomplete: download the model again, or choose another one.",
  insufficient_memory: "Use a smaller or more quantized model.",
};

/** The typed error for what the addon threw while loading a model. */
export function loadError(error: unknown, folder: string): LLMError {
  if (LLMError.is(error)) return error;
  const code = LOAD_CODES[nativeCode(error) ?? "mlx_error"];
  return new ModelLoadError(`The model in ${folder} does not load: ${messageOf(error)}`, {
    code,
    url: folder,
    hint: code && LOAD_HINTS[code],
    cause: error,
  });
}

/** The typed error for what the addon threw while loading an adapter. */
export function adapterError(error: unknown, folder: string): LLMError {
  if (LLMError.is(error)) return error;
  const isFull = nativeCode(error) === "out_of_memory";
  return new ModelLoadError(`The adapter in ${folder} does not load: ${messageOf(error)}.`, {
    code: isFull ? "insufficient_memory" : "bad_adapter",
    url: folder,
    hint: isFull ? undefined : "Was it made for this model? Choose one that was.",
    cause: error,
  });
}

/** The typed error for what went wrong while generating. */
export function generationError(error: unknown): LLMError {
  if (LLMError.is(error)) return error;
  if (nativeCode(error) === "invalid_argument") {
    return new ValidationError(`The request is wrong: ${messageOf(error)}.`, { cause: error });
  }
  if (nativeCode(error) === "prompt_cache_mismatch") {
    const message = `The prompt-cache file does not fit this model: ${messageOf(error)}.`;
    const hint = "Use it with the model, and the way to quantize it, that it was written with.";
    return new ValidationError(message, { code: "prompt_cache_mismatch", hint, cause: error });
  }
  if (nativeCode(error)?.startsWith("unsupported_")) {
    return new ValidationError(`This model cannot do that: ${messageOf(error)}.`, {
      code: "unsupported",
      cause: error,
    });
  }
  const hint = GENERATION_HINTS[nativeCode(error) ?? "mlx_error"];
  const code = hint && nativeCode(error);
  const message = `Generating failed: ${messageOf(error)}`;
  return new GenerationError(message, { code, hint, cause: error });
}

// By shape, because the error may come from another realm than this module.
function nativeCode(error: unknown): NativeErrorCode | undefined {
  return (error as { code?: NativeErrorCode } | undefined)?.code;
}

function messageOf(error: unknown): string {
  return (error as Error | undefined)?.message ?? String(error);
}
