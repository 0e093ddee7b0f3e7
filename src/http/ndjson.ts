import { Batches, type BatchReader } from "../batches.js";
import { ProtocolError } from "../errors.js";
import { shown } from "./server-text.js";
import { SERVERS } from "./servers.js";
import { detailsOf, type Where } from "./where.js";

const LINE_FEED = 10;
const LONGEST_LINE = 16 * 1024 * 1024;

/** Parses lines of JSON, in batches of whatever arrived together. */
export function readNdjson(
  chunks: AsyncIterable<Uint8Array[]>,
  where: Where,
): Batches<Uint8Array, unknown> {
  return new Batches(chunks, new LineReader(where));
}

/** Cuts bytes into lines. Only whole lines are decoded, so no character is ever cut. */
class LineReader implements BatchReader<Uint8Array, unknown> {
  readonly #where: Where;
  /** The beginning of a line whose end has not come yet. */
  #rest: Uint8Array[] = [];
  #restLength = 0;
  #isStart = true;

  constructor(where: Where) {
    this.#where = where;
  }

  read(chunks: Uint8Array[], values: unknown[]): void {
    if (chunks.some(endsLine)) this.#parse(this.#join(chunks), values);
    else for (const chunk of chunks) this.#keep(chunk);
    if (this.#restLength <= LONGEST_LINE) return;
    throw this.#error(`sent a line of more than ${LONGEST_LINE / 1024 / 1024} MiB`);
  }

  /** The last line may come without its end. */
  end(values: unknown[]): void {
    const text = this.#decode(this.#join([]));
    if (text.trim() === "") return;
    try {
      values.push(JSON.parse(text));
    } catch {
      throw this.#error("ended its answer in the middle of a line", "stream_truncated");
    }
  }

  #parse(bytes: Buffer, values: unknown[]): void {
    const whole = bytes.lastIndexOf(LINE_FEED) + 1;
    // One decoding for all lines that came together: that is most of the time saved here.
    const text = this.#decode(bytes, whole);
    if (whole < bytes.length) this.#keep(bytes.subarray(whole));
    let start = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      const line = text.slice(start, end);
      start = end + 1;
      try {
        values.push(JSON.parse(line));
      } catch {
        if (line.trim() === "") continue;
        throw this.#error(`sent a line that is not JSON: ${shown(line, this.#where.secret)}`);
      }
    }
  }

  #keep(bytes: Uint8Array): void {
    this.#rest.push(bytes);
    this.#restLength += bytes.length;
  }

  /** What was kept and what came now. */
  #join(chunks: Uint8Array[]): Buffer {
    const bytes = Buffer.concat([...this.#rest, ...chunks]);
    this.#rest = [];
    this.#restLength = 0;
    return bytes;
  }

  #decode(bytes: Buffer, end = bytes.length): string {
    const text = bytes.toString("utf8", 0, end);
    if (!this.#isStart) return text;
    this.#isStart = false;
    return text.replace(/^\uFEFF/, "");
  }

  #error(what: string, code?: string): ProtocolError {
    const { name } = SERVERS[this.#where.provider];
    return new ProtocolError(`${name} ${what}.`, { ...detailsOf(this.#where), code });
  }
}

function endsLine(chunk: Uint8Array): boolean {
  return chunk.includes(LINE_FEED);
}
