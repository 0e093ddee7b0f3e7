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

/** How tokens become text. */
export interface DetokenizerOptions {
  /** True unless told. */
  skipSpecialTokens?: boolean;
  /** Special tokens that are not skipped. */
  shown?: ReadonlySet<number>;
  /** The bytes of the tokens just as they are, those of the first one included. */
  exact?: boolean;
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
  #first: boolean;

  constructor(tokenizer: TokenTexts, options: DetokenizerOptions = {}) {
    const { skipSpecialTokens = true, shown = new Set(), exact = false } = options;
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = skipSpecialTokens;
    this.#shown = shown;
    this.#steps = exact ? [] : tokenizer.textSteps();
    this.#first = !exact;
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
