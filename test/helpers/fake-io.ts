import { Readable } from "node:stream";
import type { Io, Output } from "../../src/cli/io.js";

/** Streams that keep what a command writes. */
export class FakeIo implements Io {
  readonly stdout = new FakeOutput();
  readonly stderr = new FakeOutput();
  readonly abort = new AbortController();
  readonly signal = this.abort.signal;
  /** Call it to end a command as a user does. */
  stop = () => {};
  readonly #stopped = new Promise<void>((resolve) => {
    this.stop = resolve;
  });
  readonly stdin;

  constructor({ stdin, isTTY = false }: { stdin?: string; isTTY?: boolean } = {}) {
    this.stdin = {
      piped: stdin !== undefined,
      isTTY,
      read: async () => stdin ?? "",
      readLine: async () => stdin ?? "",
      lines: () => Readable.from((stdin ?? "").split("\n")),
    };
    this.stdout.isTTY = isTTY;
    this.stderr.isTTY = isTTY;
  }

  stopped(): Promise<void> {
    return this.#stopped;
  }
}

class FakeOutput implements Output {
  isTTY = false;
  isColored = false;
  size = () => ({ columns: 80, rows: 24 });
  text = "";
  bold = (text: string) => text;
  dim = (text: string) => text;

  steer(text: string): Promise<void> {
    return this.write(text);
  }

  async write(text: string): Promise<void> {
    this.text += text;
  }
}
