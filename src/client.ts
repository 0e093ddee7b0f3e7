import { randomUUID } from "node:crypto";
import { abortTogether } from "./abort.js";
import { runAttempt } from "./attempt.js";
import { resolveConfig, type Settings } from "./config.js";
import { AbortError, LLMError, TimeoutError } from "./errors.js";
import { ModelCache } from "./model-cache.js";
import type { Provider } from "./providers/provider.js";
import { createProvider } from "./providers/registry.js";
import { type CheckedRequest, checkRequest } from "./request.js";
import { ResponseStream } from "./response-stream.js";
import { type TimeLimits, withTimeLimits } from "./time-limits.js";
import type {
  HealthReport,
  LLMConfig,
  LLMRequest,
  LLMResponse,
  LLMStream,
  ModelInfo,
  StreamEvent,
  StreamingRequest,
} from "./types.js";

/**
 * Generates text with a model, whichever provider runs it.
 * @example
 * await using client = new LLMClient({ model: "demo" });
 * const { content } = await client.generate("What is 7 + 5?");
 */
export class LLMClient {
  readonly #settings: Settings;
  readonly #provider: Provider;
  readonly #models: ModelCache;
  readonly #calls = new Set<AbortController>();
  #closing: Promise<void> | undefined;

  /** Throws a `ConfigurationError` for a wrong setting, here or in the environment. */
  constructor(config: LLMConfig = {}) {
    this.#settings = resolveConfig(config);
    this.#provider = createProvider(this.#settings);
    this.#models = new ModelCache(() => this.#listModels(), this.#settings.cacheTtl);
  }

  /**
   * Gives the whole reply, or the stream of it if the request says `stream: true`.
   * @example await client.generate({ messages: "Name three rivers.", temperature: 0 })
   */
  generate(request: StreamingRequest): LLMStream;
  generate(request: string | LLMRequest): Promise<LLMResponse>;
  generate(request: string | LLMRequest | StreamingRequest): Promise<LLMResponse> | LLMStream;
  generate(request: string | LLMRequest | StreamingRequest): Promise<LLMResponse> | LLMStream {
    const stream = this.stream(request);
    if (typeof request === "object" && request?.stream === true) return stream;
    // A promise of its own: the failure of a stream's response may go unnoticed, but not this one.
    return stream.response.then((response) => response);
  }

  /**
   * Gives the reply as events while it is made. Leaving the loop ends the work.
   * @example
   * for await (const event of client.stream("Hello")) if (event.type === "text") console.log(event.text);
   */
  stream(request: string | LLMRequest | StreamingRequest): LLMStream {
    const call = new AbortController();
    return new ResponseStream(this.#run(request, call), call);
  }

  /** Models that the provider offers; the list is kept for `cacheTtl` seconds. */
  async listModels(options: { useCache?: boolean } = {}): Promise<ModelInfo[]> {
    this.#checkOpen();
    const models = await this.#models.get(options);
    // The list may be older than what was loaded since.
    return models.map((model) => ({
      ...model,
      loaded: this.#provider.isLoaded?.(model) ?? model.loaded,
    }));
  }

  /** Makes the next `listModels` look anew. */
  invalidateCache(): void {
    this.#models.clear();
  }

  /** True if a request would most likely work now. */
  async healthCheck(): Promise<boolean> {
    return (await this.health()).healthy;
  }

  /** Tries out the provider, down to one generated token, and reports what is wrong. */
  async health(): Promise<HealthReport> {
    this.#checkOpen();
    const health = await this.#within("The health check", (signal) =>
      this.#provider.health({ signal }),
    );
    return { healthy: health.healthy, providers: [health] };
  }

  /** Aborts what is under way and frees everything; the client cannot be used afterwards. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *#run(
    input: string | LLMRequest | StreamingRequest,
    call: AbortController,
  ): AsyncGenerator<StreamEvent> {
    const { signal } = call;
    const context = { signal, ...newIds(input), startedAt: performance.now() };
    let unlink = () => {};
    this.#calls.add(call);
    try {
      this.#checkOpen();
      const request = checkRequest(input);
      unlink = abortTogether(call, request.signal);
      const events = runAttempt(this.#provider, request, context);
      yield* withTimeLimits(events, this.#limitsOf(request), call);
    } catch (error) {
      if (!LLMError.is(error)) throw error;
      // What fails before the first attempt tells as much as what fails later.
      throw error.with({ requestId: context.requestId, attempts: error.attempts ?? [] });
    } finally {
      unlink();
      this.#calls.delete(call);
    }
  }

  #limitsOf({ timeoutOverride }: CheckedRequest): TimeLimits {
    const { timeout, firstTokenTimeout, deadline } = this.#settings;
    return {
      firstToken: timeoutOverride ?? firstTokenTimeout,
      idle: timeoutOverride ?? timeout,
      deadline,
    };
  }

  #listModels(): Promise<ModelInfo[]> {
    return this.#within("Listing the models", (signal) => this.#provider.listModels({ signal }));
  }

  /** Runs a call that `timeout` limits and `close` aborts. */
  async #within<T>(what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { timeout } = this.#settings;
    const call = new AbortController();
    const timer = setTimeout(() => {
      call.abort(new TimeoutError(`${what} was not done within ${timeout} s.`));
    }, timeout * 1000);
    this.#calls.add(call);
    try {
      return await work(call.signal);
    } finally {
      clearTimeout(timer);
      this.#calls.delete(call);
    }
  }

  async #close(): Promise<void> {
    const closed = closedError();
    for (const call of this.#calls) call.abort(closed);
    await this.#provider.close();
  }

  #checkOpen(): void {
    if (this.#closing) throw closedError();
  }
}

function newIds(input: unknown): { requestId: string; responseId: string } {
  const given = (input as Partial<LLMRequest> | undefined)?.requestId;
  const requestId = typeof given === "string" && given !== "" ? given : randomUUID();
  return { requestId, responseId: randomUUID() };
}

function closedError(): AbortError {
  return new AbortError("The client is closed.", { code: "closed" });
}
