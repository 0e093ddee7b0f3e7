import {
  type AttemptInfo,
  type FallbackInfo,
  type FinishInfo,
  LLMClient,
  type LLMConfig,
  LLMError,
  type LLMRequest,
  type LLMResponse,
  type RetryInfo,
} from "../../src/index.js";

/** How a call can be made. */
export const MANNERS = ["stream", "generate"] as const;

export type Manner = (typeof MANNERS)[number];

/** What came of a call. */
export interface Result {
  response?: LLMResponse;
  error?: LLMError;
  /** The text of the events, as far as they came. */
  delivered: string;
}

/** What the hooks of a client were told. */
export interface Told {
  attempts: AttemptInfo[];
  retries: RetryInfo[];
  fallbacks: FallbackInfo[];
  finishes: FinishInfo[];
}

/** Sources that no test depends on by chance. */
export const NO_SOURCES = { env: {}, configFile: false } as const;

/** A client that notes what its hooks are told. */
export function tellingClient(config: LLMConfig): { client: LLMClient; told: Told } {
  const told: Told = { attempts: [], retries: [], fallbacks: [], finishes: [] };
  const hooks = {
    onAttempt: (info: AttemptInfo) => told.attempts.push(info),
    onRetry: (info: RetryInfo) => told.retries.push(info),
    onFallback: (info: FallbackInfo) => told.fallbacks.push(info),
    onFinish: (info: FinishInfo) => told.finishes.push(info),
  };
  return { client: new LLMClient({ ...config, ...hooks }, NO_SOURCES), told };
}

/** Makes a call; fails with whatever is thrown that is no error of this package. */
export async function call(
  client: LLMClient,
  manner: Manner,
  request: LLMRequest,
): Promise<Result> {
  const result: Result = { delivered: "" };
  try {
    if (manner === "generate") result.response = await client.generate(request);
    else {
      const stream = client.stream(request);
      for await (const event of stream) {
        if (event.type === "text") result.delivered += event.text;
      }
      result.response = await stream.response;
    }
  } catch (error) {
    if (!LLMError.is(error)) throw error;
    result.error = error;
  }
  return result;
}

/** The result of some work that must come to an end; the time is for the busiest of machines. */
export async function ending<T>(what: string, work: Promise<T>, seconds = 50): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} hangs`)), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Does some work for each item, a few at a time; the results are in the order of the items. */
export async function forEachOf<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const rest = items.entries();
  const worker = async () => {
    for (const [index, item] of rest) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return results;
}

/** Fails a file of tests in which a promise is rejected that nobody looks at. */
export function watchForUnhandledRejections(): void {
  const reasons: unknown[] = [];
  const note = (reason: unknown) => reasons.push(reason);
  beforeAll(() => {
    process.on("unhandledRejection", note);
  });
  afterAll(async () => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.off("unhandledRejection", note);
    expect(reasons).toEqual([]);
  });
}
