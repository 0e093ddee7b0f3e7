import type { ProviderV3 } from "@ai-sdk/provider";
import { LLMClient, type LLMConfig } from "../index.js";
import { EmbeddingModel } from "./embedding-model.js";
import { noSuchModel } from "./errors.js";
import { LanguageModel } from "./language-model.js";

export type { EmbeddingModel } from "./embedding-model.js";
export type { LanguageModel } from "./language-model.js";
export type { MlxLlmClientOptions } from "./request.js";

const NAME = "mlx-llm-client";

/** A provider for the AI SDK; called with the name of a model, it gives that as a language model. */
export interface MlxLlmClientProvider extends ProviderV3, AsyncDisposable {
  (modelId: string): LanguageModel;
  languageModel(modelId: string): LanguageModel;
  embeddingModel(modelId: string): EmbeddingModel;
  textEmbeddingModel(modelId: string): EmbeddingModel;
  /** Throws a `NoSuchModelError`: there are none. */
  imageModel(modelId: string): never;
  /** Whom it asks. */
  readonly client: LLMClient;
  /** Closes the client. */
  close(): Promise<void>;
}

/**
 * A provider for the AI SDK over a client, or over a new one with these settings.
 * @example
 * const llm = createMlxLlmClient({ fallbackConfigs: [{ provider: "ollama", model: "qwen3:4b" }] });
 * const { text } = await generateText({ model: llm("mlx-community/Qwen3-4B-4bit"), prompt: "Hello" });
 */
export function createMlxLlmClient(client: LLMClient | LLMConfig = {}): MlxLlmClientProvider {
  // Not by its class, which another copy of the package would have too.
  let made = "generate" in client ? client : undefined;
  // Not before it is needed: settings may be wrong, and nobody may ask.
  const get = () => (made ??= new LLMClient(client as LLMConfig));
  const languageModel = (modelId: string) => new LanguageModel(NAME, modelId, get);
  const embeddingModel = (modelId: string) => new EmbeddingModel(NAME, modelId, get);
  const close = async () => made?.close();
  const members = {
    specificationVersion: "v3" as const,
    languageModel,
    embeddingModel,
    textEmbeddingModel: embeddingModel,
    imageModel(modelId: string): never {
      throw noSuchModel(modelId, "imageModel");
    },
    close,
    [Symbol.asyncDispose]: close,
  };
  const provider = Object.assign((modelId: string) => languageModel(modelId), members);
  return Object.defineProperty(provider, "client", { get }) as typeof provider & {
    client: LLMClient;
  };
}

/** The provider with the settings of the environment and the configuration file. */
export const mlxLlmClient: MlxLlmClientProvider = createMlxLlmClient();

export default mlxLlmClient;
