import { ValidationError } from "../errors.js";
import type { CheckedRequest } from "../request.js";
import type { ModelTexts } from "./model.js";
import { encodeText, promptText } from "./prompt.js";

/** Tokens that a model would read of a request, with the chat template, the tools and the beginning of its turn. */
export async function countTokens(
  texts: ModelTexts,
  request: CheckedRequest,
  signal: AbortSignal,
): Promise<number> {
  refuse("images", hasImages(request));
  refuse("a prompt-cache file", request.providerOptions?.mlx?.promptCacheFile !== undefined);
  return (await encodeText(texts, promptText(texts, request), signal)).length;
}

function hasImages({ messages }: CheckedRequest): boolean {
  return messages.some(
    ({ content }) => typeof content !== "string" && content.some(({ type }) => type === "image"),
  );
}

function refuse(what: string, isThere: boolean): void {
  if (!isThere) return;
  throw new ValidationError(`The tokens of ${what} cannot be counted.`, {
    code: "unsupported",
    provider: "mlx",
    hint: "The usage of a reply counts them.",
  });
}
