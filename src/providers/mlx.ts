import { homedir } from "node:os";
import { resolve } from "node:path";
import { untilAborted } from "../abort.js";
import type { LLMError } from "../errors.js";
import { generateText, type GenerationOutcome } from "../mlx/generation.js";
import { findModel, listLocalModels } from "../mlx/model-files.js";
import type { ModelSearch } from "../mlx/model-places.js";
import { loadModel } from "../mlx/model.js";
import { type ModelLease, ModelPool } from "../mlx/model-pool.js";
import { loadNative, nativeAvailability } from "../mlx/native.js";
import { generationError } from "../mlx/native-errors.js";
import { buildPrompt } from "../mlx/prompt.js";
import { toNativeSampling } from "../mlx/sampling.js";
import type { CheckedRequest } from "../request.js";
import type {
  LLMResponse,
  ModelInfo,
  ProviderHealth,
  StreamEvent,
  Timings,
  Usage,
} from "../types.js";
import {
  abortedBy,
  type CallContext,
  checkCapabilities,
  type OptionalFeature,
  type Provider,
  successFields,
} from "./provider.js";

const DEMO = "demo";

/** Runs MLX models in this process, through the addon. The addon loads at the first use. */
export class MlxProvider implements Provider {
  readonly name = "mlx";
  readonly capabilities: ReadonlySet<OptionalFeature> = new Set([
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
  ]);
  readonly #model?: string;
  readonly #folder?: string;
  readonly #pool = new ModelPool((folder) => loadModel(folder, loadNative()));

  /** `model` is for requests that name none; `folder` is a model, or holds models. */
  constructor({ model, folder }: { model?: string; folder?: string } = {}) {
    this.#model = model;
    if (folder !== undefined) this.#folder = resolve(folder.replace(/^~(?=\/|$)/, homedir()));
  }

  async *stream(request: CheckedRequest, context: CallContext): AsyncGenerator<StreamEvent> {
    const model = request.model ?? this.#defaultModel();
    let partial: string | undefined;
    try {
      for await (const event of this.#generate(request, model, context)) {
        if (event.type === "text") partial = (partial ?? "") + event.text;
        yield event;
      }
    } catch (error) {
      const details = { provider: this.name, model, requestId: context.requestId, partial };
      if (context.signal.aborted) throw abortedBy(context.signal, details);
      throw generationError(error, details);
    }
  }

  async listModels({ signal }: { signal: AbortSignal }): Promise<ModelInfo[]> {
    const models = await untilAborted(listLocalModels(this.#search()), signal);
    const loaded = this.#pool.folders;
    return models.map((info) => ({ ...info, loaded: loaded.includes(info.path ?? "") }));
  }

  async health({ signal }: { signal: AbortSignal }): Promise<ProviderHealth> {
    const startedAt = performance.now();
    const model = this.#defaultModel();
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
    request: CheckedRequest,
    name: string,
    context: CallContext,
  ): AsyncGenerator<StreamEvent> {
    const { signal, responseId, requestId, startedAt } = context;
    const warnings = checkCapabilities(request, this);
    if (name === DEMO && request.model === undefined && this.#model === undefined) {
      warnings.push('no model was named, so the small model "demo" answers');
    }
    const lease = await this.#acquire(name, signal);
    try {
      const { model } = lease;
      const prompt = buildPrompt(model, request);
      warnings.push(...prompt.warnings);
      const ids = { provider: this.name, model: name, responseId, requestId } as const;
      yield { type: "start", ...ids, warnings: [...warnings] };
      const sampling = toNativeSampling(request, model, prompt.maxTokens);
      const preparedMs = performance.now() - startedAt;
      const job = { tokens: prompt.tokens, sampling, stops: request.stop, signal };
      const outcome = yield* generateText(model, job);
      const { content, finishReason } = outcome;
      const response: LLMResponse = {
        ...successFields(this.name, name, context),
        content,
        finishReason,
        usage: usageOf(outcome),
        logprobs: sampling.logprobs ? outcome.logprobs : undefined,
        timings: timingsOf(outcome, preparedMs),
        warnings,
      };
      yield { type: "finish", response };
    } finally {
      lease.release();
    }
  }

  /** Loads a model; after an abort the load itself goes on, and the next call finds it done. */
  async #acquire(name: string, signal: AbortSignal): Promise<ModelLease> {
    // First, because where MLX cannot run it does not matter which models there are.
    loadNative();
    const finding = findModel(name, this.#search());
    const acquiring = finding.then((folder) => this.#pool.acquire(folder));
    try {
      return await untilAborted(acquiring, signal);
    } catch (error) {
      acquiring.then(
        (lease) => lease.release(),
        () => {},
      );
      throw error;
    }
  }

  #search(): ModelSearch {
    return { folders: this.#folder === undefined ? [] : [this.#folder] };
  }

  #defaultModel(): string {
    return this.#model ?? this.#folder ?? DEMO;
  }

  /** Generates one token; gives back what went wrong. */
  async #probe(model: string, signal: AbortSignal): Promise<LLMError | undefined> {
    try {
      const lease = await this.#acquire(model, signal);
      try {
        const tokens = Uint32Array.of(lease.model.stopTokens[0] ?? 0);
        const sampling = { maxTokens: 1, stopTokens: [], temperature: 0 };
        const pieces = generateText(lease.model, { tokens, sampling, stops: [], signal });
        while (!(await pieces.next()).done);
      } finally {
        lease.release();
      }
    } catch (error) {
      return signal.aborted ? abortedBy(signal, {}) : generationError(error, {});
    }
  }
}

function describeEngine(): Pick<ProviderHealth, "reachable" | "version" | "device"> {
  if (!nativeAvailability().ok) return { reachable: false };
  const addon = loadNative();
  const { type, name, memorySize } = addon.device();
  return { reachable: true, version: addon.version().mlx, device: { type, name, memorySize } };
}

function usageOf({ stats, completionTokens }: GenerationOutcome): Usage {
  const { promptTokens } = stats;
  return { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens };
}

/** The speeds as mlx-lm counts them: the first token ends the prompt's time. */
function timingsOf({ stats }: GenerationOutcome, preparedMs: number): Timings {
  const { promptTokens, completionTokens, promptMs, decodeMs } = stats;
  return {
    firstTokenMs: preparedMs + promptMs,
    promptTokensPerSecond: perSecond(promptTokens, promptMs),
    tokensPerSecond: perSecond(completionTokens, decodeMs),
  };
}

function perSecond(count: number, milliseconds: number): number | undefined {
  return milliseconds > 0 ? (count / milliseconds) * 1000 : undefined;
}
