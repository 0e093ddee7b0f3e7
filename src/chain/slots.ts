import PQueue from "p-queue";

/** Places for requests at the same time; who finds none waits in line. */
export class Slots {
  readonly #queue: PQueue | undefined;

  /** Without `count` there is a place for everyone. */
  constructor(count?: number) {
    this.#queue = count === undefined ? undefined : new PQueue({ concurrency: count });
  }

  /** Takes a place; call what it resolves to when it is free again. Rejects on abort. */
  take(signal: AbortSignal): Promise<() => void> | (() => void) {
    const queue = this.#queue;
    if (!queue) return () => {};
    return new Promise((resolve, reject) => {
      queue.add(() => new Promise<void>((free) => resolve(free)), { signal }).catch(reject);
    });
  }
}
