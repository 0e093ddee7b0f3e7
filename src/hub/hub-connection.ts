import type { Dispatcher } from "undici";
import { GenerationError, type LLMError, TimeoutError } from "../errors.js";
import { type Connection, openConnections, type TrackedRequest } from "../http/connections.js";
import { type AnswerHead, Exchange } from "../http/exchange.js";
import type { HubAddress } from "./environment.js";
import { errorOfRefusal, hubNetworkError, type HubQuestion, notHub } from "./hub-errors.js";

/** How patient a connection is; in seconds. */
export interface HubLimits {
  connectTimeout: number;
  /** Longest silence. */
  timeout: number;
}

/** A good answer; its body is still coming. */
export interface HubAnswer extends AnswerHead {
  chunks: AsyncIterable<Uint8Array[]>;
}

interface Asked {
  url: URL;
  headers?: Record<string, string>;
  question: HubQuestion;
  signal: AbortSignal;
}

const MOST_REDIRECTS = 10;
const LARGEST_REFUSAL = 16 * 1024;

/** Asks the Hub, and the servers that it sends on to; only the Hub itself sees the token. */
export class HubConnection {
  readonly address: HubAddress;
  readonly #limits: HubLimits;
  readonly #origin: string;
  readonly #connections = new Map<string, Dispatcher>();

  constructor(address: HubAddress, limits: HubLimits) {
    this.address = address;
    this.#limits = limits;
    this.#origin = new URL(address.endpoint).origin;
  }

  /** Follows redirects; anything but a good answer becomes a typed error. */
  async get(asked: Asked): Promise<HubAnswer> {
    let { url } = asked;
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const { status, headers, exchange, silence } = await this.#send({ ...asked, url });
      const chunks = watched(exchange, silence);
      if (status < 300) return { status, headers, chunks };
      const { location } = headers;
      if (status >= 400 || location === undefined) {
        const text = await readUpTo(LARGEST_REFUSAL, chunks).catch(() => "");
        const isOfHub = url.origin === this.#origin;
        throw errorOfRefusal({ status, headers, text: String(text), isOfHub }, asked.question);
      }
      silence.close();
      await exchange.return();
      url = redirected(url, location, asked.question);
    }
    throw notHub(`it redirects more than ${MOST_REDIRECTS} times`, asked.question);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#connections.values()].map((connections) => connections.destroy()));
  }

  async #send({ url, headers, question, signal }: Asked) {
    const { token } = this.address;
    const authorization = token !== undefined && url.origin === this.#origin;
    const connections = this.#connectionsTo(url);
    signal.throwIfAborted();
    const silence = new SilenceTimer(this.#limits.timeout, url, (error) => exchange.fail(error));
    const exchange: Exchange = new Exchange({
      signal,
      explain: (error, stage) => hubNetworkError(error, stage, url, question),
      onEnd: () => silence.close(),
    });
    const request: TrackedRequest = {
      origin: url.origin,
      path: url.pathname + url.search,
      method: "GET",
      headers: {
        "user-agent": "mlx-llm-client",
        "accept-encoding": "identity",
        ...headers,
        ...(authorization && { authorization: `Bearer ${token}` }),
      },
      headersTimeout: 0,
      bodyTimeout: 0,
      onConnection: (connection: Connection) => exchange.onConnection(connection),
    };
    connections.dispatch(request, exchange);
    silence.start();
    return { ...(await exchange.head), exchange, silence };
  }

  #connectionsTo(url: URL): Dispatcher {
    const { connectTimeout } = this.#limits;
    const known = this.#connections.get(url.origin);
    const connections = known ?? openConnections({ url, connectTimeout, verifySsl: true });
    this.#connections.set(url.origin, connections);
    return connections;
  }
}

/** The text of a body; what is longer is an error. */
export async function readBody(
  { chunks }: HubAnswer,
  largest: number,
  question: HubQuestion,
): Promise<string> {
  const body = await readUpTo(largest, chunks);
  if (body.length <= largest) return body.toString();
  throw notHub(`it sent more than ${largest} bytes at once`, question);
}

/** Ends a request when nothing comes while somebody waits. */
class SilenceTimer {
  readonly #seconds: number;
  readonly #end: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(seconds: number, { host }: URL, end: (error: LLMError) => void) {
    this.#seconds = seconds;
    const message = `Nothing came from ${host} for ${seconds} s.`;
    this.#end = () => end(new TimeoutError(message, { code: "idle_timeout", retryable: true }));
  }

  start(): void {
    this.#timer ??= setTimeout(this.#end, this.#seconds * 1000);
    this.#timer.refresh();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** Reading what has come is no silence of the server. */
async function* watched(
  exchange: Exchange,
  silence: SilenceTimer,
): AsyncGenerator<Uint8Array[], undefined> {
  try {
    for (;;) {
      silence.start();
      const { value, done } = await exchange.next();
      silence.close();
      if (done) return;
      yield value;
    }
  } finally {
    silence.close();
    await exchange.return();
  }
}

/** Reads all, or a little more than so many bytes. */
async function readUpTo(largest: number, chunks: AsyncIterable<Uint8Array[]>): Promise<Buffer> {
  const read: Uint8Array[] = [];
  let length = 0;
  for await (const batch of chunks) {
    read.push(...batch);
    for (const chunk of batch) length += chunk.length;
    if (length > largest) break;
  }
  return Buffer.concat(read);
}

function redirected(from: URL, location: string, question: HubQuestion): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (!to || !/^https?:$/.test(to.protocol)) throw notHub("it redirects to no address", question);
  if (from.protocol === "https:" && to.protocol === "http:") {
    const message = `The Hub redirects to ${to.origin}, where nothing is encrypted.`;
    const hint = "Look at HF_ENDPOINT; a proxy may have changed the answer.";
    throw new GenerationError(message, { provider: "mlx", code: "pull_failed", hint });
  }
  return to;
}
