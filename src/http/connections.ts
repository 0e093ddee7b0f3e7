import { Socket } from "node:net";
import {
  Agent,
  type buildConnector,
  Client,
  type Dispatcher,
  EnvHttpProxyAgent,
  Pool,
} from "undici";
import { ConfigurationError } from "../errors.js";

/** How the connections to a server are made. */
export interface ConnectionSettings {
  url: URL;
  /** Seconds. */
  connectTimeout: number;
  verifySsl: boolean;
}

/** A request that wants to know the connection it gets. */
export interface TrackedRequest extends Dispatcher.DispatchOptions {
  onConnection(connection: Connection): void;
}

// Node servers close an idle connection after 5 s; sending into that moment fails.
const KEEP_ALIVE = { keepAliveTimeout: 4000, keepAliveMaxTimeout: 4000 };
const KEEP_ALIVE_THRESHOLD = 1000;

/** One place in the pool: a socket, followed by another one when that has died. */
export class Connection {
  /** Requests that its present socket has carried. */
  requests = 0;
  /** What broke its present socket. */
  failure: Error | undefined;
  #connecting: Socket | undefined;
  #socket: Socket | undefined;
  #isHeld = false;

  connecting(socket: unknown): void {
    // A proxy's agent gives a promise instead; what it connects ends by its own time limit.
    this.#connecting = socket instanceof Socket ? socket : undefined;
  }

  opened(socket: Socket): void {
    this.requests = 0;
    this.failure = undefined;
    this.#isHeld = false;
    this.#connecting = undefined;
    this.#socket = socket;
    socket.once("error", (error) => {
      this.failure = error;
    });
    // Not undici's own pause(): a paused parser throws where nobody can catch it when the server
    // closes the connection (nodejs/undici#5360, repaired only in undici 8).
    const read = socket.read;
    socket.read = (size) => (this.#isHeld && size !== 0 ? null : read.call(socket, size));
  }

  /** Gives up a connection that is not open yet. */
  giveUp(): void {
    this.#connecting?.destroy(new Error("given up"));
  }

  /** Stops reading: the server has to wait. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Reads on. */
  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    queueMicrotask(() => this.#socket?.emit("readable"));
  }
}

class TrackedClient extends Client {
  readonly #connection: Connection;

  constructor(origin: string | URL, options: Client.Options, connection: Connection) {
    super(origin, options);
    this.#connection = connection;
  }

  override dispatch(request: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler) {
    (request as Partial<TrackedRequest>).onConnection?.(this.#connection);
    return super.dispatch(request, handler);
  }
}

/** Makes the pool of connections: directly, or through the proxies that the environment names. */
export function openConnections(settings: ConnectionSettings): Dispatcher {
  const makeClient = (origin: URL, options: Client.Options) => {
    const connection = new Connection();
    const connect = tracked(options.connect as buildConnector.connector, connection);
    return new TrackedClient(origin, { ...options, connect }, connection);
  };
  const tls = { rejectUnauthorized: settings.verifySsl };
  const timeout = Math.max(1, Math.round(settings.connectTimeout * 1000));
  const options = {
    ...KEEP_ALIVE,
    keepAliveTimeoutThreshold: KEEP_ALIVE_THRESHOLD,
    pipelining: 1,
    connect: { ...tls, timeout },
    factory: (origin: string | URL, pool: object) =>
      new Pool(origin, { ...pool, factory: makeClient }),
  };
  if (isLoopback(settings.url)) return new Agent(options);
  try {
    return new EnvHttpProxyAgent({
      ...options,
      requestTls: { ...tls, timeout },
      proxyTls: { timeout },
      // Its answer to CONNECT belongs to connecting; undici would wait for five minutes.
      clientFactory: (proxy: URL, pool: object) =>
        new Pool(proxy, { ...pool, headersTimeout: timeout }),
    });
  } catch (error) {
    throw new ConfigurationError("http_proxy or https_proxy is not the address of a proxy.", {
      cause: error,
      hint: "Write it as http://host:port.",
    });
  }
}

function tracked(
  connector: buildConnector.connector,
  connection: Connection,
): buildConnector.connector {
  return (target, callback) => {
    const socket: unknown = connector(target, (...[error, opened]: ConnectorResult) => {
      if (opened) connection.opened(opened);
      callback(...([error, opened] as ConnectorResult));
    });
    connection.connecting(socket);
  };
}

type ConnectorResult = Parameters<buildConnector.Callback>;

/** Whether an address is this machine, which no proxy is asked for. */
export function isLoopback({ hostname }: URL): boolean {
  return /^(localhost|.+\.localhost|127\.[\d.]+|0\.0\.0\.0|\[::1?\])\.?$/i.test(hostname);
}
