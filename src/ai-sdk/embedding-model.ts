import type {
  EmbeddingModelV3,
  EmbeddingModelV3CallOptions,
  EmbeddingModelV3Result,
} from "@ai-sdk/provider";
import type { LLMClient } from "../index.js";
import { callError } from "./errors.js";
import { foreignSettings, OPTIONS_NAME } from "./request.js";

/** A model of the client's first provider as the AI SDK's version 3 of embedding models. */
export class EmbeddingModel implements EmbeddingModelV3 {
  readonly specificationVersion = "v3";
  readonly maxEmbeddingsPerCall = Number.POSITIVE_INFINITY;
  readonly supportsParallelCalls = true;
  readonly provider: string;
  readonly modelId: string;
  readonly #client: () => LLMClient;

  constructor(provider: string, modelId: string, client: () => LLMClient) {
    this.provider = provider;
    this.modelId = modelId;
    this.#client = client;
  }

  async doEmbed(options: EmbeddingModelV3CallOptions): Promise<EmbeddingModelV3Result> {
    const { values, abortSignal, providerOptions } = options;
    // What the client does not know of these it refuses by name.
    const own = providerOptions?.[OPTIONS_NAME];
    const question = { ...own, model: this.modelId, ...(abortSignal && { signal: abortSignal }) };
    try {
      const { embeddings, usage, provider } = await this.#client().embed(values, question);
      const { promptTokens: tokens } = usage;
      return {
        embeddings,
        ...(tokens !== undefined && { usage: { tokens } }),
        providerMetadata: { [OPTIONS_NAME]: { provider } },
        warnings: foreignSettings(options),
      };
    } catch (error) {
      throw callError(error);
    }
  }
}
