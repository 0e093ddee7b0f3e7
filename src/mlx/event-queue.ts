/** Hands values from callbacks to one reader, in order. */
export class EventQueue<T> {
  #values: T[] = [];
  #end: { error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  push(value: T): void {
    if (this.#end) return;
    this.#values.push(value);
    this.#wake?.();
  }

  /** The reader gets what is queued, then the end. */
  end(): void {
    this.#end ??= {};
    this.#wake?.();
  }

  /** The reader gets the error at once, even if the end was near; what is queued is dropped. */
  fail(error: unknown): void {
    if (this.#end && "error" in this.#end) return;
    this.#end = { error };
    this.#values = [];
    this.#wake?.();
  }

  /** Everything that came since the last call; undefined at the end. */
  async take(): Promise<T[] | undefined> {
    while (this.#values.length === 0 && !this.#end) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#values.length > 0) return this.#values.splice(0);
    if (this.#end && "error" in this.#end) throw this.#end.error;
    return undefined;
  }
}
