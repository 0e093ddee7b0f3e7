import { AbortError, LLMError, ModelNotFoundError, ValidationError } from "../index.js";

/**
 * An error of this package that the AI SDK's guards know too: they go by symbols that all copies
 * share, so nothing of the AI SDK needs to be loaded for it.
 */
function markAs(error: LLMError, name: string, fields: object): LLMError {
  const marks = ["vercel.ai.error", `vercel.ai.error.${name}`].map((mark) => Symbol.for(mark));
  for (const mark of marks) Object.defineProperty(error, mark, { value: true });
  for (const [field, value] of Object.entries(fields)) {
    if (!(field in error)) Object.defineProperty(error, field, { value });
  }
  return error;
}

/** A failed call as an `APICallError`, which the AI SDK does not repeat: the client has done so. */
export function callError(error: unknown): unknown {
  if (!LLMError.is(error) || AbortError.is(error)) return error;
  const { status: statusCode, url = "" } = error;
  return markAs(error, "AI_APICallError", { url, statusCode, isRetryable: false });
}

/** What a prompt must not hold, as an `UnsupportedFunctionalityError`. */
export function unsupported(functionality: string): LLMError {
  const error = new ValidationError(`The prompt is wrong: ${functionality} is not supported.`, {
    code: "unsupported",
  });
  return markAs(error, "AI_UnsupportedFunctionalityError", { functionality });
}

/** A kind of model that there is none of, as a `NoSuchModelError`. */
export function noSuchModel(modelId: string, modelType: string): LLMError {
  const error = new ModelNotFoundError(`There is no ${modelType} "${modelId}": only text models.`);
  return markAs(error, "AI_NoSuchModelError", { modelId, modelType });
}
