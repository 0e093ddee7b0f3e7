import type { SingleBar } from "cli-progress";
import type { PullProgress } from "../index.js";
import { formatBytes } from "./format.js";
import type { Output } from "./io.js";
import { cellText } from "./table.js";

const FORMAT = "{bar} {percentage} % | {done} of {all} | {speed}/s | {eta_formatted}";
const REDRAWS_PER_SECOND = 8;

/** Tells on stderr how far a download has come: on a terminal as one bar over all its parts. */
export class PullBar {
  readonly #stderr: Output;
  readonly #isQuiet: boolean;
  readonly #parts = new Map<string, PullProgress>();
  #bar: SingleBar | undefined;
  readonly #told = new Set<string>();
  #startedAt = 0;
  #startedWith = 0;

  /** `isQuiet`: only what a person at a terminal sees. */
  constructor(stderr: Output, isQuiet: boolean) {
    this.#stderr = stderr;
    this.#isQuiet = isQuiet;
  }

  async show(progress: PullProgress): Promise<void> {
    const { status, digest, total } = progress;
    if (digest !== undefined && total !== undefined) {
      this.#parts.set(digest, progress);
      if (this.#stderr.isTTY) return this.#draw();
    }
    if (this.#told.has(status) || (this.#isQuiet && !this.#stderr.isTTY)) return;
    this.#told.add(status);
    await this.end();
    await this.#stderr.write(`${cellText(status)}\n`);
  }

  /** What comes now begins on a line of its own. */
  async end(): Promise<void> {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  async #draw(): Promise<void> {
    const sum = (field: "total" | "completed") =>
      [...this.#parts.values()].reduce((all, part) => all + (part[field] ?? 0), 0);
    const [total, completed] = [sum("total"), sum("completed")];
    if (!this.#bar) await this.#start(completed);
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const speed = (completed - this.#startedWith) / Math.max(seconds, 0.001);
    this.#bar?.setTotal(total);
    this.#bar?.update(completed, {
      done: formatBytes(completed),
      all: formatBytes(total),
      speed: formatBytes(Math.max(0, Math.round(speed))),
    });
  }

  async #start(completed: number): Promise<void> {
    const { default: progress } = await import("cli-progress");
    this.#startedAt = performance.now();
    this.#startedWith = completed;
    this.#bar = new progress.SingleBar(
      {
        format: FORMAT,
        barsize: 30,
        fps: REDRAWS_PER_SECOND,
        // It would keep signals from ending the process, to undo what it changes of the terminal.
        gracefulExit: false,
        hideCursor: false,
        linewrap: true,
        stream: asStream(this.#stderr),
      },
      progress.Presets.shades_classic,
    );
    const nothing = formatBytes(0);
    this.#bar.start(1, 0, { done: nothing, all: nothing, speed: nothing });
  }
}

/** What cli-progress needs of a stream. */
function asStream(output: Output): NodeJS.WritableStream {
  const stream = {
    isTTY: true,
    columns: process.stderr.columns ?? 80,
    write: (text: string) => {
      void output.steer(text);
      return true;
    },
  };
  return stream as unknown as NodeJS.WritableStream;
}
