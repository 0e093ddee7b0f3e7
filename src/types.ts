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
  | { type: "json_schema"; schema: Record<string, unknown>; name?: string; strict?: boolean };

/** Whether, or how hard, the model thinks before it answers. */
export type Reasoning = boolean | "low" | "medium" | "high";

/** Options of the MLX provider only. */
export interface MlxOptions {
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
  /** Prompt tokens that are evaluated at a time, up to 8192; 2048 unless told. */
  prefillStepSize?: number;
}

/** Options that only one provider knows, under its name. */
export interface ProviderOptions {
  mlx?: MlxOptions;
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
      warnings: string[];
    }
  | { type: "text"; text: string }
  | { type: "reasoning"; text: string }
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
  /** Folder on this machine. */
  path?: string;
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

/** How a client is set up. Durations are seconds. */
export interface LLMConfig {
  /** Which provider to use; "auto" unless told. */
  provider?: ProviderName | "auto";
  /** Model for requests that name none. */
  model?: string;
  /** For MLX: the folder of a model, or a folder of model folders. */
  baseUrl?: string;
  /** Longest silence allowed between pieces of content, and time for lists and health checks; 30. */
  timeout?: number;
  /** Time for loading the model and reading the prompt; 300, or `timeout` if only that is given. */
  firstTokenTimeout?: number;
  /** Time for a whole call. */
  deadline?: number;
  /** How long a list of models is kept; 300; 0 keeps none. */
  cacheTtl?: number;
}
