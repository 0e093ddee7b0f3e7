import { abortTogether } from "./abort.js";
import { AbortError, TimeoutError } from "./errors.js";

/** What is under way in a client, so that closing it ends all of it. */
export class Calls {
  readonly #calls = new Set<AbortController>();
  #isClosed = false;

  /** Throws an `AbortError` once it is closed. */
  checkOpen(): void {
    if (this.#isClosed) throw closedError();
  }

  /** Notes a call; call what it returns at its end. */
  add(call: AbortController): () => void {
    this.checkOpen();
    this.#calls.add(call);
    return () => this.#calls.delete(call);
  }

  /** Runs a question that ends, at the latest, after so many seconds, or with the caller's signal. */
  async within<T>(
    seconds: number,
    what: string,
    work: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const call = new AbortController();
    const remove = this.add(call);
    const unlink = abortTogether(call, signal);
    const timer = setTimeout(() => {
      call.abort(new TimeoutError(`${what} was not done within ${seconds} s.`));
    }, seconds * 1000);
    try {
      return await work(call.signal);
    } finally {
      clearTimeout(timer);
      unlink();
      remove();
    }
  }

  /** Aborts everything and lets nothing new begin. */
  close(): void {
    this.#isClosed = true;
    for (const call of this.#calls) call.abort(closedError());
  }
}

function closedError(): AbortError {
  return new AbortError("The client is closed.", { code: "closed" });
}
