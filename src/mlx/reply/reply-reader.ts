import { StopMatcher } from "../../stop.js";
import type { StreamEvent } from "../../types.js";
import { Incoming, type Piece, type Reading } from "./incoming.js";
import type { ReplyFormat } from "./reply-format.js";
import { ToolCalls } from "./tool-calls.js";

/** What a reply consists of, besides its start and finish. */
export type ReplyEvent = Exclude<StreamEvent, { type: "start" | "finish" }>;

/**
 * Turns the text of a reply, in any pieces, into events. Stop texts end it where they come in its
 * content; in reasoning and calls they mean nothing.
 */
export class ReplyReader {
  /** True once a stop text has come. */
  hasStopped = false;
  readonly #incoming = new Incoming();
  readonly #reading: Reading;
  readonly #stops: StopMatcher;
  readonly #calls: ToolCalls;

  constructor(format: ReplyFormat, stops: readonly string[]) {
    this.#reading = format.read(this.#incoming);
    this.#stops = new StopMatcher(stops);
    this.#calls = new ToolCalls(format.newId);
  }

  /** The stop text that has come. */
  get stopSequence(): string | undefined {
    return this.#stops.matched;
  }

  /** True while the text that comes is reasoning. */
  get isReasoning(): boolean {
    return this.#incoming.isReasoning;
  }

  get hasCalled(): boolean {
    return this.#calls.count > 0;
  }

  /** Adds the events that are certain with the next text. */
  push(text: string, events: ReplyEvent[]): void {
    if (text === "") return;
    this.#incoming.text += text;
    this.#read(events);
  }

  /** Adds what was held back until the end. */
  end(events: ReplyEvent[]): void {
    if (this.hasStopped) return;
    this.#incoming.hasEnded = true;
    this.#read(events);
    if (this.hasStopped) return;
    this.#addText(this.#stops.flush(), events);
    events.push(...this.#calls.flush());
  }

  #read(events: ReplyEvent[]): void {
    while (!this.hasStopped) {
      const { value: piece, done } = this.#reading.next();
      if (done || piece === undefined) return;
      this.#take(piece, events);
    }
  }

  #take(piece: Piece, events: ReplyEvent[]): void {
    if (piece.type === "text") {
      const { text, stopped } = this.#stops.push(piece.text);
      this.hasStopped = stopped;
      this.#addText(text, events);
      return;
    }
    // Text that waited for the rest of a stop text comes before what follows it.
    this.#addText(this.#stops.flush(), events);
    if (piece.type === "reasoning") append(events, "reasoning", piece.text);
    else events.push(...this.#calls.read(piece));
  }

  #addText(text: string, events: ReplyEvent[]): void {
    if (text !== "") append(events, "text", text);
  }
}

/** What came together is one event. */
function append(events: ReplyEvent[], type: "text" | "reasoning", text: string): void {
  const last = events.at(-1);
  if (last?.type === type) last.text += text;
  else events.push({ type, text });
}
