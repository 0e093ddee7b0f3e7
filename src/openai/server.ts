import { HttpClient, type HttpSettings } from "../http/http-client.js";
import type { CallContext, ProviderEvent } from "../providers/provider.js";
import type { CheckedRequest } from "../request.js";
import type { EmbeddingResponse, ModelInfo } from "../types.js";
import { splitBaseUrl } from "./base-url.js";
import { ChatReply } from "./chat-reply.js";
import { toChatBody } from "./chat-request.js";
import { type ChatCall, streamChat } from "./chat-stream.js";
import { toEmbeddings } from "./embeddings.js";
import { toModelInfos } from "./models.js";
import type { ServerKind } from "./server-kind.js";

/** Where a server is, and the model for requests that name none. */
export interface ServerSettings extends Omit<HttpSettings, "provider"> {
  model?: string;
}

/** A request with the model that is to answer it. */
export interface Chat {
  request: CheckedRequest;
  model: string;
  warnings: string[];
}

/** The OpenAI-compatible API of a server. */
export class OpenAiServer<Kind extends ServerKind = ServerKind> {
  /** For what the server has besides: its paths begin at the root. */
  readonly http: HttpClient;
  readonly kind: Kind;
  readonly #api: string;
  readonly #warnings: string[];

  constructor(kind: Kind, { model: _model, ...settings }: ServerSettings) {
    const { root, api } = splitBaseUrl(settings.baseUrl);
    this.kind = kind;
    this.#api = api;
    this.http = new HttpClient({ ...settings, provider: kind.provider, baseUrl: root });
    const isUnchecked = !settings.verifySsl && /^https:/i.test(root);
    this.#warnings = isUnchecked ? ["the server's TLS certificate was not checked"] : [];
  }

  /** Where it lists its models. */
  get listPath(): string {
    return `${this.#api}/models`;
  }

  /** Delivers the events of the reply to a request, once that is prepared. */
  chat(
    prepare: () => Promise<Chat>,
    context: CallContext,
  ): AsyncIterable<readonly ProviderEvent[]> {
    const path = `${this.#api}/chat/completions`;
    return streamChat(this.http, path, async () => this.#chatCall(await prepare(), context));
  }

  #chatCall(
    { request, model, warnings }: Chat,
    { signal, requestId, startedAt, onProgress }: CallContext,
  ): ChatCall {
    const { http, kind } = this;
    const body = toChatBody(request, model, kind);
    const reply = new ChatReply({
      request,
      model,
      kind,
      where: http.where({ model, requestId }),
      warnings: [...this.#warnings, ...warnings],
      startedAt,
    });
    const options = { signal, requestId, model, onProgress, body };
    return { options, reply };
  }

  async listModels(signal: AbortSignal): Promise<ModelInfo[]> {
    const { body } = await this.http.requestJson("GET", this.listPath, { signal });
    return toModelInfos(body, this.http.where());
  }

  async embed(texts: string[], model: string, signal: AbortSignal): Promise<EmbeddingResponse> {
    const options = { signal, model, body: { model, input: texts } };
    const { body } = await this.http.requestJson("POST", `${this.#api}/embeddings`, options);
    return toEmbeddings(body, texts.length, model, this.http.where({ model }));
  }

  close(): Promise<void> {
    return this.http.close();
  }
}
