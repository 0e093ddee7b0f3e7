import { setTimeout as sleep } from "node:timers/promises";

/** Time and chance, so that tests can do without waiting and without luck. */
export interface Clock {
  /** Seconds since some moment; never goes back. */
  now(): number;
  /** Waits; rejects with the signal's reason as soon as it is aborted. */
  sleep(seconds: number, signal: AbortSignal): Promise<void>;
  /** A number from 0 up to, but not including, 1. */
  random(): number;
}

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => performance.now() / 1000,
  sleep: async (seconds, signal) => {
    await sleep(seconds * 1000, undefined, { signal }).catch(() => signal.throwIfAborted());
  },
  random: Math.random,
};
