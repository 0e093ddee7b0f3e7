/** Makes batches of one kind from batches of another. */
export interface BatchReader<In, Out> {
  /** Adds what a batch means to `made`; if it throws, what it has added still comes before the error. */
  read(batch: In[], made: Out[]): void;
  /** Adds what is left when the source has ended. */
  end?(made: Out[]): void;
  /** Whether a failure of the source does no harm any more, so that it counts as its end. */
  forgives?(error: unknown): boolean;
}

/**
 * What a reader makes of the batches of a source; batches of nothing are left out. A generator would
 * do the same, but it costs several times as much for each batch, and replies come token by token.
 */
export class Batches<In, Out> implements AsyncIterableIterator<Out[], undefined> {
  readonly #source: AsyncIterator<In[]>;
  readonly #reader: BatchReader<In, Out>;
  #failure: { error: unknown } | undefined;
  #isOver = false;

  constructor(source: AsyncIterable<In[]>, reader: BatchReader<In, Out>) {
    this.#source = source[Symbol.asyncIterator]();
    this.#reader = reader;
  }

  next(): Promise<IteratorResult<Out[], undefined>> {
    if (this.#failure) return this.#fail(this.#failure.error);
    if (this.#isOver) return this.#over();
    return this.#source.next().then(this.#make, this.#recover);
  }

  async return(): Promise<IteratorResult<Out[], undefined>> {
    if (!this.#isOver) {
      this.#isOver = true;
      await this.#source.return?.();
    }
    return this.#over();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #make = (result: IteratorResult<In[]>) => {
    const made: Out[] = [];
    try {
      if (result.done) this.#end(made);
      else this.#read(result.value, made);
    } catch (error) {
      if (made.length === 0) return this.#fail(error);
      this.#failure = { error };
    }
    return made.length > 0 ? { done: false as const, value: made } : this.next();
  };

  #recover = (error: unknown) => {
    // Whoever has left it does not wait for more.
    if (this.#isOver) return this.#over();
    if (!this.#reader.forgives?.(error)) throw error;
    return this.#make({ done: true, value: undefined });
  };

  #read(batch: In[], made: Out[]): void {
    this.#reader.read(batch, made);
    // The promise that brought it may have waited for long; it is then collected late, with all it holds.
    batch.length = 0;
  }

  #end(made: Out[]): void {
    this.#isOver = true;
    this.#reader.end?.(made);
  }

  async #fail(error: unknown): Promise<never> {
    this.#failure = undefined;
    await this.return();
    throw error;
  }

  async #over(): Promise<IteratorReturnResult<undefined>> {
    return { done: true, value: undefined };
  }
}

/** A source that is opened when it is first read. */
export function lazily<T>(open: () => Promise<AsyncIterator<T>>): AsyncIterableIterator<T> {
  let source: AsyncIterator<T> | undefined;
  const first = async () => {
    source = await open();
    return source.next();
  };
  return {
    next: () => source?.next() ?? first(),
    return: async () => source?.return?.() ?? { done: true, value: undefined },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
