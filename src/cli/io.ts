import { fstatSync } from "node:fs";
import { Readable } from "node:stream";
import type { WriteStream } from "node:tty";
import { styleText } from "node:util";
import { UsageError } from "./exit-codes.js";

/** One of the two streams that a command writes to. */
export interface Output {
  isTTY: boolean;
  /** Whether bold and the like are shown as such. */
  isColored: boolean;
  /** Of the terminal. */
  size(): { columns: number; rows: number };
  /**
   * Resolves when the text has been taken, so that a slow reader slows the writer. On a terminal,
   * what would steer it is shown instead: models, servers and files write whatever they like.
   */
  write(text: string): Promise<void>;
  /** Writes what steers the terminal. */
  steer(text: string): Promise<void>;
  bold(text: string): string;
  dim(text: string): string;
}

/** Everything that a command may touch of its process. */
export interface Io {
  stdin: {
    /** True if something was piped or redirected into the command. */
    piped: boolean;
    /** True if a person can answer a question. */
    isTTY: boolean;
    /** All of it, as text. */
    read(): Promise<string>;
    /** The next line. */
    readLine(): Promise<string>;
    /** All lines, as they come. */
    lines(): AsyncIterable<string>;
  };
  stdout: Output;
  stderr: Output;
  /** Where a person types lines; absent if nobody does. */
  terminal?: { input: NodeJS.ReadStream; output: WriteStream };
  /** Aborted when the user interrupts or nobody reads stdout any more. */
  signal: AbortSignal;
  /** Resolves when the user wants the command to end; only a second interrupt aborts `signal` then. */
  stopped(): Promise<void>;
}

/** Text of a model, which comes piece by piece; what comes behind it begins on its own line. */
export class Flow {
  readonly #output: Output;
  readonly #style: (text: string) => string;
  #isInLine = false;

  constructor(output: Output, style = (text: string) => text) {
    this.#output = output;
    this.#style = style;
  }

  async write(text: string): Promise<void> {
    if (text === "") return;
    this.#isInLine = !text.endsWith("\n");
    await this.#output.write(this.#style(text));
  }

  async endLine(): Promise<void> {
    if (this.#isInLine) await this.write("\n");
  }
}

const QUIET_STDIN_MS = 3000;
const ESCAPE = "\u001b";
const STILL_OPEN =
  "Waiting for the end of stdin, which is an open pipe. " +
  'To give no input use < /dev/null, or from a program stdio: ["ignore", …].\n';

/** The streams of this process. */
export function processIo(signal: AbortSignal, stopped: () => Promise<void>): Io {
  const stderr = output(process.stderr);
  return {
    stdin: {
      piped: stdinIsPiped(),
      isTTY: process.stdin.isTTY === true,
      read: () => readStdin(stderr, signal),
      readLine: () => readLine(signal),
      lines: () => readLines(signal),
    },
    terminal:
      process.stdin.isTTY === true && process.stderr.isTTY === true
        ? { input: process.stdin, output: process.stderr }
        : undefined,
    stdout: output(process.stdout),
    stderr,
    signal,
    stopped,
  };
}

function output(stream: WriteStream): Output {
  const isTTY = stream.isTTY === true;
  const colored = wantsColor(isTTY, process.env);
  const style = (format: "bold" | "dim") => (text: string) =>
    colored ? styleText(format, text, { validateStream: false }) : text;
  // The callback also comes after a failure; a closed pipe is handled once, by its "error" event.
  const steer = (text: string) =>
    new Promise<void>((resolve) => stream.write(text, () => resolve()));
  return {
    isTTY,
    isColored: colored,
    size: () => ({ columns: stream.columns ?? 80, rows: stream.rows ?? 24 }),
    write: (text) => steer(isTTY ? harmless(text) : text),
    steer,
    bold: style("bold"),
    dim: style("dim"),
  };
}

/** A text in which control characters are pictures, but for line ends, tabs, bold and dim. */
export function harmless(text: string): string {
  return text.replace(/(?!\r\n|[\n\t])(\p{Cc})(\[(?:1|2|22)m)?/gu, (found, control, style) => {
    return control === ESCAPE && style ? found : pictureOf(control) + (style ?? "");
  });
}

function pictureOf(control: string): string {
  const code = control.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "\u2421" : "\ufffd";
}

/** Whether to color, by the conventions of NO_COLOR and FORCE_COLOR. */
export function wantsColor(isTTY: boolean, env: Record<string, string | undefined>): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== "0";
  return isTTY && env.TERM !== "dumb";
}

/** A terminal and /dev/null are character devices: nothing was piped. */
function stdinIsPiped(): boolean {
  try {
    const stats = fstatSync(0);
    return stats.isFIFO() || stats.isFile() || stats.isSocket();
  } catch {
    // A closed stdin.
    return false;
  }
}

async function readLine(signal: AbortSignal): Promise<string> {
  const { createInterface } = await import("node:readline/promises");
  const reader = createInterface({ input: process.stdin });
  const stop = () => reader.close();
  signal.addEventListener("abort", stop);
  try {
    for await (const line of reader) return line;
    signal.throwIfAborted();
    return "";
  } finally {
    signal.removeEventListener("abort", stop);
    reader.close();
  }
}

async function* readLines(signal: AbortSignal): AsyncGenerator<string> {
  const { createInterface } = await import("node:readline");
  const stop = () => process.stdin.destroy();
  signal.addEventListener("abort", stop);
  try {
    const input = Readable.from(decoded(process.stdin));
    yield* createInterface({ input, crlfDelay: Infinity });
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function* decoded(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const chunk of chunks) yield decoder.decode(chunk, { stream: true });
  yield decoder.decode();
}

async function readStdin(stderr: Output, signal: AbortSignal): Promise<string> {
  // A parent that never closes the pipe would otherwise look like a hanging command.
  const note = setTimeout(() => void stderr.write(STILL_OPEN), QUIET_STDIN_MS);
  const stop = () => process.stdin.destroy();
  signal.addEventListener("abort", stop);
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    signal.throwIfAborted();
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof TypeError) throw new UsageError("stdin is not UTF-8 text.");
    throw error;
  } finally {
    clearTimeout(note);
    signal.removeEventListener("abort", stop);
  }
}
