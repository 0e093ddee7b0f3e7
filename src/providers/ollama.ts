import { ValidationError } from "../errors.js";
import { countOf } from "../fields.js";
import type { HttpSettings } from "../http/http-client.js";
import { detailsOf } from "../http/where.js";
import { ChatReply } from "../ollama/chat-reply.js";
import { hasImages, mayPause, toChatBody, warningsFor } from "../ollama/chat-request.js";
import { type ChatCall, streamChat } from "../ollama/chat-stream.js";
import { embed } from "../ollama/embed.js";
import { checkHealth } from "../ollama/health.js";
import {
  can,
  contextLengthOf,
  findByName,
  toModelDetails,
  toModelInfo,
} from "../ollama/model-info.js";
import { pullModel } from "../ollama/pull.js";
import { OllamaServer, type Purpose } from "../ollama/server.js";
import type { CheckedRequest } from "../request.js";
import type {
  EmbeddingResponse,
  ModelDetails,
  ModelInfo,
  ProviderHealth,
  PullProgress,
} from "../types.js";
import {
  type CallContext,
  type EmbedQuestion,
  type OptionalFeature,
  type Provider,
  type ProviderEvent,
  type QueryContext,
  plainTexts,
  TEXTS_OF_REQUEST,
} from "./provider.js";

/** Where Ollama is, and the model for requests that name none. */
export interface OllamaSettings extends Omit<HttpSettings, "provider"> {
  model?: string;
}

/** Runs models on an Ollama server, through Ollama's own API. */
export class OllamaProvider implements Provider {
  readonly name = "ollama";
  readonly firstPhase = "connect";
  readonly capabilities: ReadonlySet<OptionalFeature> = new Set([
    "images",
    "tools",
    "responseFormat",
    "reasoning",
    "stop",
    "seed",
    "topP",
    "topK",
    "minP",
    // Without effect on the architectures that Ollama runs on its own engine (seen in 0.17.4).
    "repetitionPenalty",
    "presencePenalty",
    "frequencyPenalty",
    "logprobs",
  ]);
  readonly url: string;
  readonly defaultModel?: string;
  readonly #server: OllamaServer;
  readonly #warnings: string[];

  constructor({ model, ...settings }: OllamaSettings) {
    this.#server = new OllamaServer(settings);
    this.url = this.#server.url;
    this.defaultModel = model;
    const isUnchecked = !settings.verifySsl && this.url.startsWith("https:");
    this.#warnings = isUnchecked ? ["the server's TLS certificate was not checked"] : [];
  }

  mayPause(request: CheckedRequest): boolean {
    return mayPause(request);
  }

  stream(request: CheckedRequest, context: CallContext): AsyncIterable<readonly ProviderEvent[]> {
    return streamChat(this.#server, () => this.#prepare(request, context));
  }

  async #prepare(request: CheckedRequest, context: CallContext): Promise<ChatCall> {
    const { signal, requestId, startedAt, onProgress } = context;
    const model = await this.#choose(request.model, "completion", signal);
    if (hasImages(request)) await this.#expectVision(model, signal);
    const warnings = [...this.#warnings, ...warningsFor(request)];
    if ((request.model ?? this.defaultModel) === undefined) {
      warnings.push(`no model was named, so "${model}" answers`);
    }
    const where = this.#server.where({ model, requestId });
    const reply = new ChatReply({ model, where, warnings, startedAt });
    const options = { signal, requestId, model, onProgress, body: toChatBody(request, model) };
    return { options, reply };
  }

  async listModels({ signal }: QueryContext): Promise<ModelInfo[]> {
    const [models, running] = await Promise.all([
      this.#server.models(signal),
      this.#server.running(signal),
    ]);
    return models.flatMap((entry) => toModelInfo(entry, running) ?? []);
  }

  /** What the model was loaded with; while it is not in memory, what its files say. */
  async contextLength(
    model: string | undefined,
    { signal }: QueryContext,
  ): Promise<number | undefined> {
    const name = await this.#choose(model, "completion", signal);
    const running = findByName(await this.#server.running(signal), name);
    const inUse = countOf(running?.context_length);
    return inUse ?? contextLengthOf(await this.#server.show(name, signal));
  }

  health({ signal }: QueryContext): Promise<ProviderHealth> {
    return checkHealth(this.#server, this.defaultModel, signal);
  }

  async loadModel(name: string | undefined, { signal }: QueryContext): Promise<void> {
    const model = await this.#choose(name, "completion", signal);
    await this.#server.post("/api/chat", { signal, model, body: { model, messages: [] } });
  }

  async unloadModel(name: string | undefined, { signal }: QueryContext): Promise<void> {
    const model = await this.#choose(name, "completion", signal);
    const body = { model, messages: [], keep_alive: 0 };
    await this.#server.post("/api/chat", { signal, model, body });
  }

  pullModel(model: string, { signal }: QueryContext): AsyncGenerator<PullProgress> {
    return pullModel(this.#server, model, signal);
  }

  async showModel(model: string, { signal }: QueryContext): Promise<ModelDetails> {
    const [shown, listed, running] = await Promise.all([
      this.#server.show(model, signal),
      this.#server.models(signal),
      this.#server.running(signal),
    ]);
    return toModelDetails(model, shown, listed, running);
  }

  readonly mostTexts = TEXTS_OF_REQUEST;

  async embed(
    question: EmbedQuestion,
    name: string | undefined,
    { signal }: QueryContext,
  ): Promise<EmbeddingResponse> {
    const model = await this.#choose(name, "embedding", signal);
    const texts = plainTexts(question, this, true);
    return embed(this.#server, model, { ...question, texts }, signal);
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  async #choose(model: string | undefined, purpose: Purpose, signal: AbortSignal): Promise<string> {
    return model ?? this.defaultModel ?? this.#server.findModel(purpose, signal);
  }

  /** Ollama itself drops pictures that its model cannot see. */
  async #expectVision(model: string, signal: AbortSignal): Promise<void> {
    if (can(await this.#server.show(model, signal), "vision") !== false) return;
    throw new ValidationError(`Ollama's model "${model}" does not support images.`, {
      ...detailsOf(this.#server.where({ model })),
      code: "unsupported",
      hint: "Use a model whose capabilities name vision.",
    });
  }
}
