import { StringDecoder } from "node:string_decoder";
import { createParser } from "eventsource-parser";
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
export async function* readServerSentEvents(
  chunks: AsyncIterable<Uint8Array[]>,
  where: Where,
): AsyncGenerator<ServerSentEvent[], void, undefined> {
  const reader = new EventReader();
  const error = (what: string, code?: string) =>
    new ProtocolError(`${SERVERS[where.provider].name} ${what}.`, { ...detailsOf(where), code });
  for await (const batch of chunks) {
    reader.read(batch);
    const events = reader.take();
    if (events.length > 0) yield events;
    if (reader.isOverlong) {
      throw error(`sent an event of more than ${LONGEST_EVENT / 1024 / 1024} MiB`);
    }
  }
  const last = reader.end();
  if (last === "cut") throw error("ended its answer in the middle of an event", "stream_truncated");
  if (last.length > 0) yield last;
}

class EventReader {
  isOverlong = false;
  #events: ServerSentEvent[] = [];
  readonly #decoder = new StringDecoder("utf8");
  #isStart = true;
  #lastCharacter = "\n";
  readonly #parser = createParser({
    maxBufferSize: LONGEST_EVENT,
    onEvent: ({ event, data }) => this.#events.push({ event, data }),
    // Unknown fields and retry times are to be ignored; only too much is an error.
    onError: ({ type }) => {
      this.isOverlong ||= type === "max-buffer-size-exceeded";
    },
  });

  read(batch: Uint8Array[]): void {
    for (const chunk of batch) this.#feed(this.#decoder.write(chunk));
  }

  take(): ServerSentEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** What came without the empty line that ends an event; "cut" if not even its line is whole. */
  end(): ServerSentEvent[] | "cut" {
    this.#feed(this.#decoder.end());
    const isCut = this.#lastCharacter !== "\n" && this.#lastCharacter !== "\r";
    this.#parser.feed("\n\n");
    const events = this.take();
    return isCut && events.some(({ data }) => !isWhole(data)) ? "cut" : events;
  }

  #feed(text: string): void {
    if (text === "" || this.isOverlong) return;
    // The parser knows the byte order mark only as undecoded bytes.
    const fed = this.#isStart ? text.replace(/^\uFEFF/, "") : text;
    this.#isStart = false;
    this.#lastCharacter = text.charAt(text.length - 1);
    this.#parser.feed(fed);
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
