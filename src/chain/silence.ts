import { TimeoutError } from "../errors.js";

/** How long a provider may be silent, in seconds. */
export interface SilenceLimits {
  /** Until the first content. */
  firstToken: number;
  /** Between two pieces of content. */
  idle: number;
}

/** Aborts an attempt when its provider is silent for too long; a slow reader is no silence. */
export class Silence {
  readonly #limits: SilenceLimits;
  readonly #work: AbortController;
  #timer: NodeJS.Timeout | undefined;
  #contentCame = false;
  #isWaiting = false;
  #isFresh = false;

  constructor(limits: SilenceLimits, work: AbortController) {
    this.#limits = limits;
    this.#work = work;
  }

  /** The provider's turn begins. */
  start(): void {
    this.#isWaiting = true;
    // Refreshing costs far less than a new timer for each piece of a reply.
    if (this.#timer && this.#isFresh) this.#timer.refresh();
    this.#timer ??= this.#newTimer();
  }

  /** The provider delivered something; `content` tells whether it was part of the reply. */
  stop(content: boolean): void {
    this.#isWaiting = false;
    this.#isFresh = content;
    if (!content || this.#contentCame) return;
    this.#contentCame = true;
    this.close();
  }

  /** Nothing more is waited for. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #newTimer(): NodeJS.Timeout {
    const { firstToken, idle } = this.#limits;
    const seconds = this.#contentCame ? idle : firstToken;
    // An abandoned stream must not keep the process alive.
    return setTimeout(() => this.#end(), seconds * 1000).unref();
  }

  #end(): void {
    const { firstToken, idle } = this.#limits;
    if (!this.#isWaiting) this.close();
    else if (this.#contentCame) {
      this.#work.abort(
        new TimeoutError(`No more content came for ${idle} s.`, { code: "idle_timeout" }),
      );
    } else {
      this.#work.abort(
        new TimeoutError(`No content came for ${firstToken} s.`, {
          code: "first_content_timeout",
          hint: "Loading a large model may take longer: raise timeout, or firstTokenTimeout alone.",
        }),
      );
    }
  }
}
