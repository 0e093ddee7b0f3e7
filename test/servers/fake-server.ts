import { once } from "node:events";
import { readFileSync } from "node:fs";
import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  createServer,
} from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { Exchange } from "./exchange.js";
import { FaultPlan, type Strike } from "./fault-plan.js";
import type { FaultName, FaultSettings } from "./faults.js";
import type { Reply } from "./wire-reply.js";

/** A request as the server got it. */
export interface RecordedRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  /** The body as JSON, undefined where it is none. */
  json: Record<string, unknown> | undefined;
  /** The number of the connection it came on, from 1. */
  connection: number;
  /** Becomes true when the client left before the whole reply was sent. */
  disconnected: boolean;
}

/** How a fake is reached. */
export interface FakeServerOptions {
  /** Speaks TLS with a self-signed certificate for localhost. */
  tls?: boolean;
}

/** A real HTTP server on a loopback port that records what it gets and fails on demand. */
export abstract class FakeServer {
  readonly requests: RecordedRequest[] = [];
  /** How many clients left before the whole reply was sent. */
  disconnects = 0;
  /** How many connections were made. */
  connections = 0;
  /** The most requests that were under way at a time. */
  mostInFlight = 0;
  private inFlight = 0;
  protected readonly plan = new FaultPlan();
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  /** By the client's port: a TLS socket and the one beneath it share that. */
  private readonly numbers = new Map<number | undefined, number>();
  private readonly waiting = new Set<() => void>();
  private port = 0;

  constructor(private readonly options: FakeServerOptions = {}) {
    const handle = (request: IncomingMessage, response: ServerResponse) => {
      void this.handle(request, response);
    };
    this.server = options.tls ? createSecureServer(certificate(), handle) : createServer(handle);
    // Faults decide when a connection ends, not the defaults of Node.
    this.server.keepAliveTimeout = 0;
    this.server.on("connection", (socket: Socket) => this.accept(socket));
  }

  /** What a healthy server answers. */
  protected abstract answer(request: RecordedRequest): Reply | Promise<Reply>;

  /** The address, without a slash at its end. */
  get url(): string {
    return `${this.options.tls ? "https" : "http"}://127.0.0.1:${this.port}`;
  }

  /** How many connections are open. */
  get open(): number {
    return this.sockets.size;
  }

  /** Listens on a free port of the loopback interface. */
  async start(): Promise<this> {
    this.server.listen(this.port, "127.0.0.1");
    await once(this.server, "listening");
    this.port = (this.server.address() as AddressInfo).port;
    return this;
  }

  /** Makes the next requests fail in one way; see FAULTS for the ways. */
  fault(name: FaultName, settings: FaultSettings = {}): this {
    this.plan.add(name, settings);
    if (name === "connection-refused") {
      this.server.close();
      this.dropConnections();
    }
    return this;
  }

  /** Makes the server well again. */
  async clearFaults(): Promise<void> {
    this.plan.clear();
    if (!this.server.listening) await this.start();
  }

  /** Waits until so many requests have come in, and returns the last of these. */
  async requestCount(count: number): Promise<RecordedRequest> {
    await this.until(() => this.requests.length >= count);
    return this.requests[count - 1]!;
  }

  /** Waits until so many clients have left before the whole reply was sent. */
  async disconnectCount(count: number): Promise<void> {
    await this.until(() => this.disconnects >= count);
  }

  /** Stops listening and ends all connections. */
  async close(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, "close");
    this.server.close();
    this.dropConnections();
    await closed;
  }

  private async handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = new Exchange(message, response);
    const request = await this.record(exchange, message, response);
    if (exchange.over) return;
    this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight);
    await this.serve(exchange, request);
    this.inFlight--;
  }

  private async serve(exchange: Exchange, request: RecordedRequest): Promise<void> {
    const fault = this.plan.take(request, this.requests);
    await fault?.strike("connect", exchange);
    if (exchange.over) return;
    let reply = await this.answer(request);
    reply = fault?.change(reply, request) ?? reply;
    await exchange.pause(reply.beforeHeadersMs ?? 0);
    await fault?.strike("load", exchange, reply);
    exchange.sendHead(reply);
    await this.sendParts(exchange, reply, fault);
    exchange.end();
    fault?.afterwards(exchange);
  }

  private async sendParts(exchange: Exchange, reply: Reply, fault?: Strike) {
    const contents = reply.parts.flatMap((part, index) => (part.kind === "content" ? [index] : []));
    const first = contents[0] ?? 0;
    const last = contents.at(-1) ?? -1;
    const middle = contents[fault?.settings.afterPieces ?? 1] ?? last + 1;
    const stages = [
      [first, "first-content"],
      [middle, "mid-stream"],
      [last + 1, "end"],
    ] as const;
    for (let index = 0; index <= reply.parts.length && !exchange.over; index++) {
      for (const [at, stage] of stages) {
        if (index === at && !exchange.over) await fault?.strike(stage, exchange, reply);
      }
      const part = reply.parts[index];
      if (!part) continue;
      await exchange.pause(part.delayMs ?? 0);
      await exchange.send(part.bytes);
    }
  }

  private accept(socket: Socket): void {
    this.connections++;
    this.sockets.add(socket);
    this.numbers.set(socket.remotePort, this.connections);
    socket.once("close", () => this.sockets.delete(socket));
    // A client may reset the connection at any time.
    socket.on("error", () => {});
    this.plan.strikeConnection(socket);
  }

  private async record(exchange: Exchange, message: IncomingMessage, response: ServerResponse) {
    const chunks: Buffer[] = [];
    const request: RecordedRequest = {
      method: message.method ?? "",
      path: message.url ?? "",
      headers: message.headers,
      body: "",
      json: undefined,
      connection: this.numbers.get(message.socket.remotePort) ?? 0,
      disconnected: false,
    };
    response.once("close", () => {
      if (response.writableFinished || exchange.broken) return;
      request.disconnected = true;
      this.disconnects++;
      this.wake();
    });
    message.on("data", (chunk: Buffer) => chunks.push(chunk));
    await Promise.race([once(message, "end"), once(response, "close")]).catch(() => {});
    request.body = Buffer.concat(chunks).toString();
    request.json = parsed(request.body);
    this.requests.push(request);
    this.wake();
    return request;
  }

  private async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.waiting.add(resolve));
  }

  private wake(): void {
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
  }

  private dropConnections(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}

function parsed(body: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(body) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function certificate() {
  const file = (name: string) => readFileSync(join(__dirname, "tls", name));
  return { cert: file("certificate.pem"), key: file("key.pem") };
}
