import type { FinishReason, LLMResponse } from "../../index.js";

/** The reasons why a reply ended, in OpenAI's words. */
export const FINISH_REASONS: Record<FinishReason, string> = {
  stop: "stop",
  length: "length",
  tool_calls: "tool_calls",
  content_filter: "content_filter",
  other: "stop",
};

/** How fast a reply was, which OpenAI does not tell. */
export function timingsOf({ timings }: LLMResponse): object {
  return {
    first_token_ms: timings.firstTokenMs,
    prompt_tokens_per_second: timings.promptTokensPerSecond,
    tokens_per_second: timings.tokensPerSecond,
  };
}

/** Counts of tokens in OpenAI's words; null where the provider tells none. */
export function usageOf({ usage }: LLMResponse): object | null {
  const { promptTokens, completionTokens, cachedTokens, reasoningTokens } = usage;
  if (promptTokens === undefined && completionTokens === undefined) return null;
  return {
    prompt_tokens: promptTokens ?? 0,
    completion_tokens: completionTokens ?? 0,
    total_tokens: usage.totalTokens ?? (promptTokens ?? 0) + (completionTokens ?? 0),
    ...(cachedTokens === undefined
      ? {}
      : { prompt_tokens_details: { cached_tokens: cachedTokens } }),
    ...(reasoningTokens === undefined
      ? {}
      : { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
  };
}
