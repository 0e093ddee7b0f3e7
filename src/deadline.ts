import { type Context, createContext, Script } from "node:vm";

/** Thrown where work did not end in its time. */
export class TookTooLong extends Error {
  constructor(milliseconds: number) {
    super(`it takes more than ${Math.round(milliseconds / 1000)} s`);
  }
}

const CALL = new Script("work()");
let context: Context | undefined;

/**
 * Runs work that files have a say in, such as their regular expressions, and throws `TookTooLong`
 * where it does not end. Only Node's own module for scripts can interrupt this thread.
 *
 * @example
 * withDeadline(1000, () => /^(a+)+$/.test(text));
 */
export function withDeadline<T>(milliseconds: number, work: () => T): T {
  context ??= createContext();
  context.work = work;
  try {
    return CALL.runInContext(context, { timeout: Math.ceil(milliseconds) }) as T;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === "ERR_SCRIPT_EXECUTION_TIMEOUT" ? new TookTooLong(milliseconds) : error;
  } finally {
    context.work = undefined;
  }
}
