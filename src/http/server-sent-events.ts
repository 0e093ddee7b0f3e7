import { StringDecoder } from "node:string_decoder";
import { createParser } from "eventsource-parser";
import { Batches, type BatchReader } from "../batches.js";
import { ProtocolError } from "../errors.js";
import { SERVERS } from "./servers.js";
import { detailsOf, type Where } from "./where.js";

/** One event of a stream; comments, ids and retry times are left out. */
export interface ServerSentEvent {
  /** Name of the event; undefined for a plain message. */
  event?: string | undefined;
  data: string;
}

const LONGEST_EVENT = 16 * 1024 * 1024;

/** Parses server-sent events, in batches of whatever arrived together. */
export function readServerSentEvents(
  chunks: AsyncIterable<Uint8Array[]>,
  where: Where,
): Batches<Uint8Array, ServerSentEvent> {
  return new Batches(chunks, new EventReader(where));
}

class EventReader implements BatchReader<Uint8Array, ServerSentEvent> {
  readonly #where: Where;
  readonly #decoder = new StringDecoder("utf8");
  #events: ServerSentEvent[] = [];
  #isOverlong = false;
  #isStart = true;
  #lastCharacter = "\n";
  readonly #parser = createParser({
    maxBufferSize: LONGEST_EVENT,
    onEvent: ({ event, data }) => this.#events.push({ event, data }),
    // Unknown fields and retry times are to be ignored; only too much is an error.
    onError: ({ type }) => {
      this.#isOverlong ||= type === "max-buffer-size-exceeded";
    },
  });

  constructor(where: Where) {
    this.#where = where;
  }

  read(chunks: Uint8Array[], events: ServerSentEvent[]): void {
    this.#events = events;
    for (const chunk of chunks) this.#feed(this.#decoder.write(chunk));
    if (!this.#isOverlong) return;
    throw this.#error(`sent an event of more than ${LONGEST_EVENT / 1024 / 1024} MiB`);
  }

  /** The last event may come without the empty line that ends it, but not without its own end. */
  end(events: ServerSentEvent[]): void {
    this.#events = events;
    this.#feed(this.#decoder.end());
    const isCut = this.#lastCharacter !== "\n" && this.#lastCharacter !== "\r";
    this.#parser.feed("\n\n");
    if (!isCut || events.every(({ data }) => isWhole(data))) return;
    events.length = 0;
    throw this.#error("ended its answer in the middle of an event", "stream_truncated");
  }

  #feed(text: string): void {
    if (text === "" || this.#isOverlong) return;
    // The parser knows the byte order mark only as undecoded bytes.
    const fed = this.#isStart ? text.replace(/^\uFEFF/, "") : text;
    this.#isStart = false;
    this.#lastCharacter = text.charAt(text.length - 1);
    this.#parser.feed(fed);
  }

  #error(what: string, code?: string): ProtocolError {
    const { name } = SERVERS[this.#where.provider];
    return new ProtocolError(`${name} ${what}.`, { ...detailsOf(this.#where), code });
  }
}

function isWhole(data: string): boolean {
  if (data === "[DONE]") return true;
  try {
    JSON.parse(data);
    return true;
  } catch {
    return false;
  }
}
