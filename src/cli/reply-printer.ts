import type { StreamEvent } from "../index.js";
import { Flow, type Io } from "./io.js";

/** Where the content of a reply goes. */
export type ContentFlow = Pick<Flow, "write" | "endLine">;

/** What is said of a reply that did not end by itself. */
export const CUT = "note: the reply was cut: --max-tokens is reached, or the context is full\n";

/** Prints a reply as it comes: content to stdout, what the model thinks to stderr. */
export class ReplyPrinter {
  readonly #content: ContentFlow;
  readonly #thoughts: Flow;
  readonly #hidesReasoning: boolean;

  constructor(
    { stdout, stderr }: Io,
    { hideReasoning }: { hideReasoning: boolean },
    content: ContentFlow = new Flow(stdout),
  ) {
    this.#content = content;
    this.#thoughts = new Flow(stderr, stderr.dim);
    this.#hidesReasoning = hideReasoning;
  }

  async print(event: StreamEvent): Promise<void> {
    if (event.type === "reasoning" && !this.#hidesReasoning) await this.#thoughts.write(event.text);
    if (event.type !== "text") return;
    await this.#thoughts.endLine();
    await this.#content.write(event.text);
  }

  async end(): Promise<void> {
    await this.#thoughts.endLine();
    await this.#content.endLine();
  }
}
