import { once } from "node:events";
import { createServer as createHttpServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { AbortError, ConfigurationError, type LLMClient } from "../index.js";
import { createApp } from "./app.js";
import { Gate } from "./gate.js";
import { Metrics } from "./metrics.js";
import { checkOptions, type ServerOptions, type Settings } from "./options.js";
import type { Service } from "./service.js";

/** An HTTP server over a client. */
export class LLMServer {
  readonly #settings: Settings;
  readonly #service: Service;
  readonly #server: Server;
  readonly #stop = new AbortController();
  #closing: Promise<void> | undefined;

  /** Throws a `ConfigurationError` for a wrong option. */
  constructor(client: LLMClient, options: ServerOptions = {}) {
    this.#settings = checkOptions(options);
    const { maxConcurrent, maxQueued } = this.#settings;
    const gate = new Gate(maxConcurrent, maxQueued);
    this.#service = {
      client,
      settings: this.#settings,
      gate,
      metrics: new Metrics(gate),
      stopping: this.#stop.signal,
      isClosing: false,
    };
    const { fetch } = createApp(this.#service);
    this.#server = createHttpServer(
      // Whoever embeds the server keeps the Request and Response of Node.
      getRequestListener(fetch as Parameters<typeof getRequestListener>[0], {
        overrideGlobalObjects: false,
      }),
    );
    this.#server.on("request", (_request, response) => {
      // A connection that is kept for the next request would keep a closing server open.
      response.on("close", () => {
        if (this.#closing) setImmediate(() => this.#server.closeIdleConnections());
      });
    });
  }

  /** Begins to listen; resolves to the address. */
  async listen(): Promise<string> {
    const { host, port } = this.#settings;
    this.#server.listen(port, host);
    try {
      await once(this.#server, "listening");
    } catch (error) {
      throw cannotListen(host, port, error as NodeJS.ErrnoException);
    }
    return this.url;
  }

  /** The address, once it listens. */
  get url(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  /**
   * Takes no more requests, gives those under way `drainTimeout` seconds to end, and then ends them.
   * The client stays open.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#service.isClosing = true;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeIdleConnections();
    const end = setTimeout(() => {
      this.#stop.abort(new AbortError("The server is closing.", { code: "closed" }));
      // What is told of that goes out first.
      setTimeout(() => this.#server.closeAllConnections(), LAST_WORDS_MS);
    }, this.#settings.drainTimeout * 1000);
    await closed;
    clearTimeout(end);
  }
}

const LAST_WORDS_MS = 500;

function cannotListen(
  host: string,
  port: number,
  error: NodeJS.ErrnoException,
): ConfigurationError {
  const reason = error.code === "EADDRINUSE" ? "it is in use" : error.message;
  return new ConfigurationError(`Cannot listen on ${host}, port ${port}: ${reason}.`, {
    hint: "Choose another port, or 0 for any that is free.",
    cause: error,
  });
}
