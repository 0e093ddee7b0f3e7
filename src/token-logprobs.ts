import type { StreamEvent, TokenLogprob } from "./types.js";

/** The log-probabilities of a reply's tokens, of which each is told with the text that came with it. */
export class TokenLogprobs {
  readonly #all: TokenLogprob[] = [];
  #told = 0;

  push(token: TokenLogprob): void {
    this.#all.push(token);
  }

  /** All that came, if any did. */
  get all(): TokenLogprob[] | undefined {
    return this.#all.length > 0 ? this.#all : undefined;
  }

  /** Tells with the last text of some events what was not told yet. */
  tell(events: readonly { type: string }[]): void {
    if (this.#told === this.#all.length) return;
    const last = events.findLast(isText);
    if (!last) return;
    last.logprobs = [...(last.logprobs ?? []), ...this.#all.slice(this.#told)];
    this.#told = this.#all.length;
  }
}

type TextEvent = Extract<StreamEvent, { type: "text" | "reasoning" }>;

function isText(event: { type: string }): event is TextEvent {
  return event.type === "text" || event.type === "reasoning";
}
