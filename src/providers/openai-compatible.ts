import { ModelNotFoundError } from "../errors.js";
import { SERVERS } from "../http/servers.js";
import { checkHealth } from "../openai/health.js";
import { MLX_LM_SERVER } from "../openai/mlx-lm-server.js";
import { findModel, pickModel, type Purpose } from "../openai/models.js";
import { OLLAMA_SERVER } from "../openai/ollama-server.js";
import { type Chat, OpenAiServer, type ServerSettings } from "../openai/server.js";
import type { PlainServerKind } from "../openai/server-kind.js";
import type { CheckedRequest } from "../request.js";
import type { EmbeddingResponse, ModelInfo, ProviderHealth } from "../types.js";
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

const KINDS: Record<"mlx" | "ollama", PlainServerKind> = {
  mlx: MLX_LM_SERVER,
  ollama: OLLAMA_SERVER,
};

/** Runs models on a server with OpenAI's API: an mlx_lm.server, or Ollama under its `/v1`. */
export class OpenAiCompatibleProvider implements Provider {
  readonly name: keyof typeof KINDS;
  readonly firstPhase = "connect";
  readonly capabilities: ReadonlySet<OptionalFeature>;
  readonly url: string;
  readonly defaultModel?: string;
  readonly #server: OpenAiServer<PlainServerKind>;

  constructor(name: keyof typeof KINDS, settings: ServerSettings) {
    this.name = name;
    this.#server = new OpenAiServer(KINDS[name], settings);
    this.capabilities = KINDS[name].capabilities;
    this.url = this.#server.http.url;
    this.defaultModel = settings.model;
    if (KINDS[name].hasEmbeddings) this.embed = this.#embed;
  }

  readonly mostTexts = TEXTS_OF_REQUEST;
  /** One vector for each text; mlx_lm.server makes none. */
  readonly embed?: Provider["embed"];

  /** Both are silent until a tool call is whole. */
  mayPause({ tools = [] }: CheckedRequest): boolean {
    return tools.length > 0;
  }

  stream(request: CheckedRequest, context: CallContext): AsyncIterable<readonly ProviderEvent[]> {
    return this.#server.chat(() => this.#prepare(request, context.signal), context);
  }

  listModels({ signal }: QueryContext): Promise<ModelInfo[]> {
    return this.#server.listModels(signal);
  }

  async contextLength(
    model: string | undefined,
    { signal }: QueryContext,
  ): Promise<number | undefined> {
    const models = await this.#server.listModels(signal);
    const name = model ?? this.defaultModel ?? pickModel(models, "completion");
    return name === undefined ? undefined : findModel(models, name)?.contextLength;
  }

  health({ signal }: QueryContext): Promise<ProviderHealth> {
    const { name: provider, url, defaultModel: model } = this;
    return checkHealth({ provider, url, model }, (seen) => this.#look(seen, signal), signal);
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  async #look(seen: Partial<ProviderHealth>, signal: AbortSignal): Promise<void> {
    const { kind, http } = this.#server;
    Object.assign(seen, await kind.check(http, signal), { reachable: true, authenticated: true });
    seen.model = this.defaultModel ?? (await this.#pick("completion", signal));
    // It loads what it is asked for, and lists only some of what it could load.
    if (kind.ownModel !== undefined) return;
    const models = await this.#server.listModels(signal);
    if (!findModel(models, seen.model)) throw this.#hasNo(`model "${seen.model}"`, seen.model);
    seen.modelPresent = true;
  }

  async #embed(
    question: EmbedQuestion,
    name: string | undefined,
    { signal }: QueryContext,
  ): Promise<EmbeddingResponse> {
    const model = name ?? this.defaultModel ?? (await this.#pick("embedding", signal));
    return this.#server.embed(plainTexts(question, this), model, signal);
  }

  async #prepare(request: CheckedRequest, signal: AbortSignal): Promise<Chat> {
    const named = request.model ?? this.defaultModel;
    const model = named ?? (await this.#pick("completion", signal));
    const warnings = named === undefined ? [`no model was named, so "${model}" answers`] : [];
    return { request, model, warnings };
  }

  async #pick(purpose: Purpose, signal: AbortSignal): Promise<string> {
    const { ownModel } = this.#server.kind;
    if (ownModel !== undefined) return ownModel;
    const model = pickModel(await this.#server.listModels(signal), purpose);
    if (model === undefined) throw this.#hasNo(`model for ${purpose}`);
    return model;
  }

  #hasNo(what: string, model?: string): ModelNotFoundError {
    const { name: provider, url } = this;
    const { name, get } = SERVERS[provider];
    const details = { provider, url, model, hint: get(model ?? "<model>") };
    return new ModelNotFoundError(`${name} at ${url} has no ${what}.`, details);
  }
}
