import { countOf, type Fields, fieldsOf, listOf } from "../fields.js";
import type { Timings, TokenLogprob, TokenProbability, Usage } from "../types.js";

/** Replies of fewer tokens tell nothing about the speed. */
const FEWEST_TIMED = 8;

/** The token counts of a reply. */
export function toUsage(usage: Fields): Usage {
  return {
    promptTokens: countOf(usage.prompt_tokens),
    completionTokens: countOf(usage.completion_tokens),
    totalTokens: countOf(usage.total_tokens),
    cachedTokens: countOf(fieldsOf(usage.prompt_tokens_details).cached_tokens),
    reasoningTokens: countOf(fieldsOf(usage.completion_tokens_details).reasoning_tokens),
  };
}

/** When the content of a reply came, in milliseconds of one clock. */
export interface ReplyTimes {
  startedAt: number;
  firstContentAt: number | undefined;
  lastContentAt: number;
  tokens: number | undefined;
}

/**
 * The speeds of a reply as they were seen from here. How fast the prompt was read cannot be told:
 * loading the model may have taken part of that time.
 */
export function timingsOf({
  startedAt,
  firstContentAt,
  lastContentAt,
  tokens = 0,
}: ReplyTimes): Timings {
  if (firstContentAt === undefined) return {};
  const firstTokenMs = firstContentAt - startedAt;
  const decodeMs = lastContentAt - firstContentAt;
  if (tokens < FEWEST_TIMED || decodeMs <= 0) return { firstTokenMs };
  return { firstTokenMs, tokensPerSecond: ((tokens - 1) / decodeMs) * 1000 };
}

/** A token of `logprobs.content` with its alternatives. */
export function toTokenLogprob(entry: Fields): TokenLogprob {
  return {
    ...toTokenProbability(entry),
    topLogprobs: listOf(entry.top_logprobs).map(toTokenProbability),
  };
}

function toTokenProbability({ token, id, logprob, bytes }: Fields): TokenProbability {
  const probability = { token: typeof token === "string" ? token : "", logprob: Number(logprob) };
  const isPartial = Array.isArray(bytes) && !isWhole(Buffer.from(bytes), probability.token);
  return {
    ...probability,
    ...(countOf(id) !== undefined && { tokenId: countOf(id) }),
    ...(isPartial && { bytes: bytes.map(Number) }),
  };
}

function isWhole(bytes: Buffer, token: string): boolean {
  return !token.includes("\uFFFD") && bytes.toString() === token;
}
