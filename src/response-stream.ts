import type { Reply } from "./chain/route.js";
import { AbortError, GenerationError } from "./errors.js";
import type { LLMResponse, LLMStream, StreamEvent } from "./types.js";

/** What is left of a reply that failed. */
const OVER: Reply = { next: async () => undefined };

/** The stream of one call: it starts when it is first read, by events or by `response`. */
export class ResponseStream implements LLMStream {
  readonly #open: () => Promise<Reply>;
  readonly #call: AbortController;
  readonly #response: Promise<LLMResponse>;
  #resolve!: (response: LLMResponse) => void;
  #reject!: (error: unknown) => void;
  #reply: Reply | undefined;
  #reading: Promise<IteratorResult<StreamEvent>> | undefined;
  /** What was read although nobody asked for it. */
  #ahead: Promise<readonly StreamEvent[] | undefined> | undefined;
  #events: readonly StreamEvent[] = [];
  #position = 0;
  #isRead = false;
  #isWhole = false;

  /** `call` is aborted when the reader leaves before the end. */
  constructor(open: () => Promise<Reply>, call: AbortController) {
    this.#open = open;
    this.#call = call;
    this.#response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever reads events gets the error there; nobody has to await the response as well.
    this.#response.catch(() => {});
    call.signal.addEventListener("abort", () => this.#readAborted());
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

  #next(): Promise<IteratorResult<StreamEvent>> {
    const event = this.#events[this.#position];
    if (event) {
      this.#position += 1;
      return Promise.resolve({ done: false, value: event });
    }
    // Whoever asks again before the answer is there gets what follows it.
    if (this.#reading) return this.#reading.then(() => this.#next());
    // No async function: it would cost twice as much, and a reply comes token by token.
    const batch = this.#reply ? this.#nextBatch(this.#reply) : this.#begin();
    this.#reading = batch.then(this.#take, this.#fail);
    return this.#reading;
  }

  async #begin(): Promise<readonly StreamEvent[] | undefined> {
    this.#reply = await this.#open();
    return this.#nextBatch(this.#reply);
  }

  #nextBatch(reply: Reply): Promise<readonly StreamEvent[] | undefined> {
    const events = this.#ahead ?? reply.next();
    this.#ahead = undefined;
    return events;
  }

  #take = (events: readonly StreamEvent[] | undefined) => {
    this.#reading = undefined;
    if (events?.length === 0) return this.#next();
    const result = events ? this.#first(events) : this.#end();
    if (this.#call.signal.aborted) this.#readAborted();
    return result;
  };

  #fail = (error: unknown): never => {
    this.#reading = undefined;
    this.#reply = OVER;
    this.#reject(error);
    throw error;
  };

  #first(events: readonly StreamEvent[]): IteratorResult<StreamEvent> {
    this.#settle(events);
    this.#events = events;
    this.#position = 1;
    return { done: false, value: events[0]! };
  }

  /** After an abort nobody may read on, but the call must end, and whoever awaits `response` hear of it. */
  #readAborted(): void {
    if (this.#reading || !this.#reply || this.#ahead) return;
    const ahead = readAll(this.#reply);
    this.#ahead = ahead;
    ahead.then(
      (events) => this.#settle(events),
      (error) => this.#reject(error),
    );
  }

  #settle(events: readonly StreamEvent[]): void {
    const last = events.at(-1);
    if (last?.type !== "finish") return;
    this.#isWhole = true;
    this.#resolve(last.response);
  }

  #end(): IteratorResult<StreamEvent> {
    if (!this.#isWhole) this.#reject(new GenerationError("The stream ended without a finish."));
    return { done: true, value: undefined };
  }

  async #leave(): Promise<IteratorResult<StreamEvent>> {
    this.#call.abort(new AbortError("The stream was left before its end."));
    // The end is the error of the abort, with all that is known of the call.
    await this.#readToEnd();
    return { done: true, value: undefined };
  }
}

async function readAll(reply: Reply): Promise<StreamEvent[]> {
  const all: StreamEvent[] = [];
  for (let events = await reply.next(); events; events = await reply.next()) all.push(...events);
  return all;
}
