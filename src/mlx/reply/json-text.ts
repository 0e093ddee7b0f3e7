import type { Incoming, Reading } from "./incoming.js";

/** How a JSON value is taken. */
interface Taking {
  /** Outside of a string this ends the value, even one that is not whole. */
  until?: string;
  /** Give the value out as arguments while it comes. */
  asArguments?: boolean;
}

/** Takes the text of a JSON value, or as much of one as there is. */
export function* takeJson(
  incoming: Incoming,
  { until, asArguments = false }: Taking = {},
): Reading<string> {
  const value = new JsonText(until);
  let text = "";
  for (;;) {
    const piece = incoming.take(value.lengthIn(incoming.text));
    text += piece;
    if (asArguments && piece !== "") yield { type: "arguments", text: piece };
    if (value.hasEnded || !(yield* incoming.more())) return text;
  }
}

/** Follows the text of one JSON value to its end. */
class JsonText {
  hasEnded = false;
  readonly #until: string | undefined;
  #depth = 0;
  #isString = false;
  #isEscaped = false;

  constructor(until?: string) {
    this.#until = until;
  }

  /** How many of the next characters are certainly part of it. */
  lengthIn(text: string): number {
    for (let at = 0; at < text.length; at++) {
      if (this.#stopsAt(at, text)) return at;
      this.#read(text[at]!);
      if (this.hasEnded) return at + 1;
    }
    return text.length;
  }

  #stopsAt(at: number, text: string): boolean {
    if (this.#isString) return false;
    if (this.#until?.[0] === text[at]) {
      const next = text.slice(at, at + this.#until!.length);
      this.hasEnded = next === this.#until;
      // It may still become that.
      if (this.hasEnded || this.#until!.startsWith(next)) return true;
    }
    // A number or word ends with what comes after it.
    if (this.#depth === 0) this.hasEnded = /[\s,:\]})]/.test(text[at]!);
    return this.hasEnded;
  }

  #read(character: string): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (this.#isString && character === "\\") this.#isEscaped = true;
    else if (character === '"') {
      this.#isString = !this.#isString;
      this.hasEnded = !this.#isString && this.#depth === 0;
    } else if (this.#isString) return;
    else if (character === "{" || character === "[") this.#depth++;
    else if (character === "}" || character === "]") this.hasEnded = --this.#depth === 0;
  }
}
