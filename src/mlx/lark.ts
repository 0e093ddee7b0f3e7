import type { Grammar } from "./grammar.js";
import type { Tokenizer } from "./tokenizer.js";

/** A text, or what a regular expression matches. */
export type Part = string | RegExp;

/** What of a model a grammar of its replies is written with. */
export interface LarkTokens {
  tokenizer: Pick<Tokenizer, "tokenId" | "isSpecial">;
  /** Tokens that end a reply. */
  stopTokens: number[];
  /** Those that the form of its replies has. */
  marks: string[];
}

/** Writes a model's texts in Lark, as llguidance reads it. */
export class LarkWriter {
  readonly #tokens: LarkTokens;
  readonly #special: string[];

  constructor(tokens: LarkTokens) {
    const { tokenizer, marks } = tokens;
    this.#tokens = tokens;
    this.#special = marks.filter((mark) => {
      const id = tokenizer.tokenId(mark);
      return id !== undefined && tokenizer.isSpecial(id);
    });
  }

  /** Texts, in which tokens that stand for no text are written by their ids. */
  literal(...parts: Part[]): string {
    const written = parts.flatMap((part) => {
      if (typeof part !== "string") return [regexp(part.source)];
      return splitAt(part, this.#special).map((text) =>
        this.#special.includes(text) ? this.token(text)! : JSON.stringify(text),
      );
    });
    return written.join(" ");
  }

  /** A token, whether it stands for text or not; undefined where a text is none. */
  token(text: string): string | undefined {
    const id = this.#tokens.tokenizer.tokenId(text);
    return id === undefined ? undefined : `<[${id}]>`;
  }

  /** Any tokens but some texts that are one, and but the ends. */
  allBut(texts: string[]): string {
    const { tokenizer, stopTokens } = this.#tokens;
    const ids = texts.map((text) => tokenizer.tokenId(text)).filter((id) => id !== undefined);
    const ruledOut = [...ids, ...stopTokens];
    return ruledOut.length > 0 ? `<[^${ruledOut.join()}]>*` : "<[*]>*";
  }
}

/** A grammar, as a part of another one. */
export function nested({ type, text }: Grammar): string {
  if (type === "json_schema") return `%json ${text}`;
  if (type === "lark") return `%lark {\n${text}\n}`;
  return text === "" ? '""' : regexp(text);
}

function regexp(source: string): string {
  return `/${source.replace(/\\.|\//gs, (text) => (text === "/" ? "\\/" : text))}/`;
}

/** A text cut before and behind each of some marks. */
function splitAt(text: string, marks: string[]): string[] {
  if (text === "") return [];
  for (const mark of marks) {
    const at = text.indexOf(mark);
    if (at < 0) continue;
    const rest = text.slice(at + mark.length);
    return [...splitAt(text.slice(0, at), marks), mark, ...splitAt(rest, marks)];
  }
  return [text];
}
