import type { Dispatcher } from "undici";
import { abortedBy } from "../abort.js";
import { AbortError, type LLMError } from "../errors.js";
import type { Connection } from "./connections.js";

/** The beginning of an answer. */
export interface AnswerHead {
  status: number;
  /** By lower-case name. */
  headers: Record<string, string>;
}

/** How far an exchange had come when its connection failed. */
export type Stage = "connecting" | "waiting" | "reading";

/** What an exchange needs to know besides the request. */
export interface ExchangeOptions {
  signal: AbortSignal;
  /** Makes the error of a failed connection. */
  explain(error: Error, stage: Stage): LLMError;
  /** Called when the request is written to a connected socket. */
  onWritten?(): void;
  /** Called once, when nothing more can come. */
  onEnd?(): void;
}

/** A server that closes an idle connection does so at once, in milliseconds; later it was at work. */
const REUSE_WINDOW = 1000;

/** How much may wait for the reader before the server has to. */
const HIGH_WATER = 64 * 1024;

const READY = Promise.resolve();

/** One request and its answer: undici puts in what arrives, one reader takes it out in batches. */
export class Exchange
  implements Dispatcher.DispatchHandler, AsyncIterableIterator<Uint8Array[], undefined>
{
  /** Resolves when the headers have come. */
  readonly head: Promise<AnswerHead>;
  readonly #options: ExchangeOptions;
  #resolveHead!: (head: AnswerHead) => void;
  #rejectHead!: (error: LLMError) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #connection: Connection | undefined;
  #stage: Stage = "connecting";
  #isReused = false;
  #writtenAt = 0;
  #diedUnanswered = false;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #end: { error?: LLMError } | undefined;
  #wake: (() => void) | undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.head = new Promise((resolve, reject) => {
      this.#resolveHead = resolve;
      this.#rejectHead = reject;
    });
    options.signal.addEventListener("abort", this.#abort);
  }

  /** True if a connection from an earlier request failed before any byte of this answer. */
  get diedUnanswered(): boolean {
    return this.#diedUnanswered;
  }

  /** Ends it at once: what has not been read is dropped, the connection destroyed. */
  fail(error: LLMError): void {
    if (this.#end) return;
    this.#chunks = [];
    this.#finish(error);
    if (this.#controller) this.#controller.abort(error);
    else this.#connection?.giveUp();
  }

  // Not an async function: it would cost twice as much, for each token of a reply.
  next(): Promise<IteratorResult<Uint8Array[], undefined>> {
    const isReady = this.#chunks.length > 0 || this.#end !== undefined;
    return (isReady ? READY : new Promise<void>(this.#sleep)).then(this.#result);
  }

  /** Gives back what was read too early. */
  putBack(chunks: Uint8Array[]): void {
    this.#chunks.unshift(...chunks);
  }

  async return(): Promise<IteratorResult<Uint8Array[], undefined>> {
    this.fail(new AbortError("The answer was not read to its end."));
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  onConnection(connection: Connection): void {
    this.#connection = connection;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#end?.error) {
      controller.abort(this.#end.error);
      return;
    }
    this.#controller = controller;
    this.#stage = "waiting";
    this.#writtenAt = performance.now();
    if (this.#connection) this.#isReused = this.#connection.requests++ > 0;
    this.#options.onWritten?.();
  }

  onResponseStarted(): void {
    this.#stage = "reading";
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    for (const name of Object.keys(headers)) headers[name] = String(headers[name]);
    this.#resolveHead({ status, headers: headers as AnswerHead["headers"] });
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.#end) return;
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size > HIGH_WATER) this.#connection?.hold();
    if (this.#wake) this.#wakeReader();
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    this.#connection?.release();
    // To undici a body without length may end with a reset as well.
    const failure = this.#connection?.failure;
    if (failure) this.onResponseError(controller, failure);
    // Only when undici is done with the connection as well can the next request have it.
    else queueMicrotask(() => setImmediate(() => this.#finish()));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#end) return;
    const isFresh = performance.now() - this.#writtenAt < REUSE_WINDOW;
    this.#diedUnanswered = this.#isReused && this.#stage === "waiting" && isFresh;
    this.#finish(this.#options.explain(error, this.#stage));
  }

  #abort = () => this.fail(abortedBy(this.#options.signal));

  #sleep = (wake: () => void) => {
    this.#wake = wake;
  };

  #result = (): IteratorResult<Uint8Array[], undefined> => {
    if (this.#chunks.length > 0) return { done: false, value: this.#take() };
    if (this.#end?.error) throw this.#end.error;
    return { done: true, value: undefined };
  };

  #take(): Uint8Array[] {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#size = 0;
    if (!this.#end) this.#connection?.release();
    return chunks;
  }

  #finish(error?: LLMError): void {
    this.#end ??= error ? { error } : {};
    this.#options.signal.removeEventListener("abort", this.#abort);
    if (error) this.#rejectHead(error);
    this.#wakeReader();
    this.#options.onEnd?.();
  }

  // Once only: resolving a promise again is slow.
  #wakeReader(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
