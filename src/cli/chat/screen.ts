import { Writable } from "node:stream";
import type { WriteStream } from "node:tty";

/** A terminal for a line editor, which is not to be seen while something else is printed. */
export class Screen extends Writable {
  readonly isTTY = true;
  isMuted = false;
  readonly #terminal: WriteStream;
  readonly #onResize = () => this.emit("resize");

  constructor(terminal: WriteStream) {
    super();
    this.#terminal = terminal;
    terminal.on("resize", this.#onResize);
  }

  get columns(): number {
    return this.#terminal.columns;
  }

  get rows(): number {
    return this.#terminal.rows;
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    if (!this.isMuted) this.#terminal.write(chunk);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#terminal.off("resize", this.#onResize);
    done(error);
  }
}
