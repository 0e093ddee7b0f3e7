import { unfinishedLength } from "../../stop.js";

/** What a piece of a reply turned out to be. */
export type Piece =
  | { type: "text"; text: string }
  | { type: "reasoning"; text: string }
  /** A call begins; what follows are its arguments, up to its end. */
  | { type: "call"; name: string; id?: string }
  /** More of the arguments, as JSON. */
  | { type: "arguments"; text: string }
  | { type: "call-end" };

/**
 * A reader of a reply that is written as if all of the text were there: it yields pieces, and
 * nothing where it needs more text.
 */
export type Reading<Result = void> = Generator<Piece | undefined, Result, void>;

/** The text of a reply that has come and is not read yet. */
export class Incoming {
  text = "";
  /** True once no more comes. */
  hasEnded = false;
  /** True while what is read is reasoning. */
  isReasoning = false;
  #taken: string | undefined;

  /** Waits for more text; false where no more comes. */
  *more(): Reading<boolean> {
    if (this.hasEnded) return false;
    yield undefined;
    return true;
  }

  take(length = this.text.length): string {
    const taken = this.text.slice(0, length);
    this.text = this.text.slice(length);
    if (this.#taken !== undefined) this.#taken += taken;
    return taken;
  }

  /** Keeps what is taken from now on, so that it can be given back. */
  keep(): void {
    this.#taken = "";
  }

  /** What was taken is wanted. */
  settle(): void {
    this.#taken = undefined;
  }

  /** Gives back what was taken since `keep`. */
  giveBack(): void {
    this.text = (this.#taken ?? "") + this.text;
    this.#taken = undefined;
  }

  *skipSpace(): Reading {
    do this.take(this.text.length - this.text.trimStart().length);
    while (this.text === "" && (yield* this.more()));
  }

  /** Whether a text comes next. */
  *isNext(expected: string): Reading<boolean> {
    while (this.text.length < expected.length && expected.startsWith(this.text)) {
      if (!(yield* this.more())) return false;
    }
    return this.text.startsWith(expected);
  }

  /** Takes a text, if it comes next. */
  *skip(expected: string): Reading<boolean> {
    if (!(yield* this.isNext(expected))) return false;
    this.take(expected.length);
    return true;
  }

  /** Takes the text before the first of some marks, and the mark, if one comes. */
  *takeUntil(marks: readonly string[]): Reading<{ text: string; mark?: string }> {
    let text = "";
    for (;;) {
      const found = firstOf(this.text, marks);
      if (found) {
        text += this.take(found.index);
        return { text, mark: this.take(found.mark.length) };
      }
      text += this.take(this.text.length - unfinishedLength(this.text, marks));
      if (!(yield* this.more())) return { text: text + this.take() };
    }
  }

  /**
   * Gives out the text before the first of some marks, and takes the mark; undefined where none
   * comes. Blanks at its end are left to the caller.
   */
  *giveUntil(
    type: "text" | "reasoning",
    marks: readonly string[],
  ): Reading<{ blanks: string; mark?: string }> {
    let blanks = "";
    for (;;) {
      const found = firstOf(this.text, marks);
      const open = found ? 0 : unfinishedLength(this.text, marks);
      const given = blanks + this.take(found?.index ?? this.text.length - open);
      const text = given.trimEnd();
      if (text !== "") yield { type, text };
      blanks = given.slice(text.length);
      if (found) return { blanks, mark: this.take(found.mark.length) };
      if (!(yield* this.more())) break;
    }
    // It was the beginning of a mark, and nothing more.
    const rest = this.take();
    if (rest === "") return { blanks };
    yield { type, text: blanks + rest };
    return { blanks: "" };
  }
}

/** The mark that comes first in a text; of those in one place, the longest. */
function firstOf(
  text: string,
  marks: readonly string[],
): { index: number; mark: string } | undefined {
  let first: { index: number; mark: string } | undefined;
  for (const mark of marks) {
    const index = text.indexOf(mark);
    if (index < 0 || (first && index > first.index)) continue;
    if (!first || index < first.index || mark.length > first.mark.length) first = { index, mark };
  }
  return first;
}
