import type { Calls } from "./calls.js";
import { systemClock } from "./chain/clock.js";
import type { Leg } from "./chain/leg.js";
import { isFinal, mayFollow, planSteps, type Step } from "./chain/plan.js";
import { repeat } from "./chain/retry.js";
import { checkEmbedding, checkReranking } from "./check-question.js";
import { AllProvidersFailedError, type LLMError, typedError, ValidationError } from "./errors.js";
import type { EmbedQuestion, Provider, QueryContext } from "./providers/provider.js";
import type {
  EmbeddingResponse,
  EmbedOptions,
  RankedDocument,
  RerankOptions,
  RerankResponse,
} from "./types.js";

/** What a leg is asked, with its own name of the model. */
type Ask<T> = (leg: Leg, model: string | undefined, context: QueryContext) => Promise<T>;

/** Vectors of texts and the order of documents, from the first leg that gives them. */
export class Vectors {
  readonly #legs: readonly Leg[];
  readonly #calls: Calls;

  constructor(legs: readonly Leg[], calls: Calls) {
    this.#legs = legs;
    this.#calls = calls;
  }

  async embed(texts: string | string[], options: EmbedOptions): Promise<EmbeddingResponse> {
    const { model, dimensions, signal, ...rest } = checkEmbedding({ ...options, texts });
    const question = { ...rest, texts: [rest.texts].flat() };
    const response = await this.#ask("Embedding", model, signal, (leg, name, context) =>
      embedWith(leg, question, name, context),
    );
    return dimensions === undefined ? response : shortened(response, dimensions);
  }

  async rerank(
    query: string,
    documents: string[],
    options: RerankOptions,
  ): Promise<RerankResponse> {
    const { model, topN, signal, ...question } = checkReranking({ ...options, query, documents });
    return this.#ask("Reranking", model, signal, async (leg, name, context) => {
      const { provider } = leg;
      if (!provider.rerank) throw notSupported(provider, "reranking");
      const ask = () => provider.rerank!(question, name, context);
      const { scores, ...response } = await inTurn(leg, context, ask);
      const results = scores
        .map((score, index): RankedDocument => ({ index, score, document: documents[index]! }))
        .sort((a, b) => b.score - a.score)
        .slice(0, topN);
      return { results, provider: provider.name, ...response };
    });
  }

  /** Asks one leg after the other, as far as they have the same model. */
  async #ask<T>(
    what: string,
    model: string | undefined,
    caller: AbortSignal | undefined,
    ask: Ask<T>,
  ): Promise<T> {
    this.#calls.checkOpen();
    const failures: { step: Step; error: LLMError }[] = [];
    for (const step of stepsFor(this.#legs, model)) {
      if (failures.some(({ error }) => !mayFollow(step, error))) continue;
      try {
        const { firstTokenTimeout } = step.leg.settings;
        return await this.#calls.within(
          firstTokenTimeout,
          what,
          (signal) => ask(step.leg, step.model, { signal }),
          caller,
        );
      } catch (thrown) {
        const error = typedError(thrown, what);
        if (caller?.aborted || isFinal(error) || isOfTexts(error)) throw error;
        failures.push({ step, error });
      }
    }
    throw failures.length === 1 ? failures[0]!.error : summary(what, failures);
  }
}

/**
 * The legs that have the model which is wanted: the numbers of another one would mean something
 * else. Where none is named, the first that works chooses.
 */
function stepsFor(legs: readonly Leg[], requested: string | undefined): Step[] {
  const wanted = requested ?? legs[0]!.settings.model;
  const steps = planSteps(legs, wanted);
  const usable = steps.filter(({ skippedBecause }) => skippedBecause === undefined);
  if (wanted === undefined) return (usable.length > 0 ? usable : steps).slice(0, 1);
  const same = usable.filter(({ model }) => model === wanted);
  return same.length > 0 ? same : steps.slice(0, 1);
}

/** Vectors from one leg, in as many requests as it wants. */
async function embedWith(
  leg: Leg,
  question: EmbedQuestion,
  model: string | undefined,
  context: QueryContext,
): Promise<EmbeddingResponse> {
  const { provider } = leg;
  if (!provider.embed) throw notSupported(provider, "embedding");
  const { texts } = question;
  const size = provider.mostTexts ?? texts.length;
  const parts: EmbeddingResponse[] = [];
  for (let start = 0; start < texts.length; start += size) {
    const part = { ...question, texts: texts.slice(start, start + size) };
    // All parts from the model that the first one had.
    const name = parts[0]?.model ?? model;
    parts.push(await inTurn(leg, context, () => provider.embed!(part, name, context)));
  }
  return joined(parts);
}

/** Waits for a place, and asks again after failures that may pass. */
function inTurn<T>(
  { settings, slots }: Leg,
  { signal }: QueryContext,
  ask: () => Promise<T>,
): Promise<T> {
  const once = async () => {
    const free = await slots.take(signal);
    try {
      return await ask();
    } finally {
      free();
    }
  };
  return repeat(once, { settings, clock: systemClock, signal });
}

function joined(parts: EmbeddingResponse[]): EmbeddingResponse {
  const count = (key: "promptTokens" | "totalTokens") =>
    parts.reduce<number | undefined>((sum, { usage }) => {
      const more = usage[key];
      return sum === undefined || more === undefined ? undefined : sum + more;
    }, 0);
  return {
    ...parts[0]!,
    embeddings: parts.flatMap(({ embeddings }) => embeddings),
    usage: { promptTokens: count("promptTokens"), totalTokens: count("totalTokens") },
    warnings: [...new Set(parts.flatMap(({ warnings }) => warnings))],
  };
}

/** The first numbers of each vector, at length 1. */
function shortened(response: EmbeddingResponse, dimensions: number): EmbeddingResponse {
  const embeddings = response.embeddings.map((vector) => {
    if (vector.length < dimensions) throw tooFew(response, vector.length, dimensions);
    const first = vector.slice(0, dimensions);
    const length = Math.sqrt(first.reduce((sum, number) => sum + number * number, 0));
    return length > 0 ? first.map((number) => number / length) : first;
  });
  return { ...response, embeddings };
}

function tooFew(
  { model, provider }: EmbeddingResponse,
  has: number,
  wanted: number,
): ValidationError {
  return new ValidationError(
    `dimensions is ${wanted}, but the vectors of "${model}" have ${has} numbers.`,
    { provider, model, hint: `Leave out dimensions, or give ${has} at most.` },
  );
}

/** Failures that another leg's same model would share. */
function isOfTexts({ code }: LLMError): boolean {
  return code === "context_length_exceeded";
}

function notSupported({ name }: Provider, what: string): ValidationError {
  return new ValidationError(`Provider "${name}" does not support ${what}.`, {
    code: "unsupported",
    provider: name,
    hint: what === "reranking" ? "Models for MLX rerank: use provider mlx." : undefined,
  });
}

function summary(
  what: string,
  failures: { step: Step; error: LLMError }[],
): AllProvidersFailedError {
  const stories = failures.map(({ step, error }) => `${step.leg.provider.name}: ${error.message}`);
  return new AllProvidersFailedError([`${what} failed everywhere.`, ...stories].join("\n  "), {
    hint: [...new Set(failures.flatMap(({ error }) => error.hint ?? []))].join(" ") || undefined,
    retryable: failures.some(({ error }) => error.retryable),
    cause: failures.at(-1)?.error,
  });
}
