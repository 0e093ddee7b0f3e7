import type { Calls } from "./calls.js";
import type { Leg } from "./chain/leg.js";
import type { Observer } from "./chain/observer.js";
import { AllProvidersFailedError, type LLMError, typedError } from "./errors.js";
import { ModelCache } from "./model-cache.js";
import type { Provider } from "./providers/provider.js";
import type { ModelInfo } from "./types.js";

/** The models of all providers of a client. */
export class ModelLists {
  readonly #lists: { provider: Provider; cache: ModelCache }[];
  readonly #observer: Observer;

  /** `ttl`: for how many seconds a list is kept. */
  constructor(legs: readonly Leg[], calls: Calls, ttl: number, observer: Observer) {
    this.#observer = observer;
    this.#lists = legs.filter(isFirstOfItsServer).map(({ provider, settings }) => {
      const lookUp = () =>
        calls.within(settings.timeout, "Listing the models", (signal) =>
          provider.listModels({ signal }),
        );
      return { provider, cache: new ModelCache(lookUp, ttl) };
    });
  }

  async get(options: { useCache?: boolean }): Promise<ModelInfo[]> {
    const usable = this.#lists.filter(({ provider }) => !provider.unavailableBecause?.());
    const asked = usable.length > 0 ? usable : this.#lists;
    const results = await Promise.allSettled(asked.map(({ cache }) => cache.get(options)));
    const failures = results.flatMap((result) =>
      result.status === "rejected" ? [typedError(result.reason, "Listing the models")] : [],
    );
    if (failures.length === asked.length) throw summary(failures);
    for (const { message } of failures) this.#observer.warn(`Left out: ${message}`);
    return results.flatMap((result, index) =>
      result.status === "rejected" ? [] : markLoaded(result.value, asked[index]!.provider),
    );
  }

  clear(): void {
    for (const { cache } of this.#lists) cache.clear();
  }
}

function isFirstOfItsServer({ provider }: Leg, index: number, legs: readonly Leg[]): boolean {
  const { name, url } = provider;
  return (
    legs.findIndex(({ provider: other }) => other.name === name && other.url === url) === index
  );
}

/** The list may be older than what was loaded since. */
function markLoaded(models: ModelInfo[], provider: Provider): ModelInfo[] {
  return models.map((model) => ({ ...model, loaded: provider.isLoaded?.(model) ?? model.loaded }));
}

function summary(failures: LLMError[]): LLMError {
  if (failures.length === 1) return failures[0]!;
  const stories = failures.map(({ message }) => message).join(" ");
  const hints = new Set(failures.flatMap(({ hint }) => hint ?? []));
  return new AllProvidersFailedError(`No provider could list its models. ${stories}`, {
    hint: [...hints].join(" ") || undefined,
    cause: failures.at(-1),
  });
}
