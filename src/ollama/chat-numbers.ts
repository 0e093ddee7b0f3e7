import { countOf, type Fields, listOf, textOf } from "../fields.js";
import type { Timings, TokenLogprob, TokenProbability, Usage } from "../types.js";

/** Replies of fewer tokens tell nothing about the speed. */
const FEWEST_TIMED = 8;
const NANOSECONDS = 1e9;

/** The token counts in the last line of a reply. */
export function toUsage(chunk: Fields): Usage {
  const promptTokens = countOf(chunk.prompt_eval_count);
  const completionTokens = countOf(chunk.eval_count);
  const isWhole = promptTokens !== undefined && completionTokens !== undefined;
  const totalTokens = isWhole ? promptTokens + completionTokens : undefined;
  return { promptTokens, completionTokens, totalTokens };
}

/** The speeds, by Ollama's own clock but for the first token. */
export function timingsOf(
  chunk: Fields,
  firstContentAt: number | undefined,
  startedAt: number,
): Timings {
  const tokens = countOf(chunk.eval_count) ?? 0;
  return {
    firstTokenMs: firstContentAt && firstContentAt - startedAt,
    promptTokensPerSecond: perSecond(chunk.prompt_eval_count, chunk.prompt_eval_duration),
    tokensPerSecond: tokens < FEWEST_TIMED ? undefined : perSecond(tokens, chunk.eval_duration),
  };
}

/** A token of `logprobs` with its alternatives. */
export function toTokenLogprob(entry: Fields): TokenLogprob {
  return {
    ...toTokenProbability(entry),
    topLogprobs: listOf(entry.top_logprobs).map(toTokenProbability),
  };
}

function toTokenProbability({ token, logprob, bytes }: Fields): TokenProbability {
  const probability = { token: textOf(token) ?? "", logprob: Number(logprob) };
  // Bytes that are no whole text come with a token that only stands for them.
  if (!probability.token.includes("\uFFFD") || !Array.isArray(bytes)) return probability;
  const isSpelt = Buffer.from(probability.token).equals(Buffer.from(bytes));
  return isSpelt ? probability : { ...probability, bytes: bytes.map(Number) };
}

function perSecond(count: unknown, nanoseconds: unknown): number | undefined {
  const known = countOf(count);
  const duration = countOf(nanoseconds);
  return known && duration ? known / (duration / NANOSECONDS) : undefined;
}
