import { untilAborted } from "../../src/abort.js";
import type {
  CallContext,
  Provider,
  ProviderEvent,
  QueryContext,
} from "../../src/providers/provider.js";
import type { CheckedRequest } from "../../src/request.js";
import type { ModelInfo, ProviderHealth, ProviderName } from "../../src/types.js";

/**
 * What a scripted provider does next in one call: deliver a batch, wait for some milliseconds, wait
 * for a promise, stay silent until it is aborted, or throw (an error, or anything else).
 */
export type Act =
  | readonly ProviderEvent[]
  | number
  | Promise<unknown>
  | "silence"
  | Error
  | { throws: unknown };

/** The start of a scripted reply. */
export const START: ProviderEvent = { type: "start", model: "m", warnings: [] };

/** The end of a scripted reply. */
export const FINISH: ProviderEvent = {
  type: "finish",
  finishReason: "stop",
  usage: { completionTokens: 2 },
  timings: {},
};

/** A piece of a scripted reply. */
export function text(content: string): ProviderEvent {
  return { type: "text", text: content };
}

/** The script of a reply that comes word by word, each in a batch of its own. */
export function reply(content: string): Act[] {
  const words = content.split(/(?<= )/).map((word) => [text(word)]);
  return [[START], ...words, [FINISH]];
}

/** What distinguishes a scripted provider from others. */
export interface ScriptedOptions {
  name?: ProviderName;
  url?: string;
  defaultModel?: string;
  /** Why it cannot work here. */
  unavailable?: string;
  mayPause?: boolean;
  /** Sizes of contexts by model; others are not known. */
  contexts?: Record<string, number>;
  capabilities?: Provider["capabilities"];
}

/** A provider that acts as it is told; the last script is for every later call as well. */
export class ScriptedProvider implements Provider {
  readonly name: ProviderName;
  readonly url: string;
  readonly defaultModel?: string;
  readonly firstPhase = "connect";
  readonly capabilities: Provider["capabilities"];
  /** What it was asked, in order. */
  readonly asked: { request: CheckedRequest; context: CallContext }[] = [];
  /** How often somebody wanted to know whether it can work. */
  availabilityAsked = 0;
  /** Calls that have not been closed. */
  open = 0;
  mostOpen = 0;
  readonly #scripts: Act[][];
  readonly #options: ScriptedOptions;

  constructor(scripts: Act[][], options: ScriptedOptions = {}) {
    this.#scripts = scripts;
    this.#options = options;
    this.name = options.name ?? "ollama";
    this.url = options.url ?? `http://${this.name}`;
    this.defaultModel = options.defaultModel;
    this.capabilities = options.capabilities ?? new Set(["tools", "stop"]);
  }

  unavailableBecause(): string | undefined {
    this.availabilityAsked += 1;
    return this.#options.unavailable;
  }

  mayPause(): boolean {
    return this.#options.mayPause ?? false;
  }

  async *stream(
    request: CheckedRequest,
    context: CallContext,
  ): AsyncGenerator<readonly ProviderEvent[]> {
    const script = this.#scripts[Math.min(this.asked.length, this.#scripts.length - 1)] ?? [];
    this.asked.push({ request, context });
    this.open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    try {
      for (const act of script) {
        context.signal.throwIfAborted();
        if (Array.isArray(act)) yield act;
        else await perform(act as Exclude<Act, readonly ProviderEvent[]>, context.signal);
      }
    } finally {
      this.open -= 1;
    }
  }

  async listModels(_context: QueryContext): Promise<ModelInfo[]> {
    return [];
  }

  async contextLength(model: string | undefined): Promise<number | undefined> {
    return this.#options.contexts?.[model ?? ""];
  }

  async health(): Promise<ProviderHealth> {
    return { provider: this.name, healthy: true, reachable: true, latencyMs: 1 };
  }

  async close(): Promise<void> {}
}

async function perform(
  act: Exclude<Act, readonly ProviderEvent[]>,
  signal: AbortSignal,
): Promise<void> {
  if (act === "silence") await untilAborted(new Promise(() => {}), signal);
  else if (typeof act === "number") await wait(act, signal);
  else if (act instanceof Promise) await untilAborted(act, signal);
  else if (act instanceof Error) throw act;
  else throw act.throws;
}

/** With the global timers, which tests may replace. */
async function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const time = new Promise((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await untilAborted(time, signal).finally(() => clearTimeout(timer));
}
