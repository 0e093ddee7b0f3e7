import type { TokenLogprob, TokenProbability } from "../types.js";
import type { NativeTokenBatch } from "./native-types.js";
import type { Tokenizer } from "./tokenizer.js";

/** The log-probability of one token of a batch, and its alternatives. */
export function tokenLogprob(
  batch: NativeTokenBatch,
  index: number,
  tokenizer: Tokenizer,
): TokenLogprob {
  const { tokens, logprobs, topTokens, topLogprobs } = batch;
  const alternatives: TokenProbability[] = [];
  if (topTokens && topLogprobs) {
    const count = topTokens.length / tokens.length;
    for (let place = index * count; place < (index + 1) * count; place++) {
      // What a grammar forbids is no alternative.
      if (topLogprobs[place] === -Infinity) break;
      alternatives.push(describe(topTokens[place]!, topLogprobs[place]!, tokenizer));
    }
  }
  return {
    ...describe(tokens[index]!, logprobs?.[index] ?? Number.NaN, tokenizer),
    topLogprobs: alternatives,
  };
}

function describe(tokenId: number, logprob: number, tokenizer: Tokenizer): TokenProbability {
  const bytes = tokenizer.tokenBytes(tokenId) ?? new Uint8Array();
  const token = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const probability = { token, tokenId, logprob };
  return token.includes("\uFFFD") ? { ...probability, bytes: [...bytes] } : probability;
}
