const WORDS = new Map<string, unknown>([
  ["True", true],
  ["False", false],
  ["None", null],
  ["true", true],
  ["false", false],
  ["null", null],
]);

const ESCAPES = new Map([
  ["n", "\n"],
  ["t", "\t"],
  ["r", "\r"],
]);

/** Levels of lists and dictionaries; what is deeper is no argument that anybody wants. */
const DEEPEST = 64;

/** The value of a Python literal; undefined where the text is none. */
export function pythonValue(text: string): unknown {
  const literal = new PythonLiteral(text);
  const value = literal.value();
  return literal.isAtEnd ? value : undefined;
}

/** A text as Python writes it. */
export function pythonText(text: string): string {
  const escaped = text.replace(/["\\]/g, "\\$&").replace(/[\n\r\t]/g, (blank) => {
    return JSON.stringify(blank).slice(1, -1);
  });
  return `"${escaped}"`;
}

/** True if a quote at this place ends its string: some templates write quotes in strings as they are. */
export function endsString(text: string, at: number): boolean {
  return /^\s*([,)\]}:]|$)/.test(text.slice(at + 1));
}

class PythonLiteral {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text.trim();
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length;
  }

  value(): unknown {
    this.#skipSpace();
    const next = this.#text[this.#at];
    if (next === "'" || next === '"') return this.#string(next);
    if (next === "[") return this.#items("]");
    if (next === "(") return this.#items(")");
    if (next === "{") return this.#dictionary();
    const [word = ""] = /^[\w.+-]+/.exec(this.#text.slice(this.#at)) ?? [];
    this.#at += word.length;
    if (WORDS.has(word)) return WORDS.get(word);
    const number = Number(word.replaceAll("_", ""));
    return word === "" || Number.isNaN(number) ? this.#fail() : number;
  }

  #string(quote: string): string | undefined {
    let value = "";
    for (this.#at++; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at]!;
      if (character === "\\") {
        const escaped = this.#text[++this.#at] ?? "";
        value += ESCAPES.get(escaped) ?? escaped;
      } else if (character === quote && endsString(this.#text, this.#at)) {
        this.#at++;
        return value;
      } else value += character;
    }
    return this.#fail();
  }

  #items(close: string): unknown[] | undefined {
    const items: unknown[] = [];
    const isWhole = this.#list(close, () => items.push(this.value()));
    return isWhole ? items : undefined;
  }

  #dictionary(): Record<string, unknown> | undefined {
    const entries: [string, unknown][] = [];
    const isWhole = this.#list("}", () => {
      const key = this.value();
      this.#skipSpace();
      if (this.#text[this.#at++] !== ":") this.#fail();
      entries.push([String(key), this.value()]);
    });
    return isWhole ? Object.fromEntries(entries) : undefined;
  }

  #list(close: string, readItem: () => void): boolean {
    if (++this.#depth > DEEPEST) this.#fail();
    this.#at++;
    for (;;) {
      this.#skipSpace();
      if (this.#text[this.#at] === close) break;
      if (this.#at >= this.#text.length) return this.#fail() ?? false;
      readItem();
      this.#skipSpace();
      if (this.#text[this.#at] === ",") this.#at++;
      else if (this.#text[this.#at] !== close) return this.#fail() ?? false;
    }
    this.#at++;
    this.#depth--;
    return true;
  }

  #skipSpace(): void {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at++;
  }

  /** Beyond the end nothing is a literal any more. */
  #fail(): undefined {
    this.#at = this.#text.length + 1;
    return undefined;
  }
}
