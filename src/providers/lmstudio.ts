import { ModelNotFoundError } from "../errors.js";
import { SERVERS } from "../http/servers.js";
import { download, isMissing, loadInstance, unloadInstance } from "../lm-studio/management.js";
import {
  findListed,
  type ListedModel,
  type ListSource,
  listSources,
} from "../lm-studio/model-list.js";
import { LM_STUDIO } from "../lm-studio/server-kind.js";
import { checkHealth } from "../openai/health.js";
import { pickModel, type Purpose } from "../openai/models.js";
import { type Chat, OpenAiServer, type ServerSettings } from "../openai/server.js";
import type { CheckedRequest } from "../request.js";
import type { EmbeddingResponse, ModelInfo, ProviderHealth, PullProgress } from "../types.js";
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

/**
 * Runs models on an LM Studio server: chats and embeddings through its OpenAI-compatible API, the
 * rest through its own. Another server with the former, such as vLLM, can do just that.
 */
export class LmStudioProvider implements Provider {
  readonly name = "lmstudio";
  readonly firstPhase = "connect";
  readonly capabilities: ReadonlySet<OptionalFeature> = LM_STUDIO.capabilities;
  readonly url: string;
  readonly defaultModel?: string;
  readonly #server: OpenAiServer;
  readonly #sources: ListSource[];
  /** The one that this server turned out to have. */
  #source: ListSource | undefined;

  constructor(settings: ServerSettings) {
    this.#server = new OpenAiServer(LM_STUDIO, settings);
    this.#sources = listSources(this.#server.listPath);
    this.url = this.#server.http.url;
    this.defaultModel = settings.model;
  }

  /** Some engines hold a tool call back until it is whole; a JSON reply may begin with reasoning. */
  mayPause({ tools = [], responseFormat = { type: "text" } }: CheckedRequest): boolean {
    return tools.length > 0 || responseFormat.type !== "text";
  }

  stream(request: CheckedRequest, context: CallContext): AsyncIterable<readonly ProviderEvent[]> {
    return this.#server.chat(() => this.#prepare(request, context.signal), context);
  }

  async listModels({ signal }: QueryContext): Promise<ModelInfo[]> {
    return (await this.#list(signal)).map(({ info }) => info);
  }

  async contextLength(
    model: string | undefined,
    { signal }: QueryContext,
  ): Promise<number | undefined> {
    const models = await this.#list(signal);
    const name = model ?? this.defaultModel ?? pick(models, "completion");
    return name === undefined ? undefined : findListed(models, name)?.info.contextLength;
  }

  health({ signal }: QueryContext): Promise<ProviderHealth> {
    const { name: provider, url, defaultModel: model } = this;
    return checkHealth({ provider, url, model }, (seen) => this.#look(seen, signal), signal);
  }

  async loadModel(model: string | undefined, { signal }: QueryContext): Promise<void> {
    const name = model ?? this.defaultModel ?? (await this.#pick("completion", signal));
    const listed = findListed(await this.#list(signal), name);
    // LM Studio would load it a second time.
    if (listed?.info.loaded) return;
    await loadInstance(this.#server.http, listed?.info.id ?? name, signal);
  }

  async unloadModel(model: string | undefined, { signal }: QueryContext): Promise<void> {
    const name = model ?? this.defaultModel ?? (await this.#pick("completion", signal));
    const listed = findListed(await this.#list(signal), name);
    if (listed === undefined) throw this.#hasNo(`model "${name}"`, name);
    for (const instance of listed.instances) {
      await unloadInstance(this.#server.http, instance, signal);
    }
  }

  pullModel(model: string, { signal }: QueryContext): AsyncGenerator<PullProgress> {
    return download(this.#server.http, model, signal);
  }

  readonly mostTexts = TEXTS_OF_REQUEST;

  async embed(
    question: EmbedQuestion,
    name: string | undefined,
    { signal }: QueryContext,
  ): Promise<EmbeddingResponse> {
    const model = name ?? this.defaultModel ?? (await this.#pick("embedding", signal));
    return this.#server.embed(plainTexts(question, this), model, signal);
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  async #look(seen: Partial<ProviderHealth>, signal: AbortSignal): Promise<void> {
    const models = await this.#list(signal);
    Object.assign(seen, { reachable: true, authenticated: true });
    const model = this.defaultModel ?? pick(models, "completion");
    if (model === undefined) throw this.#hasNo("model");
    seen.model = model;
    const listed = findListed(models, model);
    // Other servers may know more models, or other names, than they list.
    if (listed === undefined && this.#source?.isComplete) {
      throw this.#hasNo(`model "${model}"`, model);
    }
    seen.modelPresent = listed && true;
    seen.modelLoaded = listed?.info.loaded;
  }

  async #prepare(request: CheckedRequest, signal: AbortSignal): Promise<Chat> {
    const named = request.model ?? this.defaultModel;
    const model = named ?? (await this.#pick("completion", signal));
    const warnings = named === undefined ? [`no model was named, so "${model}" answers`] : [];
    return { request, model, warnings };
  }

  async #pick(purpose: Purpose, signal: AbortSignal): Promise<string> {
    const model = pick(await this.#list(signal), purpose);
    if (model === undefined) throw this.#hasNo(`model for ${purpose}`);
    return model;
  }

  /** The models, from the most telling list that the server has. */
  async #list(signal: AbortSignal): Promise<ListedModel[]> {
    const { http } = this.#server;
    let missing: unknown;
    for (const source of this.#source ? [this.#source] : this.#sources) {
      try {
        const { body } = await http.requestJson("GET", source.path, { signal });
        const models = source.read(body, http.where());
        this.#source = source;
        return models;
      } catch (error) {
        if (!isMissing(error)) throw error;
        missing = error;
      }
    }
    // The server may have become another one.
    this.#source = undefined;
    throw missing;
  }

  #hasNo(what: string, model?: string): ModelNotFoundError {
    const { name: provider, url } = this;
    return new ModelNotFoundError(`LM Studio at ${url} has no ${what}.`, {
      provider,
      url,
      model,
      hint: SERVERS[provider].get(model ?? "<model>"),
    });
  }
}

function pick(models: ListedModel[], purpose: Purpose): string | undefined {
  return pickModel(
    models.map(({ info }) => info),
    purpose,
  );
}
