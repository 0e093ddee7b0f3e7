import PQueue from "p-queue";
import { Refusal } from "./failures.js";

/** Seconds that who is refused should wait. */
const RETRY_AFTER = 1;

/** Lets a number of requests in at a time, and a number wait. */
export class Gate {
  readonly #queue: PQueue;
  readonly #maxQueued: number;

  constructor(maxConcurrent: number, maxQueued: number) {
    this.#queue = new PQueue({ concurrency: maxConcurrent });
    this.#maxQueued = maxQueued;
  }

  /** How many are inside. */
  get running(): number {
    return this.#queue.pending;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Waits for a place; call what it resolves to when it is free again. */
  enter(signal: AbortSignal): Promise<() => void> {
    const isFull = this.running >= this.#queue.concurrency && this.waiting >= this.#maxQueued;
    if (isFull) throw overloaded("The server has as many requests as it takes.");
    return new Promise((resolve, reject) => {
      const stay = () => new Promise<void>((free) => resolve(free));
      this.#queue.add(stay, { signal }).catch(reject);
    });
  }
}

/** A refusal that another try may not meet. */
export function overloaded(message: string): Refusal {
  return new Refusal(503, "overloaded", message, { retryAfter: RETRY_AFTER });
}
