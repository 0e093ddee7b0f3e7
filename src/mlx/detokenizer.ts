import type { TextStep } from "./text-steps.js";

/** What a detokenizer needs to know of a tokenizer. */
export interface TokenTexts {
  /** Bytes that a token adds to the text; undefined where there is no such token. */
  tokenBytes(id: number, first?: boolean): Uint8Array | undefined;
  /** True for tokens that stand for no text, such as the end of a turn. */
  isSpecial(id: number): boolean;
  /** Fresh state of the changes that the text as a whole undergoes. */
  textSteps(): TextStep[];
}

/**
 * Turns tokens into text as they come. Only whole characters are given out, and all pieces together
 * are what `tokenizer.decode` gives for all tokens. The work per token does not grow with the text.
 *
 * @example
 * const detokenizer = new Detokenizer(tokenizer);
 * for (const token of tokens) process.stdout.write(detokenizer.add([token]));
 * process.stdout.write(detokenizer.flush());
 */
export class Detokenizer {
  readonly #tokenizer: TokenTexts;
  readonly #skipSpecialTokens: boolean;
  readonly #shown: ReadonlySet<number>;
  readonly #steps: TextStep[];
  // A byte order mark is text like any other here.
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  #first = true;

  /** `shown` are special tokens that are not skipped. */
  constructor(
    tokenizer: TokenTexts,
    options: { skipSpecialTokens?: boolean; shown?: ReadonlySet<number> } = {},
  ) {
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = options.skipSpecialTokens ?? true;
    this.#shown = options.shown ?? new Set();
    this.#steps = tokenizer.textSteps();
  }

  /** Takes the next tokens and returns the text that is complete with them. */
  add(tokens: ArrayLike<number>): string {
    const pieces: Uint8Array[] = [];
    for (let index = 0; index < tokens.length; index++) {
      const id = tokens[index] as number;
      if (this.#skips(id)) continue;
      const bytes = this.#tokenizer.tokenBytes(id, this.#first);
      if (!bytes) continue;
      pieces.push(bytes);
      this.#first = false;
    }
    let text = this.#utf8.decode(Buffer.concat(pieces), { stream: true });
    for (const step of this.#steps) text = step.push(text);
    return text;
  }

  #skips(id: number): boolean {
    return this.#skipSpecialTokens && this.#tokenizer.isSpecial(id) && !this.#shown.has(id);
  }

  /** The rest; bytes that never became a character are given as U+FFFD. */
  flush(): string {
    let text = this.#utf8.decode();
    for (const step of this.#steps) text = step.push(text) + step.flush();
    return text;
  }
}
