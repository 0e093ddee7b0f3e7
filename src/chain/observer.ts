import { channel } from "node:diagnostics_channel";
import type {
  AttemptInfo,
  FallbackInfo,
  FinishInfo,
  Hooks,
  Logger,
  RetryInfo,
  StartInfo,
} from "../types.js";

interface Messages {
  onStart: StartInfo;
  onAttempt: AttemptInfo;
  onRetry: RetryInfo;
  onFallback: FallbackInfo;
  onFinish: FinishInfo;
}

const CHANNELS = {
  onStart: channel("mlx-llm-client:start"),
  onAttempt: channel("mlx-llm-client:attempt"),
  onRetry: channel("mlx-llm-client:retry"),
  onFallback: channel("mlx-llm-client:fallback"),
  onFinish: channel("mlx-llm-client:finish"),
};

/** Tells hooks, the logger and `diagnostics_channel` what happens to calls. */
export class Observer {
  readonly #hooks: Hooks;
  readonly #logger: Logger | undefined;

  constructor(hooks: Hooks, logger?: Logger) {
    this.#hooks = hooks;
    this.#logger = logger;
  }

  start(info: StartInfo): void {
    void this.#tell("onStart", info);
  }

  attempt(info: AttemptInfo): void {
    void this.#tell("onAttempt", info);
    const { provider, model, skippedBecause, code, durationMs } = info.attempt;
    const result = skippedBecause === undefined ? (code ?? "ok") : `skipped: ${skippedBecause}`;
    const took = `${Math.round(durationMs)} ms`;
    void this.#log("debug", `${info.requestId}: ${provider} ${model ?? ""}: ${result}, ${took}`);
  }

  retry(info: RetryInfo): void {
    void this.#tell("onRetry", info);
    const { requestId, delay, error } = info;
    void this.#log("info", `${requestId}: again in ${delay.toFixed(2)} s after: ${error.message}`);
  }

  fallback(info: FallbackInfo): void {
    void this.#tell("onFallback", info);
    const { requestId, from, to, error } = info;
    const way = `${from.provider} → ${to.provider}`;
    void this.#log("warn", `${requestId}: ${way} after: ${error.message}`);
  }

  finish(info: FinishInfo): void {
    void this.#tell("onFinish", info);
  }

  warn(message: string): void {
    void this.#log("warn", message);
  }

  async #tell<Name extends keyof Messages>(name: Name, info: Messages[Name]): Promise<void> {
    if (CHANNELS[name].hasSubscribers) CHANNELS[name].publish(info);
    try {
      // What the hook is called with is what its name stands for; it may be asynchronous.
      await (this.#hooks[name] as ((info: Messages[Name]) => unknown) | undefined)?.(info);
    } catch (error) {
      void this.#log("error", `The hook ${name} failed: ${String(error)}`);
    }
  }

  async #log(level: keyof Logger, message: string): Promise<void> {
    try {
      // It may be asynchronous as well, though nothing waits for it.
      await this.#logger?.[level](message);
    } catch {
      // There is nobody left to tell.
    }
  }
}
