import { resolve } from "node:path";
import { abortedBy, untilAborted } from "../abort.js";
import { type LLMError, ModelLoadError, ValidationError } from "../errors.js";
import type { PullSettings } from "../hub/pull.js";
import type { GenerationOutcome } from "../mlx/generation.js";
import { expandHome } from "../home-folder.js";
import { DEMO, looksLikePath, type ModelSearch } from "../mlx/model-names.js";
import type { Continuation, Keeper } from "../mlx/kept-prompt.js";
import type { LoadedModel, LoadOptions } from "../mlx/model.js";
import { type ModelLease, ModelPool, type WantedModel } from "../mlx/model-pool.js";
import { loadNative, nativeAvailability } from "../mlx/native.js";
import type { PromptCacheOptions } from "../mlx/prompt-cache.js";
import { generationError } from "../mlx/native-errors.js";
import type { NativeSampling } from "../mlx/native-types.js";
import { toNativeSampling } from "../mlx/sampling.js";
import type { CheckedPromptCache, CheckedRequest } from "../request.js";
import type {
  EmbeddingResponse,
  MlxOptions,
  ModelDetails,
  ModelInfo,
  PromptCacheInfo,
  ProviderHealth,
  PullProgress,
  RemovedModel,
  Timings,
  Usage,
} from "../types.js";
import type {
  CallContext,
  EmbedQuestion,
  OptionalFeature,
  Provider,
  ProviderEvent,
  PullContext,
  QueryContext,
  RerankQuestion,
  RerankScores,
} from "./provider.js";

/** Replies of fewer tokens tell nothing about the speed. */
const FEWEST_TIMED = 8;

/** What an MLX provider is set up with. */
export interface MlxSettings extends PromptCacheOptions {
  model?: string;
  folder?: string;
  /** Seconds without use after which a model leaves memory. */
  idleUnload?: number;
  /** How patient and persistent downloads are. */
  download?: PullSettings;
}

/** Runs MLX models in this process, through the addon. The addon loads at the first use. */
export class MlxProvider implements Provider {
  readonly name = "mlx";
  readonly capabilities: ReadonlySet<OptionalFeature> = new Set([
    "images",
    "tools",
    "toolChoice",
    "reasoning",
    "reasoning.maxTokens",
    "responseFormat",
    "regex",
    "grammar",
    "stop",
    "seed",
    "topP",
    "topK",
    "minP",
    "repetitionPenalty",
    "presencePenalty",
    "frequencyPenalty",
    "logitBias",
    "logprobs",
    "promptCacheFile",
  ]);
  readonly firstPhase = "load";
  readonly keepsForm = true;
  readonly defaultModel: string;
  readonly #isModelNamed: boolean;
  readonly #search: ModelSearch;
  readonly #download: PullSettings | undefined;
  readonly #pool: ModelPool;

  /** `model` is for requests that name none; `folder` is a model, or holds models. */
  constructor(settings: MlxSettings = {}) {
    const { model, folder, promptCacheBytes, promptCacheFolder, idleUnload, download } = settings;
    const path = folder === undefined ? undefined : resolve(expandHome(folder));
    this.defaultModel = model ?? path ?? DEMO;
    this.#isModelNamed = model !== undefined;
    this.#download = download;
    const kept = promptCacheFolder && resolve(expandHome(promptCacheFolder));
    const promptCache = { promptCacheBytes, promptCacheFolder: kept };
    this.#pool = new ModelPool(async ({ folder, ...options }, signal) => {
      // Tokenizers and templates take a while to load, and who asks servers never needs them.
      const { loadModel } = await import("../mlx/model.js");
      return loadModel(folder, loadNative(), signal, { ...options, ...promptCache });
    }, idleUnload);
    this.#search = { folders: path === undefined ? [] : [path] };
  }

  isMeantBy(model: string | undefined): boolean {
    if (model === undefined) return this.#search.folders?.length === 1;
    return model === DEMO || looksLikePath(model);
  }

  unavailableBecause(): string | undefined {
    const availability = nativeAvailability();
    return availability.ok ? undefined : availability.message;
  }

  async *stream(
    request: CheckedRequest,
    context: CallContext,
  ): AsyncGenerator<readonly ProviderEvent[]> {
    try {
      yield* this.#generate(request, context);
    } catch (error) {
      throw generationError(error);
    }
  }

  async listModels({ signal }: { signal: AbortSignal }): Promise<ModelInfo[]> {
    const { listLocalModels } = await import("../mlx/model-files.js");
    const models = await untilAborted(listLocalModels(this.#search), signal);
    return models.map(judged);
  }

  async showModel(model: string, { signal }: QueryContext): Promise<ModelDetails> {
    const folder = await untilAborted(this.#folderOf(model), signal);
    const { showLocalModel } = await import("../mlx/model-details.js");
    const details = judged(await untilAborted(showLocalModel(model, folder), signal));
    return { ...details, loaded: this.#pool.isLoaded(folder) };
  }

  async removeModel(model: string): Promise<RemovedModel> {
    const { removeLocalModel } = await import("../mlx/model-removal.js");
    return removeLocalModel(model, this.#search);
  }

  isLoaded({ path }: ModelInfo): boolean {
    return path !== undefined && this.#pool.isLoaded(path);
  }

  async contextLength(model?: string): Promise<number | undefined> {
    const { readModelFiles } = await import("../mlx/model-files.js");
    const folder = await this.#folderOf(model ?? this.defaultModel);
    return (await readModelFiles(folder)).contextLength;
  }

  async loadModel(model: string | undefined, { signal }: QueryContext): Promise<void> {
    try {
      (await this.#acquire(model ?? this.defaultModel, signal)).release();
    } catch (error) {
      throw signal.aborted ? abortedBy(signal) : generationError(error);
    }
  }

  async unloadModel(model?: string): Promise<void> {
    this.#pool.release(await this.#folderOf(model ?? this.defaultModel));
  }

  async embed(
    question: EmbedQuestion,
    name: string = this.defaultModel,
    { signal }: QueryContext,
  ): Promise<EmbeddingResponse> {
    const { embedTexts } = await import("../mlx/embedding.js");
    return this.#withModel(name, signal, async (model) => {
      const { vectors: embeddings, tokens, warnings } = await embedTexts(model, question, signal);
      const usage = { promptTokens: tokens, totalTokens: tokens };
      return { embeddings, model: name, provider: this.name, usage, warnings };
    });
  }

  async rerank(
    question: RerankQuestion,
    name: string = this.defaultModel,
    { signal }: QueryContext,
  ): Promise<RerankScores> {
    const { scoreDocuments } = await import("../mlx/reranking.js");
    return this.#withModel(name, signal, async (model) => {
      const { scores, tokens, warnings } = await scoreDocuments(model, question, signal);
      return {
        scores,
        model: name,
        usage: { promptTokens: tokens, totalTokens: tokens },
        warnings,
      };
    });
  }

  async *pullModel(model: string, context: PullContext): AsyncGenerator<PullProgress> {
    // It came with the package.
    if (model === DEMO) return yield { status: "success", path: await this.#folderOf(model) };
    // What talks to the Hub takes a while to load.
    const { pullFromHub, PULL_DEFAULTS } = await import("../hub/pull.js");
    yield* pullFromHub({ ...context, model }, this.#download ?? PULL_DEFAULTS);
  }

  async writePromptCache(
    { file, messages = [], providerOptions }: CheckedPromptCache,
    model: string | undefined,
    { signal }: QueryContext,
  ): Promise<PromptCacheInfo> {
    const { writeKeptPrompt } = await import("../mlx/kept-prompt.js");
    const options = providerOptions?.mlx;
    return this.#withKeeper(model, options, signal, (keeper) =>
      writeKeptPrompt(keeper, file, { messages, options }, signal),
    );
  }

  async readPromptCache(
    { file, messages, providerOptions }: CheckedPromptCache,
    model: string | undefined,
    { signal }: QueryContext,
  ): Promise<PromptCacheInfo> {
    const { rememberKeptPrompt } = await import("../mlx/kept-prompt.js");
    const options = providerOptions?.mlx;
    return this.#withKeeper(model, options, signal, (keeper) =>
      rememberKeptPrompt(keeper, file, { messages, options }, signal),
    );
  }

  async countTokens(request: CheckedRequest, { signal }: QueryContext): Promise<number> {
    const { countTokens } = await import("../mlx/count-tokens.js");
    const { loadTexts } = await import("../mlx/model.js");
    const folder = await untilAborted(this.#folderOf(request.model ?? this.defaultModel), signal);
    const texts = await untilAborted(this.#pool.find(folder) ?? loadTexts(folder), signal);
    return countTokens(texts, request, signal);
  }

  async health({ signal }: { signal: AbortSignal }): Promise<ProviderHealth> {
    const startedAt = performance.now();
    const model = this.defaultModel;
    const engine = describeEngine();
    const failure = await this.#probe(model, signal);
    const latencyMs = performance.now() - startedAt;
    const health = { provider: this.name, model, latencyMs, ...engine } as const;
    if (!failure) return { ...health, healthy: true, modelPresent: true, modelLoaded: true };
    const { code, message: reason, hint } = failure;
    const modelPresent = code === "model_not_found" ? false : undefined;
    return { ...health, healthy: false, modelPresent, code, reason, hint };
  }

  async close(): Promise<void> {
    this.#pool.close();
  }

  async *#generate(
    asked: CheckedRequest,
    { signal, startedAt }: CallContext,
  ): AsyncGenerator<readonly ProviderEvent[]> {
    const name = asked.model ?? this.defaultModel;
    const { quantize, adapter, distributed, draftModel } = asked.providerOptions?.mlx ?? {};
    if (distributed) refuseShared(asked.providerOptions?.mlx);
    const wanted = await this.#find(name, signal, { quantize, distributed });
    const hasImages = await this.#checkSight(asked, wanted, signal);
    const drafts = draftModel !== undefined && !hasImages;
    const drafting = drafts ? await this.#find(draftModel, signal) : undefined;
    const lease = await this.#pool.acquire(wanted, signal, drafting);
    let adapted: ModelLease | undefined;
    let draft: ModelLease | undefined;
    try {
      checkGenerates(lease.model);
      draft = drafting ? await this.#pool.acquire(drafting, signal, wanted) : undefined;
      if (draft) checkTokens(draft.model, lease.model);
      const folder = adapter ? await this.#findAdapter(adapter, signal) : undefined;
      adapted = folder ? await lease.model.withAdapter(folder, signal) : undefined;
      const { model } = adapted ?? lease;
      const before = await goOnBehind(keeperOf(model, name, folder), asked, signal);
      const request = before?.request ?? asked;
      const { admit } = await import("../mlx/admission.js");
      const { generateText } = await import("../mlx/generation.js");
      const { buildPrompt } = await import("../mlx/prompt.js");
      const { replyGrammar } = await import("../mlx/reply-grammar.js");
      const prompt = before?.prompt ?? (await buildPrompt(model, request, signal));
      const { tokens, images, boundaries, maxTokens, format, warnings } = prompt;
      if (draftModel && hasImages) {
        warnings.push("draftModel was left out: it cannot follow a prompt with images");
      }
      if (name === DEMO && request.model === undefined && !this.#isModelNamed) {
        warnings.push(`no model was named, so the small model "${DEMO}" answers`);
      }
      const promptTokens = tokens.length + (before?.cache.tokens ?? 0);
      const kept = await replyGrammar(model, request, format);
      const { grammar, grammarOfRest } = kept;
      warnings.push(...kept.warnings);
      const sampling: NativeSampling = {
        ...toNativeSampling(request, model, maxTokens),
        ...admit(model, promptTokens, request.providerOptions?.mlx),
        grammar,
        promptCacheFile: before?.cache,
        images,
        boundaries,
        draftModel: draft?.model.native,
      };
      yield [{ type: "start", model: name, promptTokens, warnings }];
      const { stop: stops, reasoning, reasoningBudget } = request;
      const job = { tokens, sampling, stops, format, reasoningBudget, grammarOfRest, signal };
      const outcome = yield* generateText(model, job);
      const isDisobeyed = reasoning === false && (outcome.reasoningTokens ?? 0) > 0;
      const finish = {
        type: "finish" as const,
        finishReason: outcome.finishReason,
        ...(outcome.stopSequence === undefined ? {} : { stopSequence: outcome.stopSequence }),
        usage: usageOf(outcome),
        timings: timingsOf(outcome, startedAt),
        logprobs: outcome.logprobs,
        ...(isDisobeyed && {
          warnings: ["the model reasoned, though reasoning was turned off"],
        }),
      };
      yield [finish];
    } finally {
      adapted?.release();
      draft?.release();
      lease.release();
    }
  }

  /** Whether a request has images; throws where its model, which is not loaded for that, reads none. */
  async #checkSight(
    { messages }: CheckedRequest,
    { folder }: WantedModel,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { checkSight, imagesIn } = await import("../mlx/vision/image-tokens.js");
    if (imagesIn(messages).length === 0) return false;
    const { readModelFiles } = await import("../mlx/model-files.js");
    checkSight(await untilAborted(readModelFiles(folder), signal));
    return true;
  }

  async #folderOf(model: string): Promise<string> {
    // What reads models' files takes a while to load, and who asks servers never needs it.
    const { findModel } = await import("../mlx/model-files.js");
    return findModel(model, this.#search);
  }

  async #acquire(name: string, signal: AbortSignal): Promise<ModelLease> {
    return this.#pool.acquire(await this.#find(name, signal), signal);
  }

  async #find(name: string, signal: AbortSignal, options?: LoadOptions): Promise<WantedModel> {
    // First, because where MLX cannot run it does not matter which models there are.
    loadNative();
    return { folder: await untilAborted(this.#folderOf(name), signal), ...options };
  }

  async #findAdapter(adapter: string, signal: AbortSignal): Promise<string> {
    const { findAdapter } = await import("../mlx/model-files.js");
    return untilAborted(findAdapter(adapter, this.#search), signal);
  }

  /** Does some work with a model in memory. */
  async #withModel<T>(
    name: string,
    signal: AbortSignal,
    work: (model: LoadedModel) => Promise<T>,
  ): Promise<T> {
    let lease: ModelLease | undefined;
    try {
      lease = await this.#acquire(name, signal);
      return await work(lease.model);
    } catch (error) {
      throw signal.aborted ? abortedBy(signal) : generationError(error);
    } finally {
      lease?.release();
    }
  }

  /** Lets a model work on a prompt-cache file. */
  async #withKeeper(
    name: string = this.defaultModel,
    { quantize, adapter }: MlxOptions = {},
    signal: AbortSignal,
    work: (keeper: Keeper) => Promise<PromptCacheInfo>,
  ): Promise<PromptCacheInfo> {
    let lease: ModelLease | undefined;
    let adapted: ModelLease | undefined;
    try {
      lease = await this.#pool.acquire(await this.#find(name, signal, { quantize }), signal);
      checkGenerates(lease.model);
      const folder = adapter ? await this.#findAdapter(adapter, signal) : undefined;
      adapted = folder ? await lease.model.withAdapter(folder, signal) : undefined;
      return await work(keeperOf((adapted ?? lease).model, name, folder));
    } catch (error) {
      throw signal.aborted ? abortedBy(signal) : generationError(error);
    } finally {
      adapted?.release();
      lease?.release();
    }
  }

  /** Generates one token; gives back what went wrong. */
  async #probe(model: string, signal: AbortSignal): Promise<LLMError | undefined> {
    try {
      const lease = await this.#acquire(model, signal);
      try {
        if (lease.model.native.isEncoder) return undefined;
        const tokens = Uint32Array.of(lease.model.stopTokens[0] ?? 0);
        const { generateText } = await import("../mlx/generation.js");
        const sampling = { maxTokens: 1, stopTokens: [], temperature: 0 };
        const pieces = generateText(lease.model, { tokens, sampling, stops: [], signal });
        while (!(await pieces.next()).done);
      } finally {
        lease.release();
      }
    } catch (error) {
      return signal.aborted ? abortedBy(signal) : generationError(error);
    }
  }
}

/** Throws for a model that is made for something else. */
function checkGenerates({ files }: LoadedModel): void {
  if (files.purpose === "generating") return;
  const [what, method] =
    files.purpose === "embedding" ? ["embeddings", "embed"] : ["reranking", "rerank"];
  throw new ValidationError(
    `The model in ${files.folder} generates no text: it is made for ${what}.`,
    {
      code: "unsupported",
      provider: "mlx",
      hint: `Use client.${method} with it, or choose a model that generates.`,
    },
  );
}

/** Throws unless a draft model means the same by its token ids. */
function checkTokens(draft: LoadedModel, model: LoadedModel): void {
  if (model.tokenizer.hasSameTokens(draft.tokenizer)) return;
  const { folder } = draft.files;
  throw new ModelLoadError(
    `The draft model in ${folder} has other tokens than the model in ${model.files.folder}.`,
    {
      code: "draft_tokens_differ",
      url: folder,
      hint: "Choose a smaller model of the same family.",
    },
  );
}

function keeperOf(model: LoadedModel, name: string, adapter: string | undefined): Keeper {
  const publicName = looksLikePath(name) || name === DEMO ? model.files.folder : name;
  return { model, name, publicName, adapter };
}

/** A prompt that goes on behind the text of a file, if there is one. */
async function goOnBehind(
  keeper: Keeper,
  request: CheckedRequest,
  signal: AbortSignal,
): Promise<Continuation | undefined> {
  const { promptCacheFile } = request.providerOptions?.mlx ?? {};
  if (promptCacheFile === undefined) return undefined;
  const { continueKeptPrompt } = await import("../mlx/kept-prompt.js");
  return continueKeptPrompt(keeper, promptCacheFile, request, signal);
}

/**
 * Processes that share a model take one step at a time, and each has a part of what is kept. Asked
 * before the model is loaded: when it is, the others may have refused and ended.
 */
function refuseShared(options: MlxOptions = {}): void {
  const { adapter, draftModel, promptLookup, promptCacheFile } = options;
  const name = Object.entries({
    adapter,
    draftModel,
    promptLookup: typeof promptLookup === "object" ? promptLookup : undefined,
    promptCacheFile,
  }).find(([, value]) => value !== undefined)?.[0];
  if (name === undefined) return;
  throw new ValidationError(
    `providerOptions.mlx.${name} is not for a model that processes share.`,
    { code: "unsupported", hint: `Leave out ${name}, or distributed.` },
  );
}

/** Says whether a model can run here; one whose files are broken is known not to. */
function judged<Info extends ModelInfo>(info: Info): Info {
  if (info.usable === false) return info;
  const why = hindrance(info);
  if (why === undefined) return { ...info, usable: true };
  return { ...info, usable: false, description: `Cannot be used: ${why}`, capabilities: [] };
}

function hindrance({ family }: ModelInfo): string | undefined {
  const availability = nativeAvailability();
  if (!availability.ok) return availability.message;
  if (family !== undefined && loadNative().modelTypes().includes(family)) return undefined;
  return `models of the kind "${family}" are not supported`;
}

function describeEngine(): Pick<ProviderHealth, "reachable" | "version" | "device"> {
  if (!nativeAvailability().ok) return { reachable: false };
  const addon = loadNative();
  const { type, name, memorySize } = addon.device();
  return { reachable: true, version: addon.version().mlx, device: { type, name, memorySize } };
}

function usageOf({ stats, completionTokens, reasoningTokens }: GenerationOutcome): Usage {
  const { promptTokens, cachedTokens } = stats;
  const totalTokens = promptTokens + completionTokens;
  const usage = { promptTokens, completionTokens, totalTokens, cachedTokens };
  return reasoningTokens === undefined ? usage : { ...usage, reasoningTokens };
}

/** The speeds as mlx-lm counts them: the first token ends the prompt's time. */
function timingsOf({ stats, firstTokenAt }: GenerationOutcome, startedAt: number): Timings {
  const { promptTokens, cachedTokens, completionTokens, promptMs, decodeMs } = stats;
  const { draftTokens, acceptedTokens } = stats;
  return {
    // Not the engine's time: a call may have waited for its turn.
    firstTokenMs: firstTokenAt && firstTokenAt - startedAt,
    promptTokensPerSecond: perSecond(promptTokens - cachedTokens, promptMs),
    // The second token is computed while the first is read: a short reply has no speed to speak of.
    tokensPerSecond:
      completionTokens < FEWEST_TIMED ? undefined : perSecond(completionTokens, decodeMs),
    ...(draftTokens > 0 ? { draftTokens, acceptedTokens } : {}),
  };
}

function perSecond(count: number, milliseconds: number): number | undefined {
  return milliseconds > 0 ? (count / milliseconds) * 1000 : undefined;
}
