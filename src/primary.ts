import { abortTogether } from "./abort.js";
import type { Calls } from "./calls.js";
import type { Leg } from "./chain/leg.js";
import { Silence } from "./chain/silence.js";
import { checkModelChange, checkModelQuestion, checkPull } from "./check-question.js";
import { type LLMError, ModelNotFoundError, typedError, ValidationError } from "./errors.js";
import type { Provider, QueryContext } from "./providers/provider.js";
import { checkPromptCache, checkRequest } from "./request.js";
import type {
  LLMRequest,
  ModelDetails,
  PromptCacheInfo,
  PromptCacheRead,
  PromptCacheRequest,
  PullProgress,
  RemovedModel,
} from "./types.js";

/** What a question about models may be told. */
export interface QueryOptions {
  /** Aborting it ends the work. */
  signal?: AbortSignal;
}

/** What a download may be told. */
export interface PullOptions extends QueryOptions {
  /** For MLX: the GGUF file to take, of a model that has several. */
  file?: string;
  /** For MLX: only look whether it has been downloaded. */
  offline?: boolean;
}

/** What only the first provider that works here is asked: another one's answer would not do. */
export class Primary {
  readonly #legs: readonly Leg[];
  readonly #calls: Calls;
  readonly #onChange: () => void;

  /** `onChange` is told when the list of models may have become another. */
  constructor(legs: readonly Leg[], calls: Calls, onChange: () => void) {
    this.#legs = legs;
    this.#calls = calls;
    this.#onChange = onChange;
  }

  async loadModel(model: string | undefined, options: QueryOptions): Promise<void> {
    const { provider, settings } = this.#leg;
    const load = supported(provider, "loadModel", "loading a model");
    const question = checkModelChange({ ...options, model });
    await this.#ask(settings.firstTokenTimeout, "Loading the model", question, (context) =>
      load(question.model ?? settings.model, context),
    );
    this.#onChange();
  }

  async unloadModel(model: string | undefined, options: QueryOptions): Promise<void> {
    const { provider, settings } = this.#leg;
    const unload = supported(provider, "unloadModel", "unloading a model");
    const question = checkModelChange({ ...options, model });
    await this.#ask(settings.timeout, "Unloading the model", question, (context) =>
      unload(question.model ?? settings.model, context),
    );
    this.#onChange();
  }

  async *pullModel(model: string, options: PullOptions): AsyncGenerator<PullProgress> {
    const { provider, settings } = this.#leg;
    const pull = supported(provider, "pullModel", "downloading a model");
    const question = checkPull({ ...options, model });
    const work = new AbortController();
    const remove = this.#calls.add(work);
    const unlink = abortTogether(work, question.signal);
    // A download takes hours, but it tells how it goes on; checking what has come takes a while.
    const patience = settings.firstTokenTimeout;
    const silence = new Silence({ firstToken: patience, idle: patience }, work);
    const { file, offline } = question;
    if ((file !== undefined || offline) && provider.name !== "mlx") {
      throw new ValidationError(`${provider.name} pulls a model as a whole, and never offline.`, {
        code: "unsupported",
        provider: provider.name,
        model,
      });
    }
    const context = { signal: work.signal, file, offline };
    const steps = pull(question.model, context)[Symbol.asyncIterator]();
    try {
      for (;;) {
        silence.start();
        const { value, done } = await steps.next();
        silence.stop(true);
        if (done) return;
        yield value;
      }
    } finally {
      silence.close();
      work.abort();
      await steps.return?.();
      unlink();
      remove();
      this.#onChange();
    }
  }

  /** Asks one provider after the other who knows the model: to tell of it changes nothing. */
  async showModel(model: string, options: QueryOptions): Promise<ModelDetails> {
    const question = checkModelQuestion({ ...options, model });
    const meant = this.#legs.filter(({ provider }) => provider.isMeantBy?.(model));
    const failures: LLMError[] = [];
    for (const { provider, settings } of meant.length > 0 ? meant : this.#legs) {
      try {
        return await this.#ask(settings.timeout, "Looking at the model", question, (context) =>
          show(provider, model, context),
        );
      } catch (error) {
        if (question.signal?.aborted) throw error;
        failures.push(typedError(error, "Looking at the model"));
      }
    }
    throw failures.find(ModelNotFoundError.is.bind(ModelNotFoundError)) ?? failures[0]!;
  }

  async removeModel(model: string, options: QueryOptions): Promise<RemovedModel> {
    const { provider, settings } = this.#leg;
    const remove = supported(provider, "removeModel", "removing a model");
    const question = checkModelQuestion({ ...options, model });
    try {
      return await this.#ask(
        settings.firstTokenTimeout,
        "Removing the model",
        question,
        (context) => remove(model, context),
      );
    } finally {
      this.#onChange();
    }
  }

  async writePromptCache(input: PromptCacheRequest): Promise<PromptCacheInfo> {
    const { provider, settings } = this.#leg;
    const write = supported(provider, "writePromptCache", "prompt-cache files");
    const question = checkPromptCache(input);
    if (!question.messages)
      throw new ValidationError("The question is wrong: messages is missing.");
    return this.#ask(settings.firstTokenTimeout, "Writing the cache", question, (context) =>
      write(question, question.model ?? settings.model, context),
    );
  }

  async readPromptCache(input: PromptCacheRead): Promise<PromptCacheInfo> {
    const { provider, settings } = this.#leg;
    const read = supported(provider, "readPromptCache", "prompt-cache files");
    const question = checkPromptCache(input);
    return this.#ask(settings.firstTokenTimeout, "Reading the cache", question, (context) =>
      read(question, question.model ?? settings.model, context),
    );
  }

  async countTokens(input: string | LLMRequest): Promise<number> {
    const { provider, settings } = this.#leg;
    const count = supported(provider, "countTokens", "counting tokens");
    const request = checkRequest(input);
    const model = request.model ?? settings.model;
    const asked = model === undefined ? request : { ...request, model };
    return this.#ask(settings.firstTokenTimeout, "Counting tokens", request, (context) =>
      count(asked, context),
    );
  }

  /** Found out anew each time, as it may load the addon. */
  get #leg(): Leg {
    const usable = this.#legs.find(({ provider }) => !provider.unavailableBecause?.());
    return usable ?? this.#legs[0]!;
  }

  /** Asks something that a time limit, the caller and `close` may end. */
  #ask<T>(
    seconds: number,
    what: string,
    { signal }: QueryOptions,
    work: (context: QueryContext) => Promise<T>,
  ): Promise<T> {
    return this.#calls.within(seconds, what, (signal) => work({ signal }), signal);
  }
}

/** A provider that tells nothing more has at least its list. */
async function show(
  provider: Provider,
  model: string,
  context: QueryContext,
): Promise<ModelDetails> {
  if (provider.showModel) return provider.showModel(model, context);
  const found = (await provider.listModels(context)).find(({ id }) => id === model);
  if (found) return found;
  throw new ModelNotFoundError(`${provider.name} has no model "${model}".`, {
    provider: provider.name,
    model,
    url: provider.url,
  });
}

type Change =
  | "loadModel"
  | "unloadModel"
  | "pullModel"
  | "removeModel"
  | "writePromptCache"
  | "readPromptCache"
  | "countTokens";

/** A method that not every provider has. */
function supported<Name extends Change>(
  provider: Provider,
  name: Name,
  what: string,
): NonNullable<Provider[Name]> {
  const method = provider[name]?.bind(provider) as Provider[Name];
  if (method) return method as NonNullable<Provider[Name]>;
  throw new ValidationError(`Provider "${provider.name}" does not support ${what}.`, {
    code: "unsupported",
    provider: provider.name,
  });
}
