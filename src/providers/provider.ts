import { ValidationError } from "../errors.js";
import type { CheckedRequest } from "../request.js";
import type {
  Attempt,
  LLMResponse,
  ModelInfo,
  ProviderHealth,
  ProviderName,
  StreamEvent,
} from "../types.js";

/** Options that only some providers honour. */
export type OptionalFeature =
  | "images"
  | "tools"
  | "responseFormat"
  | "reasoning"
  | "stop"
  | "seed"
  | "topP"
  | "topK"
  | "minP"
  | "repetitionPenalty"
  | "presencePenalty"
  | "frequencyPenalty"
  | "logitBias"
  | "logprobs";

/** What a call brings along besides its request. */
export interface CallContext {
  /** Aborting it ends the call at once. */
  signal: AbortSignal;
  requestId: string;
  responseId: string;
  /** `performance.now()` at the start of the call. */
  startedAt: number;
}

/** What a provider delivers; whatever else a `StreamEvent` has is filled in by `runAttempt`. */
export type ProviderEvent =
  | { type: "start"; model: string; warnings: string[] }
  | Exclude<StreamEvent, { type: "start" | "finish" }>
  | ({ type: "finish" } & Pick<LLMResponse, "finishReason" | "usage" | "timings" | "logprobs">);

/** One way to run models. Providers only stream; whole replies are collected above them. */
export interface Provider {
  readonly name: ProviderName;
  /** The model for requests that name none, where that is known before asking. */
  readonly defaultModel?: string;
  /** What a call does before its start event. */
  readonly firstPhase: Attempt["phase"];
  /** What it honours; of anything else a request is freed or refused before `stream` sees it. */
  readonly capabilities: ReadonlySet<OptionalFeature>;
  /**
   * Delivers one start event, then content, then one finish event. Leaving the loop or aborting
   * ends the work.
   */
  stream(request: CheckedRequest, context: CallContext): AsyncIterable<ProviderEvent>;
  listModels(options: { signal: AbortSignal }): Promise<ModelInfo[]>;
  /** Whether a listed model is in memory now, where that can be told without asking anybody. */
  isLoaded?(model: ModelInfo): boolean;
  /** Reports what is wrong instead of throwing. */
  health(options: { signal: AbortSignal }): Promise<ProviderHealth>;
  /** Ends all work and frees everything; it may be called twice. */
  close(): Promise<void>;
}

/** Options that shape the reply a little; a provider without them still gives a useful one. */
const LEAVE_OUT: OptionalFeature[] = [
  "reasoning",
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
      { code: "unsupported", provider: provider.name, model: request.model },
    );
  }
  return missing.map((feature) => `${feature} was left out: ${provider.name} does not support it`);
}

function featuresOf(request: CheckedRequest): OptionalFeature[] {
  const { tools, toolChoice, responseFormat, reasoning, logprobs, topLogprobs } = request;
  const asked: Record<OptionalFeature, boolean> = {
    images: request.messages.some(
      ({ content }) => typeof content !== "string" && content.some(({ type }) => type === "image"),
    ),
    tools: (tools?.length ?? 0) > 0 || (toolChoice !== undefined && toolChoice !== "none"),
    responseFormat: responseFormat !== undefined && responseFormat.type !== "text",
    reasoning: reasoning !== undefined,
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
  };
  return (Object.keys(asked) as OptionalFeature[]).filter((feature) => asked[feature]);
}
