import { ValidationError } from "../errors.js";
import type { CheckedRequest } from "../request.js";
import type { MlxOptions } from "../types.js";
import type { LoadedModel } from "./model.js";
import type { NativePromptLookup, NativeSampling } from "./native-types.js";

/**
 * Translates the sampling options of a request for the addon. Where the request is silent, `top_p`,
 * `top_k` and `min_p` of generation_config.json hold.
 */
export function toNativeSampling(
  request: CheckedRequest,
  { files, native, tokenizer, stopTokens }: LoadedModel,
  maxTokens: number,
): NativeSampling {
  const { generationConfig } = files;
  const { vocabSize } = native;
  const mlx = request.providerOptions?.mlx ?? {};
  const topK = request.topK ?? within(generationConfig.top_k, 1, Number.MAX_SAFE_INTEGER);
  return {
    maxTokens,
    stopTokens,
    temperature: request.temperature,
    topP: request.topP ?? within(generationConfig.top_p, 1e-6, 1),
    topK: topK === undefined ? undefined : Math.min(topK, vocabSize),
    minP: request.minP ?? within(generationConfig.min_p, 0, 1),
    xtcProbability: mlx.xtcProbability,
    xtcThreshold: mlx.xtcThreshold,
    // As mlx-lm does: a line break or an end that XTC left out would derail the reply.
    xtcSpecialTokens: mlx.xtcProbability
      ? [...tokenizer.encode("\n", { addSpecialTokens: false }), ...stopTokens]
      : undefined,
    repetitionPenalty: request.repetitionPenalty,
    presencePenalty: request.presencePenalty,
    frequencyPenalty: request.frequencyPenalty,
    repetitionContextSize: mlx.repetitionContextSize,
    penaltyContextSize: mlx.penaltyContextSize,
    logitBias: biasPairs(request.logitBias, vocabSize),
    seed: request.seed,
    // Asking for alternatives asks for the probabilities too.
    logprobs: request.logprobs === true || request.topLogprobs !== undefined,
    topLogprobs: Math.min(request.topLogprobs ?? 0, vocabSize),
    promptCache: mlx.promptCache,
    promptLookup: promptLookupOf(mlx),
    mtp: mlx.mtp === false ? undefined : {},
    numDraftTokens: mlx.numDraftTokens,
  };
}

function promptLookupOf(mlx: MlxOptions): NativePromptLookup | undefined {
  const { promptLookup = true, draftModel, maxKvSize } = mlx;
  // Reading several tokens at once would forget others than reading them one by one.
  if (maxKvSize !== undefined && (draftModel !== undefined || typeof promptLookup === "object")) {
    const name = draftModel === undefined ? "promptLookup" : "draftModel";
    throw new ValidationError(`maxKvSize cannot be combined with ${name}.`);
  }
  if (promptLookup === false || maxKvSize !== undefined) return undefined;
  // Whoever says how to look up wants it wherever something came before.
  return promptLookup === true ? {} : { ...promptLookup, always: true };
}

// A checkpoint may hold anything here; what makes no sense is as good as absent.
function within(value: unknown, min: number, max: number): number | undefined {
  return typeof value === "number" && value >= min && value <= max ? value : undefined;
}

function biasPairs(
  bias: Record<number, number> | undefined,
  vocabSize: number,
): [number, number][] | undefined {
  if (bias === undefined) return undefined;
  const pairs = Object.entries(bias).map(([token, value]): [number, number] => [
    Number(token),
    value,
  ]);
  const unknown = pairs.find(([token]) => token >= vocabSize);
  if (unknown) {
    throw new ValidationError(
      `logitBias names token ${unknown[0]}, but the model has only ${vocabSize} tokens.`,
    );
  }
  return pairs;
}
