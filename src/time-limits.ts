import { TimeoutError } from "./errors.js";
import type { StreamEvent } from "./types.js";

/** How long a call may take, in seconds. */
export interface TimeLimits {
  /** Until the first content. */
  firstToken: number;
  /** Between two pieces of content. */
  idle: number;
  /** For the whole call. */
  deadline?: number;
}

/**
 * Passes events on and aborts the call with a `TimeoutError` when one of its limits runs out.
 * Only waiting for the provider counts as silence, not a slow reader.
 */
export async function* withTimeLimits(
  events: AsyncIterable<StreamEvent>,
  { firstToken, idle, deadline }: TimeLimits,
  call: AbortController,
): AsyncGenerator<StreamEvent> {
  const whole = deadline === undefined ? undefined : deadlineTimer(deadline, call);
  const iterator = events[Symbol.asyncIterator]();
  let contentCame = false;
  try {
    for (;;) {
      const silence = contentCame
        ? new TimeoutError(`No more content came for ${idle} s.`, { code: "idle_timeout" })
        : new TimeoutError(`No content came for ${firstToken} s.`, {
            code: "first_content_timeout",
            hint: "Loading a large model may take longer: raise timeout, or firstTokenTimeout alone.",
          });
      const timer = setTimeout(() => call.abort(silence), (contentCame ? idle : firstToken) * 1000);
      const next = await iterator.next().finally(() => clearTimeout(timer));
      if (next.done) return;
      contentCame ||= next.value.type !== "start";
      yield next.value;
    }
  } finally {
    clearTimeout(whole);
    await iterator.return?.();
  }
}

function deadlineTimer(seconds: number, call: AbortController): NodeJS.Timeout {
  const error = new TimeoutError(`The call was not done within ${seconds} s.`, {
    code: "deadline_exceeded",
  });
  const timer = setTimeout(() => call.abort(error), seconds * 1000);
  // An abandoned stream must not keep the process alive.
  timer.unref();
  return timer;
}
