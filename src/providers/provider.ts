import { ValidationError } from "../errors.js";
import type { CheckedPromptCache, CheckedRequest } from "../request.js";
import type {
  Attempt,
  EmbeddingResponse,
  EmbedOptions,
  LLMResponse,
  ModelDetails,
  ModelInfo,
  PromptCacheInfo,
  ProviderHealth,
  ProviderName,
  PullProgress,
  RemovedModel,
  RerankOptions,
  StreamEvent,
  Usage,
} from "../types.js";

/** Options that only some providers honour. */
export type OptionalFeature =
  | "images"
  | "tools"
  | "toolChoice"
  | "responseFormat"
  | "regex"
  | "grammar"
  | "reasoning"
  | "reasoning.maxTokens"
  | "stop"
  | "seed"
  | "topP"
  | "topK"
  | "minP"
  | "repetitionPenalty"
  | "presencePenalty"
  | "frequencyPenalty"
  | "logitBias"
  | "logprobs"
  | "promptCacheFile";

/** What a call brings along besides its request. */
export interface CallContext {
  /** Aborting it ends the call at once. */
  signal: AbortSignal;
  requestId: string;
  responseId: string;
  /** `performance.now()` at the start of the call. */
  startedAt: number;
  /** Told how far the call has come, for the record of attempts. */
  onProgress?(progress: Pick<Attempt, "phase" | "status" | "serverRequestId">): void;
}

/** What a provider delivers; whatever else a `StreamEvent` has is filled in by the layers above. */
export type ProviderEvent =
  | { type: "start"; model: string; promptTokens?: number; warnings: string[] }
  /** Content came that cannot be delivered yet, such as a part of a tool call. */
  | { type: "progress" }
  | Exclude<StreamEvent, { type: "start" | "finish" }>
  | ({ type: "finish" } & Pick<
      LLMResponse,
      "finishReason" | "stopSequence" | "usage" | "timings" | "logprobs"
    > & {
        /** What turned out only during the reply. */
        warnings?: string[];
      });

/** A question about models, outside of any request. */
export interface QueryContext {
  signal: AbortSignal;
}

/** What a download is told besides its model. */
export interface PullContext extends QueryContext {
  /** The one file to take of several. */
  file?: string | undefined;
  /** Only look whether it is there. */
  offline?: boolean | undefined;
}

/** Texts that are to become vectors; how many numbers these have is seen to above. */
export interface EmbedQuestion extends Omit<EmbedOptions, "model" | "dimensions" | "signal"> {
  texts: string[];
}

/** Documents that are to be judged by a query. */
export interface RerankQuestion extends Pick<RerankOptions, "instruction" | "truncate"> {
  query: string;
  documents: string[];
}

/** How well each document answers, in their order. */
export interface RerankScores {
  scores: number[];
  model: string;
  usage: Usage;
  warnings: string[];
}

/** One way to run models. Providers only stream; whole replies are collected above them. */
export interface Provider {
  readonly name: ProviderName;
  /** Address or folder that it uses. */
  readonly url?: string;
  /** The model for requests that name none, where that is known before asking. */
  readonly defaultModel?: string;
  /** What a call does first. */
  readonly firstPhase: Attempt["phase"];
  /** What it honours; of anything else a request is freed or refused before `stream` sees it. */
  readonly capabilities: ReadonlySet<OptionalFeature>;
  /** True if its replies have the form that a request asks for by themselves. */
  readonly keepsForm?: boolean;
  /** Why it cannot work on this machine; undefined where it can. Asked before anything else. */
  unavailableBecause?(): string | undefined;
  /** True for a model that no other provider can know; undefined is a request that names none. */
  isMeantBy?(model: string | undefined): boolean;
  /** True where a reply may pause for as long as its beginning takes, without being broken. */
  mayPause?(request: CheckedRequest): boolean;
  /**
   * Delivers one start event, then content, then one finish event, in batches: what came together
   * is delivered together. Leaving the loop or aborting ends the work.
   */
  stream(request: CheckedRequest, context: CallContext): AsyncIterable<readonly ProviderEvent[]>;
  listModels(context: QueryContext): Promise<ModelInfo[]>;
  /** Whether a listed model is in memory now, where that can be told without asking anybody. */
  isLoaded?(model: ModelInfo): boolean;
  /** Tokens that the model has room for; undefined where that is not known. */
  contextLength?(model: string | undefined, context: QueryContext): Promise<number | undefined>;
  /** Reports what is wrong instead of throwing. */
  health(context: QueryContext): Promise<ProviderHealth>;
  /** Brings the model into memory. */
  loadModel?(model: string | undefined, context: QueryContext): Promise<void>;
  /** Frees the memory that the model takes. */
  unloadModel?(model: string | undefined, context: QueryContext): Promise<void>;
  /** Downloads a model. */
  pullModel?(model: string, context: PullContext): AsyncIterable<PullProgress>;
  /** Everything that is known of a model; it is not loaded for that. */
  showModel?(model: string, context: QueryContext): Promise<ModelDetails>;
  /** Deletes a model from this machine. */
  removeModel?(model: string, context: QueryContext): Promise<RemovedModel>;
  /** Writes what a model keeps of a text into a file. */
  writePromptCache?(
    question: CheckedPromptCache,
    model: string | undefined,
    context: QueryContext,
  ): Promise<PromptCacheInfo>;
  /** Lets a model remember what such a file holds. */
  readPromptCache?(
    question: CheckedPromptCache,
    model: string | undefined,
    context: QueryContext,
  ): Promise<PromptCacheInfo>;
  /** Tokens that the model would read of a request. */
  countTokens?(request: CheckedRequest, context: QueryContext): Promise<number>;
  /** One vector for each text. */
  embed?(
    question: EmbedQuestion,
    model: string | undefined,
    context: QueryContext,
  ): Promise<EmbeddingResponse>;
  /** Most texts that it is to be given at a time; any number unless told. */
  readonly mostTexts?: number;
  /** Judges documents by a query. */
  rerank?(
    question: RerankQuestion,
    model: string | undefined,
    context: QueryContext,
  ): Promise<RerankScores>;
  /** Ends all work and frees everything; it may be called twice. */
  close(): Promise<void>;
}

/** Adds text to a batch; what came together becomes one event. */
export function addText(batch: ProviderEvent[], type: "text" | "reasoning", text: string): void {
  const last = batch.at(-1);
  if (last?.type === type) last.text += text;
  else batch.push({ type, text });
}

/** Options that shape the reply a little; a provider without them still gives a useful one. */
const LEAVE_OUT: OptionalFeature[] = [
  "reasoning",
  "reasoning.maxTokens",
  "seed",
  "topP",
  "topK",
  "minP",
  "repetitionPenalty",
  "presencePenalty",
  "frequencyPenalty",
];

/**
 * Compares what a request asks for with what a provider honours. Throws a `ValidationError` for
 * what would change the meaning of the reply; gives back warnings for the rest.
 */
export function checkCapabilities(request: CheckedRequest, provider: Provider): string[] {
  const missing = featuresOf(request).filter((feature) => !provider.capabilities.has(feature));
  const refused = missing.filter((feature) => !LEAVE_OUT.includes(feature));
  if (refused.length > 0) {
    throw new ValidationError(
      `Provider "${provider.name}" does not support ${refused.join(", ")} in this version.`,
      {
        code: "unsupported",
        provider: provider.name,
        model: request.model,
        hint: "Another provider may: the table of options in docs/api.md tells which.",
      },
    );
  }
  return missing.map((feature) => `${feature} was left out: ${provider.name} does not support it`);
}

/** Texts that a server takes in one request. */
export const TEXTS_OF_REQUEST = 128;

/**
 * The texts as a server is given them, which knows nothing of prompts. Throws a `ValidationError`
 * for what only the files of a model tell.
 */
export function plainTexts(
  { texts, inputType, pooling, truncate, prompt = "" }: EmbedQuestion,
  { name }: Provider,
  canTruncate = false,
): string[] {
  const others = { inputType, pooling, truncate: truncate && !canTruncate };
  const option = Object.entries(others).find(([, value]) => value)?.[0];
  if (option === undefined) return prompt === "" ? texts : texts.map((text) => prompt + text);
  throw new ValidationError(`Provider "${name}" does not support ${option}.`, {
    code: "unsupported",
    provider: name,
    hint: option === "inputType" ? "Give the prompt of the model as prompt." : undefined,
  });
}

function featuresOf(request: CheckedRequest): OptionalFeature[] {
  const { tools, toolChoice, reasoning, reasoningBudget } = request;
  const format = request.responseFormat?.type;
  const { logprobs, topLogprobs } = request;
  const asked: Record<OptionalFeature, boolean> = {
    images: request.messages.some(
      ({ content }) => typeof content !== "string" && content.some(({ type }) => type === "image"),
    ),
    tools: (tools?.length ?? 0) > 0,
    toolChoice: toolChoice === "required" || typeof toolChoice === "object",
    responseFormat: format === "json_object" || format === "json_schema",
    regex: format === "regex",
    grammar: format === "grammar",
    reasoning: reasoning !== undefined,
    "reasoning.maxTokens": reasoningBudget !== undefined,
    stop: request.stop.length > 0,
    seed: request.seed !== undefined,
    topP: request.topP !== undefined,
    topK: request.topK !== undefined,
    minP: request.minP !== undefined,
    repetitionPenalty: request.repetitionPenalty !== undefined,
    presencePenalty: request.presencePenalty !== undefined,
    frequencyPenalty: request.frequencyPenalty !== undefined,
    logitBias: request.logitBias !== undefined,
    logprobs: logprobs === true || topLogprobs !== undefined,
    promptCacheFile: request.providerOptions?.mlx?.promptCacheFile !== undefined,
  };
  return (Object.keys(asked) as OptionalFeature[]).filter((feature) => asked[feature]);
}
