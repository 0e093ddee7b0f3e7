import type { LLMError } from "./errors.js";
import type { Quantize } from "./quantize.js";

/** A provider by name. */
export type ProviderName = "mlx" | "ollama" | "lmstudio";

/** Why a reply ended. */
export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter" | "other";

/** Who speaks in a message. */
export type Role = "system" | "user" | "assistant" | "tool";

/** Text in a message of several parts. */
export interface TextPart {
  type: "text";
  text: string;
}

/** A picture in a message of several parts: its bytes, or a data or http(s) URL. */
export interface ImagePart {
  type: "image";
  image: string | Uint8Array;
  /** For example "image/png"; needed only with bytes. */
  mediaType?: string;
}

/** One part of a message. */
export type ContentPart = TextPart | ImagePart;

/** A call that the model wants made. */
export interface ToolCall {
  id: string;
  name: string;
  /** Parsed arguments; empty where the model wrote something that is no JSON object. */
  arguments: Record<string, unknown>;
  /** What the model wrote, where it is no JSON object. */
  invalidArguments?: string;
}

/** One turn of a conversation. */
export interface Message {
  role: Role;
  content: string | ContentPart[];
  /** Calls that an assistant message made. */
  toolCalls?: ToolCall[];
  /** The call that a tool message answers. */
  toolCallId?: string;
  /** What the assistant thought before its content. */
  reasoning?: string;
}

/** A function that the model may call. */
export interface Tool {
  type: "function";
  function: {
    name: string;
    description?: string;
    /** JSON Schema of the arguments. */
    parameters?: Record<string, unknown>;
  };
}

/** Whether a tool must, may or must not be called, or which one. */
export type ToolChoice =
  | "auto"
  | "none"
  | "required"
  | { type: "function"; function: { name: string } };

/** The form that the content must have. */
export type ResponseFormat =
  | { type: "text" }
  | { type: "json_object" }
  | { type: "json_schema"; schema: Record<string, unknown>; name?: string; strict?: boolean }
  /** A regular expression of the whole text, in Rust's syntax. */
  | { type: "regex"; pattern: string }
  /** A Lark grammar as llguidance reads it, whose rule `start` is the whole text. */
  | { type: "grammar"; grammar: string };

/** How hard the model thinks before it answers. */
export type ReasoningEffort = "low" | "medium" | "high";

/** Whether, how hard, and for how long the model thinks before it answers. */
export type Reasoning =
  | boolean
  | ReasoningEffort
  | {
      effort?: ReasoningEffort;
      /** Tokens after which the model is made to answer. */
      maxTokens?: number;
    };

/** Options of the MLX provider only. */
export interface MlxOptions {
  /** A LoRA or DoRA adapter for this request: a folder, or `org/name` in the Hugging Face cache. */
  adapter?: string;
  /** Quantize the weights while the model is loaded; refused for one that is quantized already. */
  quantize?: Quantize;
  /**
   * Share the model with the other processes that mlx.launch started: each has a part of the
   * weights, and all must make the same calls.
   */
  distributed?: boolean;
  /** Use the prompt as it is, without the chat template of the model. */
  raw?: boolean;
  /** More variables for the chat template, for example `{ enable_thinking: false }`. */
  templateVariables?: Record<string, unknown>;
  /** Chance, 0–1, that XTC leaves out the most probable tokens. */
  xtcProbability?: number;
  /** Probability, 0–0.5, above which XTC may leave a token out. */
  xtcThreshold?: number;
  /** Tokens that the repetition penalty looks back on, the prompt included; 20 unless told. */
  repetitionContextSize?: number;
  /** Tokens that presence and frequency penalties look back on; unless told, the whole reply. */
  penaltyContextSize?: number;
  /** Prompt tokens that are evaluated at a time, up to 8192; unless told, up to 2048 as memory allows. */
  prefillStepSize?: number;
  /** Bits in which keys and values are kept; as the model computes them unless told. */
  kvBits?: 2 | 3 | 4 | 5 | 6 | 8;
  /** Numbers of keys and values that share a scale; 64 unless told. */
  kvGroupSize?: 32 | 64 | 128;
  /** Tokens from which on `kvBits` holds; 5000 unless told. */
  quantizedKvStart?: number;
  /** Tokens that layers keep which would keep all: the first four and the last; at least 8. */
  maxKvSize?: number;
  /**
   * A prompt-cache file of `writePromptCache` or mlx_lm.cache_prompt: the prompt, which is one
   * message, goes on behind the text of the file as if it were its end.
   */
  promptCacheFile?: string;
  /** False: read the prompt from its start, and remember nothing of it and its reply. */
  promptCache?: boolean;
  /**
   * Guess that the reply repeats what came before, which saves time and changes no text. True
   * unless told, where it pays; an object does so wherever something came before.
   */
  promptLookup?: boolean | PromptLookup;
  /** False: never guess with the model's own head for multi-token prediction, where the checkpoint has one. */
  mtp?: boolean;
  /** Folder or name of a smaller model with the same tokens, whose guesses are checked; they change no text. */
  draftModel?: string;
  /** Tokens that the draft model guesses at a time, or the model's own head at most, up to 64; 3 unless told. */
  numDraftTokens?: number;
}

/** What of the options for MLX shapes what a model keeps of a text. */
export type PromptCacheMlxOptions = Pick<
  MlxOptions,
  | "raw"
  | "templateVariables"
  | "adapter"
  | "quantize"
  | "prefillStepSize"
  | "kvBits"
  | "kvGroupSize"
  | "quantizedKvStart"
  | "maxKvSize"
  | "promptCache"
>;

/** A text that a model is to keep in a file, or has kept there. */
export interface PromptCacheRequest {
  /** Its path, which ends in ".safetensors". */
  file: string;
  /** The text, whose last message stays open; a string is one user message. */
  messages: string | Message[];
  /** Model name; the one of the configuration unless told. */
  model?: string;
  /** Aborting it ends the work. */
  signal?: AbortSignal;
  providerOptions?: { mlx?: PromptCacheMlxOptions };
}

/** A prompt-cache file whose text a model is to remember. */
export interface PromptCacheRead extends Omit<PromptCacheRequest, "messages"> {
  /** The text, which is checked; needed where mlx-lm wrote the file. */
  messages?: string | Message[];
}

/** A prompt-cache file that was written or read. */
export interface PromptCacheInfo {
  file: string;
  model: string;
  /** Of its text. */
  tokens: number;
  bytes: number;
}

/** How a text is searched for what may come next. */
export interface PromptLookup {
  /** Tokens that must have come before; 3 unless told. */
  minNgram?: number;
  /** Tokens guessed at most, up to 64; 16 unless told. */
  tokens?: number;
}

/** Options of Ollama only. */
export interface OllamaOptions {
  /** Time that the model stays in memory: seconds, or a duration such as "5m"; -1 is for ever. */
  keepAlive?: number | string;
  /** Ollama's own model options, for example `{ num_ctx: 8192 }`. */
  options?: Record<string, unknown>;
}

/** Options of LM Studio and other OpenAI-compatible servers only. */
export interface LmStudioOptions {
  /** Seconds without use after which LM Studio unloads a model that it loaded for this request. */
  ttl?: number;
  /** More fields for the request's body, for servers that know more than OpenAI's. */
  body?: Record<string, unknown>;
}

/** Options that only one provider knows, under its name. */
export interface ProviderOptions {
  mlx?: MlxOptions;
  ollama?: OllamaOptions;
  lmstudio?: LmStudioOptions;
}

/** What to generate. */
export interface LLMRequest {
  /** The conversation; a string is one user message. */
  messages: string | Message[];
  /** Model name; the one of the configuration unless told. */
  model?: string;
  /** 0–2; 0 always takes the most probable token; 0.7 unless told. */
  temperature?: number;
  /** Most tokens to generate; without it a reply ends by itself or when the context is full. */
  maxTokens?: number;
  /** False, if it is given; `StreamingRequest` is for true. */
  stream?: false;
  /** Your name for this request, kept in the response and in errors. */
  requestId?: string;
  /** Seconds; replaces `timeout` and `firstTokenTimeout` for this request. */
  timeoutOverride?: number;
  /** Above 0, up to 1: keep only the most probable tokens that sum up to this probability. */
  topP?: number;
  /** Keep only this many of the most probable tokens; 0 keeps all. */
  topK?: number;
  /** 0–1: drop tokens less probable than this share of the most probable one. */
  minP?: number;
  /** Same seed, same text. */
  seed?: number;
  /** Text, or up to 16 texts, that end the reply and are left out of it. */
  stop?: string | string[];
  /** Above 0; more than 1 makes recently used tokens less probable. */
  repetitionPenalty?: number;
  /** −2 to 2: taken once from each token that the reply already holds. */
  presencePenalty?: number;
  /** −2 to 2: taken from a token for each time that the reply already holds it. */
  frequencyPenalty?: number;
  /** Token id → number added to its logit, −100 to 100. */
  logitBias?: Record<number, number>;
  /** Return the log-probability of each token. */
  logprobs?: boolean;
  /** Return this many of the most probable tokens at each place, 0–20; turns `logprobs` on. */
  topLogprobs?: number;
  tools?: Tool[];
  toolChoice?: ToolChoice;
  responseFormat?: ResponseFormat;
  reasoning?: Reasoning;
  /** Aborting it ends the work; the call fails with an `AbortError`. */
  signal?: AbortSignal;
  providerOptions?: ProviderOptions;
}

/** A request for which `generate` returns the stream. */
export interface StreamingRequest extends Omit<LLMRequest, "stream"> {
  stream: true;
}

/** Token counts; what a provider does not tell is undefined, never 0. */
export interface Usage {
  promptTokens?: number;
  completionTokens?: number;
  totalTokens?: number;
  /** Prompt tokens that were taken from a cache. */
  cachedTokens?: number;
  /** Completion tokens spent on reasoning. */
  reasoningTokens?: number;
}

/** Speeds of one reply. */
export interface Timings {
  /** Milliseconds from the call to the first token, loading the model included. */
  firstTokenMs?: number;
  /** Prompt tokens per second; the clock stops at the first token. */
  promptTokensPerSecond?: number;
  /** Generated tokens per second; the clock starts at the first token. Undefined below 8 tokens. */
  tokensPerSecond?: number;
  /** Tokens that were guessed before they were chosen, and how many of these guesses were right. */
  draftTokens?: number;
  acceptedTokens?: number;
}

/** A token with its natural logarithm of probability. */
export interface TokenProbability {
  token: string;
  tokenId?: number;
  logprob: number;
  /** UTF-8 bytes, where the token alone is not whole text. */
  bytes?: number[];
}

/** A generated token, and the most probable ones in its place. */
export interface TokenLogprob extends TokenProbability {
  topLogprobs: TokenProbability[];
}

/** One thing that was tried for a request. */
export interface Attempt {
  /** Place in the chain of providers, from 0. */
  leg: number;
  provider: string;
  model?: string;
  /** How far it came. */
  phase?: "connect" | "load" | "prompt" | "stream" | "done";
  /** Code of the error; absent on success. */
  code?: string;
  /** HTTP status. */
  status?: number;
  /** The server's own id of this request, where it tells one. */
  serverRequestId?: string;
  durationMs: number;
  /** Why it was not tried at all. */
  skippedBecause?: string;
}

/** A whole reply. */
export interface LLMResponse {
  content: string;
  /** Model that answered. */
  model: string;
  finishReason: FinishReason;
  /** The text of `stop` that ended the reply, where the provider tells it: MLX in this process does. */
  stopSequence?: string;
  responseId: string;
  requestId: string;
  provider: ProviderName;
  /** Milliseconds from the call to the end of the reply. */
  latencyMs: number;
  usage: Usage;
  /** How often a failed call was sent again. */
  retryCount: number;
  /** True if another provider than the first answered. */
  usedFallback: boolean;
  /** That other provider. */
  fallbackProvider?: ProviderName;
  reasoning?: string;
  toolCalls?: ToolCall[];
  logprobs?: TokenLogprob[];
  attempts: Attempt[];
  timings: Timings;
  /** What was not done exactly as asked. */
  warnings: string[];
}

/** What a stream delivers, in order: one start, content, one finish. Errors are thrown instead. */
export type StreamEvent =
  | {
      type: "start";
      provider: ProviderName;
      model: string;
      responseId: string;
      requestId: string;
      /** Tokens of the prompt, where the provider has counted them by then. */
      promptTokens?: number;
      warnings: string[];
    }
  /** With `logprobs` of the tokens that came with it, if they were asked for. */
  | { type: "text"; text: string; logprobs?: TokenLogprob[] }
  | { type: "reasoning"; text: string; logprobs?: TokenLogprob[] }
  /** More of a call's arguments, in JSON; the call itself follows as soon as it is whole. */
  | { type: "tool-call-delta"; index: number; id: string; name: string; argumentsDelta: string }
  | { type: "tool-call"; toolCall: ToolCall }
  | { type: "finish"; response: LLMResponse };

/** Events of one reply; read them, or await `response`, or both. */
export interface LLMStream extends AsyncIterable<StreamEvent> {
  /** The whole reply; awaiting it without reading events drives the stream. */
  readonly response: Promise<LLMResponse>;
}

/** A model that a provider offers. */
export interface ModelInfo {
  id: string;
  provider: ProviderName;
  object: "model";
  /** Unix time in seconds. */
  created?: number;
  ownedBy?: string;
  /** Tokens of prompt and reply together. */
  contextLength?: number;
  description?: string;
  /** Bytes of the weights. */
  size?: number;
  /** For example "4-bit". */
  quantization?: string;
  /** Architecture, for example "llama". */
  family?: string;
  /** For example "completion", "tools", "vision". */
  capabilities?: string[];
  /** True if it is in memory now. */
  loaded?: boolean;
  /** False for a model that cannot run here, for which `description` tells why; for MLX. */
  usable?: boolean;
  /** Folder on this machine. */
  path?: string;
}

/** What the failures of a provider have led to. */
export interface BreakerReport {
  /** Open: others are asked instead; half-open: the next request finds out whether it works again. */
  state: "closed" | "open" | "half-open";
  /** Failures within the last minute, or those that opened it. */
  failures: number;
  /** Seconds until a request is let through again. */
  opensIn?: number;
  /** Code of the last failure. */
  code?: string;
}

/** Health of one provider. */
export interface ProviderHealth {
  provider: ProviderName;
  healthy: boolean;
  /** True if the server answered, or the addon loaded. */
  reachable: boolean;
  /** False if the server refused the credentials. */
  authenticated?: boolean;
  /** Model that was checked. */
  model?: string;
  modelPresent?: boolean;
  modelLoaded?: boolean;
  url?: string;
  /** Version of the server, or of MLX. */
  version?: string;
  /** Where MLX computes. */
  device?: { type: "cpu" | "gpu"; name: string; memorySize?: number };
  /** Milliseconds that the check took. */
  latencyMs: number;
  /** Whether requests are held back after failures. */
  breaker?: BreakerReport;
  /** Code of the error that makes it unhealthy. */
  code?: string;
  /** Why it is unhealthy. */
  reason?: string;
  hint?: string;
}

/** Health of a client: of each provider that it may use. */
export interface HealthReport {
  /** True if at least one provider is healthy. */
  healthy: boolean;
  providers: ProviderHealth[];
}

/** A file of a model. */
export interface ModelFile {
  name: string;
  /** Bytes. */
  size: number;
}

/** Everything that a provider tells of one model; what it does not tell is undefined. */
export interface ModelDetails extends ModelInfo {
  /** How many numbers its weights are. */
  parameters?: number;
  files?: ModelFile[];
  /** True if it says how a conversation is written. */
  hasTemplate?: boolean;
  license?: string;
  /** Commit on the Hub. */
  revision?: string;
}

/** What a model takes in memory, and what of it this machine has room for; sizes in bytes. */
export interface ModelFit {
  id: string;
  /** Its folder. */
  path: string;
  /** Whether weights and caches of `context` tokens fit, and the model is made for so many. */
  fits: boolean;
  weightBytes: number;
  /** Of 1,000 tokens, in the layers that look back on the whole text. */
  cacheBytesPer1000Tokens: number;
  /** The most of those layers that look back on a part of it. */
  windowBytes: number;
  /** Of the layers whose state is as large whatever the text. */
  stateBytes: number;
  /** The context that was asked about. */
  context: number;
  /** Of all layers, for `context` tokens. */
  cacheBytes: number;
  /** What models may take on this machine. */
  memoryLimit: number;
  /** Tokens that the model is made for, where it says so. */
  contextLength?: number;
  /** Tokens that memory and model allow; 0 if not even the weights fit, absent if nothing bounds them. */
  longestContext?: number;
}

/** A model that is no longer there. */
export interface RemovedModel {
  id: string;
  /** Bytes that became free. */
  bytes: number;
}

/** How the tokens of a text become its one vector. */
export type Pooling =
  | "cls"
  | "lasttoken"
  | "max"
  | "mean"
  | "mean_sqrt_len_tokens"
  | "weightedmean";

/** What vectors are asked for. */
export interface EmbedOptions {
  /** Model name; the one of the configuration unless told. */
  model?: string;
  /** What the texts are for: the model's own prompt for it is put before each. Only for MLX. */
  inputType?: "query" | "document";
  /** What is put before each text, in the place of the model's own prompts. */
  prompt?: string;
  /** Numbers of each vector: its first ones, at length 1 again. For models that were made for it. */
  dimensions?: number;
  /** True: cut texts that are too long for the model, and tell so in `warnings`; they are refused unless told. */
  truncate?: boolean;
  /** How tokens become a vector, where the checkpoint does not say. Only for MLX. */
  pooling?: Pooling;
  /** Aborting it ends the work. */
  signal?: AbortSignal;
}

/** Embeddings of texts, in their order. */
export interface EmbeddingResponse {
  embeddings: number[][];
  model: string;
  provider: ProviderName;
  usage: Usage;
  warnings: string[];
}

/** What an order of documents is asked for. */
export interface RerankOptions {
  /** Model name; the one of the configuration unless told. */
  model?: string;
  /** Most documents that are given back; all unless told. */
  topN?: number;
  /** What the query is looking for, for models that take an instruction. */
  instruction?: string;
  /** True: cut documents that are too long for the model, and tell so in `warnings`; they are refused unless told. */
  truncate?: boolean;
  /** Aborting it ends the work. */
  signal?: AbortSignal;
}

/** How well a document answers a query. */
export interface RankedDocument {
  /** Its place among those that were given. */
  index: number;
  /** The higher, the better; most models give numbers from 0 to 1. */
  score: number;
  document: string;
}

/** Documents, the best first. */
export interface RerankResponse {
  results: RankedDocument[];
  model: string;
  provider: ProviderName;
  usage: Usage;
  warnings: string[];
}

/** How far the download of a model has come. */
export interface PullProgress {
  /** What is being done, in the provider's words. */
  status: string;
  /** Part that is being downloaded. */
  digest?: string;
  /** Bytes of that part, or of all. */
  total?: number;
  completed?: number;
  /** Folder of the model, at the end; for MLX. */
  path?: string;
}

/** The beginning of a call, for `onStart`. */
export interface StartInfo {
  requestId: string;
  /** The request as it was given, checked. */
  request: Omit<LLMRequest, "stream">;
  /** True if its reply is read event by event. */
  streams: boolean;
}

/** Where a request stands, for `onAttempt`. */
export interface AttemptInfo {
  requestId: string;
  /** What was tried, or why it was not. */
  attempt: Attempt;
}

/** A failed attempt that will be repeated, for `onRetry`. */
export interface RetryInfo extends AttemptInfo {
  /** Seconds until it is repeated. */
  delay: number;
  error: LLMError;
}

/** A failed leg that is left for the next one, for `onFallback`. */
export interface FallbackInfo {
  requestId: string;
  from: { leg: number; provider: ProviderName; model?: string };
  to: { leg: number; provider: ProviderName; model?: string };
  error: LLMError;
}

/** The end of a call, for `onFinish`: a response or an error. */
export interface FinishInfo {
  requestId: string;
  response?: LLMResponse;
  error?: LLMError;
}

/** Functions that are told what happens; what they throw is logged and changes nothing. */
export interface Hooks {
  onStart?(info: StartInfo): void;
  onAttempt?(info: AttemptInfo): void;
  onRetry?(info: RetryInfo): void;
  onFallback?(info: FallbackInfo): void;
  onFinish?(info: FinishInfo): void;
}

/** Where a client writes what happens; `console` is one. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** How one provider is used. Durations are seconds. */
export interface LegConfig {
  /** Which provider to use; "auto" unless told. */
  provider?: ProviderName | "auto";
  /** Model for requests that name none. */
  model?: string;
  /**
   * Address of the server, by default http://localhost:11434 for Ollama and http://localhost:1234
   * for LM Studio. For MLX a folder of a model, or of models, or the address of an `mlx_lm.server`.
   */
  baseUrl?: string;
  /** Sent as a bearer token, only if it is set. */
  apiKey?: string;
  /** Longest silence allowed between pieces of content, and time for lists and health checks; 30. */
  timeout?: number;
  /** Time to connect; 3. */
  connectTimeout?: number;
  /** Time for loading the model and reading the prompt; 300, or `timeout` if only that is given. */
  firstTokenTimeout?: number;
  /** False accepts any TLS certificate from this server, with a warning. */
  verifySsl?: boolean;
  /** How often a failed request is sent again to the same server; 3. */
  maxRetries?: number;
  /** Time before the first retry; 1. */
  retryDelay?: number;
  /** Longest time before a retry; 10. */
  retryMaxDelay?: number;
  /** By what the time grows from retry to retry; 2. */
  retryExponentialBase?: number;
  /** Most requests at a time; others wait for their turn. No limit unless told. */
  maxConcurrent?: number;
  /**
   * For MLX: bytes that a model may hold of the prompts and replies it has read, so that those which
   * begin alike are not read again. An eighth of the memory for models unless told; 0 holds none.
   */
  promptCacheBytes?: number;
  /** For MLX: a folder that keeps them for later processes, too, in up to 10 GB. */
  promptCacheFolder?: string;
  /** For MLX: time without use after which a model leaves memory; it stays unless told. */
  idleUnload?: number;
}

/** How a client is set up. Durations are seconds. */
export interface LLMConfig extends LegConfig, Hooks {
  /** Time for a whole call with all its attempts. */
  deadline?: number;
  /** How long a list of models is kept; 300; 0 keeps none. */
  cacheTtl?: number;
  /** Who is asked, in this order, when the first provider fails; what is not given is as above. */
  fallbackConfigs?: LegConfig[];
  /** Told of retries, fallbacks and warnings; nothing is logged without it. */
  logger?: Logger;
}
