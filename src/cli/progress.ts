import type { Attempt, LLMConfig, ProviderName } from "../index.js";
import type { CommonOptions } from "./flags.js";
import { attemptLine } from "./format.js";
import type { Output } from "./io.js";
import { cellText } from "./table.js";

/** Tells on stderr how a call goes. */
export class Progress {
  /** Of the call that is told of. */
  requestId = crypto.randomUUID();
  readonly #options: CommonOptions;
  readonly #stderr: Output;
  /** What became of legs, in their order. */
  readonly #fates = new Map<number, string>();
  /** Those that will not be asked again. */
  readonly #left = new Set<number>();
  readonly #warnings = new Set<string>();
  #attempts = 0;
  #isWaiting = false;

  constructor(options: CommonOptions, stderr: Output) {
    this.#options = options;
    this.#stderr = stderr;
  }

  /** What a client needs to tell it. */
  get config(): LLMConfig {
    const warn = (message: string) => {
      // What is about the call is told by the hooks.
      if (!message.startsWith(this.requestId)) this.#say(`warning: ${message}`);
    };
    return {
      logger: { debug() {}, info() {}, warn, error: warn },
      onAttempt: ({ attempt }) => this.#attempt(attempt),
      onRetry: ({ delay, error }) => {
        this.#sayMore(`retry: in ${delay.toFixed(2)} s, because ${error.message}`);
      },
      onFallback: ({ from, to }) => {
        this.#left.add(from.leg);
        this.#sayMore(`fallback: from ${from.provider} to ${to.provider}`);
      },
    };
  }

  /** Forgets the last call: the next one is another. */
  begin(): void {
    this.requestId = crypto.randomUUID();
    this.#fates.clear();
    this.#left.clear();
    this.#warnings.clear();
    this.#attempts = 0;
  }

  /** On a terminal, says that there is nothing to be seen yet. */
  async wait(): Promise<void> {
    if (!this.#stderr.isTTY) return;
    this.#isWaiting = true;
    await this.#stderr.write(this.#stderr.dim("Waiting for the model…"));
  }

  /** Takes that back. */
  async stopWaiting(): Promise<void> {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    await this.#stderr.steer("\r\x1b[K");
  }

  /** Call it when it is known who answers: says so where somebody else was asked before. */
  async answered(provider: ProviderName, warnings: string[]): Promise<void> {
    await this.stopWaiting();
    const { json, verbose } = this.#options;
    const fates = [...this.#fates].flatMap(([leg, fate]) => (this.#left.has(leg) ? [fate] : []));
    if (fates.length > 0 && !json && !verbose) {
      this.#say(`note: ${fates.join(", ")}, ${provider} answers`);
    }
    this.warn(warnings);
  }

  /** Tells the warnings that were not told yet. */
  warn(warnings: string[]): void {
    for (const warning of warnings) {
      if (!this.#warnings.has(warning)) this.#say(`warning: ${warning}`);
      this.#warnings.add(warning);
    }
  }

  #attempt(attempt: Attempt): void {
    this.#attempts += 1;
    const { leg, provider, skippedBecause, code } = attempt;
    // A good one is told at the end, with all the others.
    if (skippedBecause === undefined && code === undefined) return;
    if (skippedBecause !== undefined) this.#left.add(leg);
    const fate = code === undefined ? "was skipped" : `failed (${code.replaceAll("_", " ")})`;
    this.#fates.set(leg, `${provider} ${fate}`);
    this.#sayMore(attemptLine(attempt, this.#attempts));
  }

  #sayMore(line: string): void {
    if (this.#options.verbose) this.#say(line);
  }

  #say(line: string): void {
    void this.stopWaiting();
    void this.#stderr.write(`${cellText(line)}\n`);
  }
}
