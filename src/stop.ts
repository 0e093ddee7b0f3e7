/**
 * Ends a streamed text at the first stop string and leaves the stop string out. Text that may still
 * become a stop string is held back until it is clear what it is.
 *
 * The match that is complete first wins; of those that end together, the longest.
 *
 * @example
 * const stop = new StopMatcher(["\n\nUser:"]);
 * stop.push("Hello.\n"); // { text: "Hello.", stopped: false }
 * stop.push("\nUser: Hi"); // { text: "", stopped: true }
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";
  #matched: string | undefined;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** The stop string that ended the text, once one has. */
  get matched(): string | undefined {
    return this.#matched;
  }

  /** Takes the next text and returns what can be shown now; after `stopped` nothing more comes. */
  push(text: string): { text: string; stopped: boolean } {
    if (this.#matched !== undefined) return { text: "", stopped: true };
    const all = this.#held + text;
    const match = firstMatch(all, this.#stops);
    if (match) {
      this.#matched = all.slice(...match);
      this.#held = "";
      return { text: all.slice(0, match[0]), stopped: true };
    }
    const shown = all.length - Math.max(unfinishedLength(all, this.#stops), splitPairLength(all));
    this.#held = all.slice(shown);
    return { text: all.slice(0, shown), stopped: false };
  }

  /** The text still held back; call it when no more text comes. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }
}

/** Length of the longest end of `text` that is the beginning, but not the whole, of a pattern. */
export function unfinishedLength(text: string, patterns: readonly string[]): number {
  let longest = 0;
  for (const pattern of patterns) {
    let length = Math.min(pattern.length - 1, text.length);
    while (length > longest && !text.endsWith(pattern.slice(0, length))) length--;
    longest = Math.max(longest, length);
  }
  return longest;
}

/** Where the winning stop string begins and ends. */
function firstMatch(text: string, stops: readonly string[]): [number, number] | undefined {
  let start: number | undefined;
  let end = Number.POSITIVE_INFINITY;
  for (const stop of stops) {
    const found = text.indexOf(stop);
    if (found < 0 || found + stop.length > end) continue;
    start = found + stop.length < end ? found : Math.min(start ?? found, found);
    end = found + stop.length;
  }
  return start === undefined ? undefined : [start, end];
}

/** 1 if the text ends within a surrogate pair. */
function splitPairLength(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last <= 0xdbff ? 1 : 0;
}
