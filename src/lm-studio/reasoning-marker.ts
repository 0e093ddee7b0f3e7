import { unfinishedLength } from "../stop.js";
import type { FilteredText, TextFilter } from "../openai/server-kind.js";
import type { ResponseFormat } from "../types.js";

const START = "__LM_STUDIO_INTERNAL_LSEP_SYNTHETIC_REASONING_END_";
const MARKER = new RegExp(`${START}[0-9a-f]{0,64}__`, "i");
/** A marker whose end is still to come. */
const OPEN_MARKER = new RegExp(`${START}[0-9a-f]{0,64}_?$`, "i");
const LOOKS_LIKE_JSON = /^\s*[[{"\d-]/;

/**
 * Takes LM Studio's internal marks of where reasoning ends out of the text. They slip into it with
 * a response format, and then what stands before such a mark is reasoning: text that does not look
 * like JSON waits for the mark.
 */
export class ReasoningMarkerFilter implements TextFilter {
  #held = "";
  #awaitsJson: boolean;

  constructor(format?: ResponseFormat) {
    this.#awaitsJson = format !== undefined && format.type !== "text";
  }

  push(text: string): FilteredText {
    if (this.#held === "" && !this.#awaitsJson && !text.includes("_")) return { text };
    this.#held += text;
    const before = this.#cutMarker();
    if (!this.#awaitsJson) return { text: before + this.#take() };
    if (before === "" && !LOOKS_LIKE_JSON.test(this.#held)) return { text: "" };
    this.#awaitsJson = false;
    return { reasoning: before, text: this.#take() };
  }

  flush(): FilteredText {
    const text = this.#held;
    this.#held = "";
    return { text };
  }

  /** Drops all that is held up to the last marker, and gives it back. */
  #cutMarker(): string {
    let before = "";
    for (let match = MARKER.exec(this.#held); match; match = MARKER.exec(this.#held)) {
      before += this.#held.slice(0, match.index);
      this.#held = this.#held.slice(match.index + match[0].length);
    }
    return before;
  }

  /** All that is held, but for what may become a marker. */
  #take(): string {
    const open = OPEN_MARKER.exec(this.#held)?.index;
    const shown = open ?? this.#held.length - unfinishedLength(this.#held, [START]);
    const text = this.#held.slice(0, shown);
    this.#held = this.#held.slice(shown);
    return text;
  }
}
