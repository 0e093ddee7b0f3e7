import { UsageError } from "../exit-codes.js";
import { MessageLines } from "./message-lines.js";

/** Where the messages of a chat come from. */
export interface Messages {
  /** The next message, or undefined at the end; `draft` is what a person may go on editing. */
  next(draft?: string): Promise<string | undefined>;
  /** The answer to a question, which is no message. */
  answer(question: string): Promise<string>;
  close(): void;
}

/** Messages that come through a pipe; nobody is there to answer questions. */
export class PipedMessages implements Messages {
  readonly #lines: AsyncIterator<string>;

  constructor(lines: AsyncIterable<string>) {
    this.#lines = lines[Symbol.asyncIterator]();
  }

  async next(): Promise<string | undefined> {
    const message = new MessageLines();
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done && message.isOpen) {
        throw new UsageError('The last message has no end: """ or a line is missing.');
      }
      if (done) return undefined;
      const whole = message.take(value);
      if (whole !== undefined) return whole;
    }
  }

  async answer(): Promise<string> {
    return "";
  }

  close(): void {
    void this.#lines.return?.();
  }
}
