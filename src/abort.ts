import { setMaxListeners } from "node:events";
import { AbortError, LLMError } from "./errors.js";

/** The result of a promise, or the signal's reason as soon as it is aborted; the work behind goes on. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Aborts a controller together with a signal; call what it returns once the controller is done. */
export function abortTogether(controller: AbortController, signal?: AbortSignal): () => void {
  if (!signal) return () => {};
  const abort = () => controller.abort(signal.reason);
  if (signal.aborted) abort();
  // Any number of calls may share a signal; Node takes more than ten for a leak.
  setMaxListeners(0, signal);
  signal.addEventListener("abort", abort);
  return () => signal.removeEventListener("abort", abort);
}

/** The error of an aborted call: the reason itself if it is one of ours, else an `AbortError`. */
export function abortedBy({ reason }: AbortSignal): LLMError {
  if (LLMError.is(reason)) return reason;
  return new AbortError("The request was aborted.", { cause: reason });
}
