import { untilAborted } from "../../src/abort.js";
import type { Clock } from "../../src/chain/clock.js";

/** A clock that is moved by hand. Sleeping moves it too, at once, unless `isStopped`. */
export class HandClock implements Clock {
  time = 1000;
  /** True: sleeps last until they are aborted. */
  isStopped = false;
  /** How long everybody slept. */
  readonly slept: number[] = [];
  readonly #randoms: number[];

  /** `randoms` come one after the other, then again from the first. */
  constructor(...randoms: number[]) {
    this.#randoms = randoms.length > 0 ? randoms : [0.5];
  }

  readonly now = () => this.time;

  readonly random = () => {
    const next = this.#randoms.shift()!;
    this.#randoms.push(next);
    return next;
  };

  readonly sleep = async (seconds: number, signal: AbortSignal) => {
    this.slept.push(seconds);
    if (this.isStopped) await untilAborted(new Promise(() => {}), signal);
    signal.throwIfAborted();
    this.time += seconds;
  };
}
