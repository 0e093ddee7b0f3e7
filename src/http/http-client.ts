import type { Dispatcher } from "undici";
import { abortedBy } from "../abort.js";
import { AbortError, ValidationError } from "../errors.js";
import type { Attempt, ProviderName } from "../types.js";
import { checkEncoding, checkNoError, errorIn, type OpenAnswer, readJson } from "./answers.js";
import { authorizationOf, checkedUrl, requestIdHeader, secretsOf } from "./base-url.js";
import type { Connection, TrackedRequest } from "./connections.js";
import { type AnswerHead, Exchange } from "./exchange.js";
import { networkError } from "./network-errors.js";
import { detailsOf, type Where } from "./where.js";

/** How to reach a server. */
export interface HttpSettings {
  provider: ProviderName;
  baseUrl: string;
  /** Sent as a bearer token, only if it is set. */
  apiKey?: string | undefined;
  /** Seconds. */
  connectTimeout: number;
  /** False accepts any TLS certificate. */
  verifySsl: boolean;
}

/** What one call brings along. */
export interface CallOptions {
  /** Aborting it destroys the connection of this call at once. */
  signal: AbortSignal;
  /** Sent as JSON. */
  body?: unknown;
  requestId?: string | undefined;
  /** For the texts of errors. */
  model?: string | undefined;
  /** Told how far the call has come. */
  onProgress?:
    | ((progress: Pick<Attempt, "phase" | "status" | "serverRequestId">) => void)
    | undefined;
}

/** A whole answer. */
export interface JsonAnswer extends AnswerHead {
  /** Parsed, but of unknown shape; undefined where an answer may be empty (DELETE, status 204). */
  body: unknown;
}

/** An answer whose body is still coming. */
export interface StreamAnswer extends AnswerHead {
  /** Media type without parameters, in lower case; empty if the server tells none. */
  contentType: string;
  /**
   * What has arrived since the last read. Leaving the loop destroys the connection; reading to the
   * end keeps it for the next request.
   */
  chunks: AsyncIterable<Uint8Array[]>;
}

type Method = "GET" | "POST" | "DELETE";

/** Talks to one server over its own connections. */
export class HttpClient {
  /** Base URL without credentials and trailing slash. */
  readonly url: string;
  readonly provider: ProviderName;
  readonly #settings: HttpSettings;
  readonly #base: URL;
  readonly #authorization: Record<string, string>;
  readonly #secret: string[] | undefined;
  readonly #underway = new Set<Exchange>();
  #connections: Promise<Dispatcher> | undefined;
  #isClosed = false;

  constructor(settings: HttpSettings) {
    this.#settings = settings;
    this.provider = settings.provider;
    this.#base = checkedUrl(settings);
    this.#authorization = authorizationOf(settings, this.#base);
    this.#secret = secretsOf(this.#authorization, this.#base);
    this.url = this.#base.origin + this.#base.pathname.replace(/\/+$/, "");
  }

  /** Names this server in errors of the readers and of `errorOfBody`. */
  where({ model, requestId }: Pick<CallOptions, "model" | "requestId"> = {}): Where {
    return { provider: this.provider, url: this.url, model, requestId, secret: this.#secret };
  }

  /** Sends a request and reads the whole JSON answer; anything else is a typed error. */
  async requestJson(method: Method, path: string, options: CallOptions): Promise<JsonAnswer> {
    const where = this.where(options);
    const answer = await this.#send(method, path, options);
    const { status, headers } = answer;
    if (status >= 300) throw await errorIn(answer, where);
    checkEncoding(answer, where);
    const body = await readJson(answer, where, method === "DELETE" || status === 204);
    return { status, headers, body };
  }

  /**
   * POSTs JSON and resolves when the headers of the answer have come; an answer that is an error
   * becomes a typed one.
   */
  async openStream(path: string, options: CallOptions): Promise<StreamAnswer> {
    const where = this.where(options);
    const answer = await this.#send("POST", path, options);
    const contentType = mediaType(answer);
    if (answer.status >= 300 || contentType === "text/html") throw await errorIn(answer, where);
    checkEncoding(answer, where);
    if (contentType === "application/json") await checkNoError(answer, where);
    return Object.assign(answer, { contentType });
  }

  /** Ends everything, also what is under way; it may be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const exchange of this.#underway) exchange.fail(closedError());
    const connections = await this.#connections?.catch(() => undefined);
    await connections?.destroy();
  }

  /** Sends a request and waits for the headers of its answer. */
  async #send(method: Method, path: string, options: CallOptions): Promise<OpenAnswer> {
    const request = this.#request(method, path, options);
    this.#connections ??= this.#open();
    const connections = await this.#connections;
    for (let isRepeated = false; ; isRepeated = true) {
      const exchange = this.#exchange(options);
      const onConnection = (connection: Connection) => exchange.onConnection(connection);
      const tracked: TrackedRequest = Object.assign({ onConnection }, request);
      connections.dispatch(tracked, exchange);
      try {
        const head = await exchange.head;
        report(head, options);
        return { status: head.status, headers: head.headers, chunks: exchange };
      } catch (error) {
        // The server closed an idle connection in the moment of its reuse.
        if (isRepeated || !exchange.diedUnanswered) throw error;
      }
    }
  }

  async #open(): Promise<Dispatcher> {
    // Loading it takes longer than everything else that happens before the first request.
    const { openConnections } = await import("./connections.js");
    return openConnections({ ...this.#settings, url: this.#base });
  }

  #exchange(options: CallOptions): Exchange {
    const { signal } = options;
    if (this.#isClosed) throw closedError();
    if (signal.aborted) throw abortedBy(signal);
    const exchange: Exchange = new Exchange({
      signal,
      explain: (error, stage) => networkError(error, stage, this.where(options)),
      onWritten: () => options.onProgress?.({ phase: "load" }),
      onEnd: () => this.#underway.delete(exchange),
    });
    this.#underway.add(exchange);
    return exchange;
  }

  #request(method: Method, path: string, options: CallOptions): Dispatcher.DispatchOptions {
    const { body, requestId } = options;
    const headers: Record<string, string> = { ...this.#authorization };
    if (body !== undefined) headers["content-type"] = "application/json";
    if (requestId !== undefined) headers["x-request-id"] = requestIdHeader(requestId);
    return {
      origin: this.#base.origin,
      path: new URL(this.url).pathname.replace(/\/$/, "") + path,
      method,
      headers,
      body: body === undefined ? null : this.#json(body, options),
      // Loading a model takes as long as it takes; the limits are those of the layers above.
      headersTimeout: 0,
      bodyTimeout: 0,
    };
  }

  #json(body: unknown, options: CallOptions): string {
    try {
      return JSON.stringify(body);
    } catch (error) {
      const details = { ...detailsOf(this.where(options)), cause: error };
      throw new ValidationError("The request cannot be written as JSON.", details);
    }
  }
}

function mediaType({ headers }: AnswerHead): string {
  return (headers["content-type"] ?? "").split(";", 1)[0]!.trim().toLowerCase();
}

function report({ status, headers }: AnswerHead, { onProgress }: CallOptions): void {
  const { "x-request-id": serverRequestId } = headers;
  const phase = status < 300 ? ({ phase: "prompt" } as const) : {};
  onProgress?.({ ...phase, status, ...(serverRequestId !== undefined && { serverRequestId }) });
}

function closedError(): AbortError {
  return new AbortError("The client is closed.", { code: "closed" });
}
