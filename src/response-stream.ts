import { AbortError, GenerationError } from "./errors.js";
import type { LLMResponse, LLMStream, StreamEvent } from "./types.js";

/** The stream of one call: it starts when it is first read, by events or by `response`. */
export class ResponseStream implements LLMStream {
  readonly #source: AsyncIterator<StreamEvent>;
  readonly #call: AbortController;
  readonly #response: Promise<LLMResponse>;
  #resolve!: (response: LLMResponse) => void;
  #reject!: (error: unknown) => void;
  #isRead = false;

  /** `call` is aborted when the reader leaves before the end. */
  constructor(source: AsyncIterable<StreamEvent>, call: AbortController) {
    this.#source = source[Symbol.asyncIterator]();
    this.#call = call;
    this.#response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever reads events gets the error there; nobody has to await the response as well.
    this.#response.catch(() => {});
  }

  get response(): Promise<LLMResponse> {
    // Later, so that `const { response } = stream` before a loop over the events is fine.
    if (!this.#isRead) setImmediate(() => void this.#drain());
    return this.#response;
  }

  [Symbol.asyncIterator](): AsyncIterator<StreamEvent> {
    if (this.#isRead) {
      throw new GenerationError("This stream is being read already; its events come only once.", {
        code: "stream_already_read",
      });
    }
    this.#isRead = true;
    return { next: () => this.#next(), return: () => this.#leave() };
  }

  async #drain(): Promise<void> {
    if (this.#isRead) return;
    this.#isRead = true;
    await this.#readToEnd();
  }

  async #readToEnd(): Promise<void> {
    try {
      while (!(await this.#next()).done);
    } catch {
      // The response carries it.
    }
  }

  async #next(): Promise<IteratorResult<StreamEvent>> {
    try {
      const next = await this.#source.next();
      if (!next.done && next.value.type === "finish") this.#resolve(next.value.response);
      // Has no effect after a finish.
      if (next.done) this.#reject(new GenerationError("The stream ended without a finish."));
      return next;
    } catch (error) {
      this.#reject(error);
      throw error;
    }
  }

  async #leave(): Promise<IteratorResult<StreamEvent>> {
    this.#call.abort(new AbortError("The stream was left before its end."));
    // The end is the error of the abort, with all that is known of the call.
    await this.#readToEnd();
    return { done: true, value: undefined };
  }
}
