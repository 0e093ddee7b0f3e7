import { unfinishedLength } from "../stop.js";

/** One change to a text that arrives in pieces; the pieces and the flush together are the changed text. */
export interface TextStep {
  push(text: string): string;
  /** What was held back; call it when no more text comes. */
  flush(): string;
}

/** Removes up to `count` times `content` from the beginning of a text. */
export class StripStart implements TextStep {
  readonly #content: string;
  #left: number;

  constructor(content: string, count: number) {
    this.#content = content;
    this.#left = count;
  }

  push(text: string): string {
    let start = 0;
    while (this.#left > 0 && start < text.length) {
      if (text.startsWith(this.#content, start)) {
        start += this.#content.length;
        this.#left--;
      } else {
        this.#left = 0;
      }
    }
    return text.slice(start);
  }

  flush(): string {
    return "";
  }
}

/** Replaces every occurrence of a string, as `replaceAll` on the whole text would. */
export class ReplaceText implements TextStep {
  readonly #search: string;
  readonly #replacement: string;
  #held = "";

  constructor(search: string, replacement: string) {
    this.#search = search;
    this.#replacement = replacement;
  }

  push(text: string): string {
    const parts = (this.#held + text).split(this.#search);
    const last = parts.pop() ?? "";
    const shown = last.length - unfinishedLength(last, [this.#search]);
    this.#held = last.slice(shown);
    return [...parts, last.slice(0, shown)].join(this.#replacement);
  }

  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }
}

/** What transformers' `clean_up_tokenization_spaces` does, in its order. */
export function cleanUpSteps(): TextStep[] {
  const pairs: [string, string][] = [
    [" .", "."],
    [" ?", "?"],
    [" !", "!"],
    [" ,", ","],
    [" ' ", "'"],
    [" n't", "n't"],
    [" 'm", "'m"],
    [" 's", "'s"],
    [" 've", "'ve"],
    [" 're", "'re"],
  ];
  return pairs.map(([search, replacement]) => new ReplaceText(search, replacement));
}
