import { abortTogether } from "./abort.js";
import { Calls } from "./calls.js";
import { Breakers } from "./chain/breaker.js";
import { systemClock } from "./chain/clock.js";
import { Fallback } from "./chain/fallback.js";
import { type Leg, newLeg, serverOf } from "./chain/leg.js";
import { Observer } from "./chain/observer.js";
import type { Outcome, Reply } from "./chain/route.js";
import { checkListing } from "./check-question.js";
import { type ConfigSources, resolveConfig, type Settings } from "./config/settings.js";
import { LLMError, TimeoutError, typedError } from "./errors.js";
import { generateObject, type ObjectRequest, type ObjectResponse } from "./generate-object.js";
import { ModelLists } from "./model-lists.js";
import { Primary, type PullOptions, type QueryOptions } from "./primary.js";
import { createProvider } from "./providers/registry.js";
import { checkRequest } from "./request.js";
import { ResponseStream } from "./response-stream.js";
import { ObjectStream } from "./stream-object.js";
import type {
  EmbeddingResponse,
  EmbedOptions,
  HealthReport,
  LLMConfig,
  LLMRequest,
  LLMResponse,
  LLMStream,
  ModelDetails,
  ModelInfo,
  PromptCacheInfo,
  PromptCacheRead,
  PromptCacheRequest,
  ProviderHealth,
  PullProgress,
  RemovedModel,
  RerankOptions,
  RerankResponse,
  StreamingRequest,
} from "./types.js";
import { Vectors } from "./vectors.js";

/**
 * Generates text with a model, whichever provider runs it.
 * @example
 * await using client = new LLMClient({ model: "demo" });
 * const { content } = await client.generate("What is 7 + 5?");
 */
export class LLMClient {
  readonly #settings: Settings;
  readonly #observer: Observer;
  readonly #legs: Leg[];
  readonly #chain: Fallback;
  readonly #models: ModelLists;
  readonly #primary: Primary;
  readonly #vectors: Vectors;
  readonly #calls = new Calls();
  #closing: Promise<void> | undefined;

  /**
   * Throws a `ConfigurationError` for a wrong setting: here, in the environment or in a
   * configuration file.
   */
  constructor(config: LLMConfig = {}, sources: ConfigSources = {}) {
    this.#settings = resolveConfig(config, sources);
    const { legs, hooks, logger, cacheTtl } = this.#settings;
    const breakers = new Breakers(systemClock);
    this.#observer = new Observer(hooks, logger);
    this.#legs = legs.map((leg, index) => newLeg(index, createProvider(leg), leg, breakers));
    this.#chain = new Fallback(this.#legs, systemClock);
    this.#models = new ModelLists(this.#legs, this.#calls, cacheTtl, this.#observer);
    this.#primary = new Primary(this.#legs, this.#calls, () => this.#models.clear());
    this.#vectors = new Vectors(this.#legs, this.#calls);
  }

  /**
   * Gives the whole reply, or the stream of it if the request says `stream: true`.
   * @example await client.generate({ messages: "Name three rivers.", temperature: 0 })
   */
  generate(request: StreamingRequest): LLMStream;
  generate(request: string | LLMRequest): Promise<LLMResponse>;
  generate(request: string | LLMRequest | StreamingRequest): Promise<LLMResponse> | LLMStream;
  generate(request: string | LLMRequest | StreamingRequest): Promise<LLMResponse> | LLMStream {
    if (typeof request === "object" && request?.stream === true) return this.stream(request);
    return this.#whole(request);
  }

  /**
   * Gives the reply as events while it is made. Leaving the loop ends the work.
   * @example
   * for await (const event of client.stream("Hello")) if (event.type === "text") console.log(event.text);
   */
  stream(request: string | LLMRequest | StreamingRequest): LLMStream {
    const work = new AbortController();
    return new ResponseStream(() => this.#open(request, work, false), work);
  }

  /**
   * Gives a value that fits a schema: a JSON Schema, or one of zod, which types the value.
   * @example
   * const schema = z.object({ name: z.string(), born: z.int() });
   * const { object } = await client.generateObject({ messages: "Ada Lovelace, born in 1815", schema });
   */
  generateObject<T = unknown>(request: ObjectRequest<T>): Promise<ObjectResponse<T>> {
    return generateObject((whole) => this.#whole(whole), request);
  }

  /**
   * Gives such a value while it is written: as much of it as there is, and the whole at the end.
   * @example
   * const stream = client.streamObject({ messages: "Three rivers", schema: z.array(z.string()) });
   * for await (const rivers of stream) console.log(rivers);
   * const rivers = await stream.object;
   */
  streamObject<T = unknown>(request: ObjectRequest<T>): ObjectStream<T> {
    return new ObjectStream((whole) => this.stream(whole), request);
  }

  /**
   * Models that the providers offer, kept for `cacheTtl` seconds. Providers that fail are left out
   * as long as one answers; the logger is told.
   */
  async listModels(options: { useCache?: boolean } = {}): Promise<ModelInfo[]> {
    this.#calls.checkOpen();
    return this.#models.get(checkListing({ ...options }));
  }

  /** Makes the next `listModels` look anew. */
  invalidateCache(): void {
    this.#models.clear();
  }

  /** True if a request would most likely work now. */
  async healthCheck(): Promise<boolean> {
    return (await this.health()).healthy;
  }

  /** Tries out each provider and reports what is wrong. */
  async health(): Promise<HealthReport> {
    this.#calls.checkOpen();
    const providers = await Promise.all(this.#legs.map((leg) => this.#healthOf(leg)));
    return { healthy: providers.some(({ healthy }) => healthy), providers };
  }

  /**
   * Brings a model of the first provider into memory, so that the next request need not wait for it.
   * @example await client.loadModel("qwen3:4b")
   */
  loadModel(model?: string, options: QueryOptions = {}): Promise<void> {
    return this.#primary.loadModel(model, options);
  }

  /** Frees the memory that a model of the first provider takes. */
  unloadModel(model?: string, options: QueryOptions = {}): Promise<void> {
    return this.#primary.unloadModel(model, options);
  }

  /**
   * Downloads a model to the first provider, for MLX from the Hugging Face Hub, and tells how far
   * it has come.
   * @example for await (const { status } of client.pullModel("qwen3:4b")) console.log(status);
   */
  pullModel(model: string, options: PullOptions = {}): AsyncGenerator<PullProgress> {
    return this.#primary.pullModel(model, options);
  }

  /**
   * Everything that is known of a model, from the first provider that has it.
   * @example const { parameters, license } = await client.showModel("demo");
   */
  showModel(model: string, options: QueryOptions = {}): Promise<ModelDetails> {
    return this.#primary.showModel(model, options);
  }

  /**
   * Deletes a model that the first provider keeps on this machine; for MLX from the Hugging Face
   * cache, or with `@revision` that revision alone.
   * @example const { bytes } = await client.removeModel("org/name");
   */
  removeModel(model: string, options: QueryOptions = {}): Promise<RemovedModel> {
    return this.#primary.removeModel(model, options);
  }

  /**
   * Reads a text with a model of the first provider, which must be MLX, and writes what the model
   * keeps of it into a file that mlx_lm.generate goes on from, too.
   * @example await client.writePromptCache({ messages: manual, file: "manual.safetensors" })
   */
  writePromptCache(request: PromptCacheRequest): Promise<PromptCacheInfo> {
    return this.#primary.writePromptCache(request);
  }

  /**
   * Lets a model of the first provider remember the text of such a file, so that prompts which
   * begin with it need not read it. What mlx-lm wrote does not tell its text: give it as `messages`.
   * @example await client.readPromptCache({ file: "manual.safetensors" })
   */
  readPromptCache(request: PromptCacheRead): Promise<PromptCacheInfo> {
    return this.#primary.readPromptCache(request);
  }

  /**
   * Tokens that a model of the first provider, which must be MLX, would read of a request: messages,
   * tools and what the chat template adds. Its weights are not loaded for that.
   * @example const tokens = await client.countTokens({ messages, tools });
   */
  countTokens(request: string | LLMRequest): Promise<number> {
    return this.#primary.countTokens(request);
  }

  /**
   * One vector for each text. Another provider is asked only if it has the same model: vectors of
   * another one would mean something else.
   * @example const { embeddings } = await client.embed(["river", "bank"], { model: "nomic-embed-text" });
   */
  embed(texts: string | string[], options: EmbedOptions = {}): Promise<EmbeddingResponse> {
    return this.#vectors.embed(texts, options);
  }

  /**
   * Puts documents in order by how well they answer a query. Only models for MLX do that.
   * @example const { results } = await client.rerank("Who wrote Emma?", pages, { model: "BAAI/bge-reranker-v2-m3" });
   */
  rerank(query: string, documents: string[], options: RerankOptions = {}): Promise<RerankResponse> {
    return this.#vectors.rerank(query, documents, options);
  }

  /** Aborts what is under way and frees everything; the client cannot be used afterwards. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #whole(request: string | LLMRequest): Promise<LLMResponse> {
    const reply = await this.#open(request, new AbortController(), true);
    const last = (await reply.next())?.at(-1);
    // A route that was told to wait for the whole reply has its finish.
    return (last as { response: LLMResponse }).response;
  }

  async #open(
    input: string | LLMRequest | StreamingRequest,
    work: AbortController,
    wantsWhole: boolean,
  ): Promise<Reply> {
    const requestId = requestIdOf(input);
    const cleanUps: (() => void)[] = [];
    const onEnd = (outcome: Outcome) => {
      for (const cleanUp of cleanUps) cleanUp();
      this.#observer.finish({ requestId, ...outcome });
    };
    try {
      cleanUps.push(this.#calls.add(work));
      const request = checkRequest(input);
      const given = typeof input === "string" ? { messages: input } : input;
      this.#observer.start({ requestId, request: given, streams: !wantsWhole });
      cleanUps.push(abortTogether(work, request.signal));
      cleanUps.push(endAfter(this.#settings.deadline, work));
      const { deadline, warnings } = this.#settings;
      return await this.#chain.open({
        request,
        requestId,
        responseId: crypto.randomUUID(),
        signal: work.signal,
        startedAt: performance.now(),
        endsAt: deadline === undefined ? undefined : systemClock.now() + deadline,
        wantsWhole,
        warnings,
        attempts: [],
        observer: this.#observer,
        onEnd,
      });
    } catch (error) {
      // What fails before the first attempt tells as much as what fails later.
      const attempts = LLMError.is(error) ? (error.attempts ?? []) : [];
      const failure = typedError(error).with({ requestId, attempts });
      onEnd({ error: failure });
      throw failure;
    }
  }

  async #healthOf(leg: Leg): Promise<ProviderHealth> {
    const health = await this.#calls.within(leg.settings.timeout, "The health check", (signal) =>
      leg.provider.health({ signal }),
    );
    return { ...health, breaker: leg.breakers.reportOf(serverOf(leg)) };
  }

  async #close(): Promise<void> {
    this.#calls.close();
    await Promise.all(this.#legs.map(({ provider }) => provider.close()));
  }
}

function requestIdOf(input: unknown): string {
  const given = (input as Partial<LLMRequest> | undefined)?.requestId;
  return typeof given === "string" && given !== "" ? given : crypto.randomUUID();
}

/** Aborts a call when its time is over; call what it returns at its end. */
function endAfter(seconds: number | undefined, work: AbortController): () => void {
  if (seconds === undefined) return () => {};
  const message = `The call was not done within ${seconds} s.`;
  const timer = setTimeout(() => {
    work.abort(new TimeoutError(message, { code: "deadline_exceeded" }));
  }, seconds * 1000);
  // An abandoned stream must not keep the process alive.
  timer.unref();
  return () => clearTimeout(timer);
}
