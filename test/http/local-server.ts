import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import {
  type AddressInfo,
  createServer as createSocketServer,
  type Server as SocketServer,
  type Socket,
} from "node:net";
import { HttpClient, type HttpSettings } from "../../src/http/http-client.js";

/** A server of one test, with the connections it has seen. */
export interface LocalServer {
  url: string;
  port: number;
  sockets: Socket[];
}

const cleanups: (() => Promise<unknown> | unknown)[] = [];

/** Runs after the test, in reverse order. */
export function later(cleanup: () => Promise<unknown> | unknown): void {
  cleanups.push(cleanup);
}

/** Closes whatever the test has opened; for `afterEach`. */
export async function closeAll(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

/** Starts an HTTP server. */
export async function startServer(
  answer: RequestListener,
  options: { keepAliveTimeout?: number } = {},
): Promise<LocalServer> {
  return listening(createServer({ keepAliveTimeout: 5000, ...options }, answer));
}

/** Starts a server that sees plain sockets. */
export async function startSocketServer(
  onSocket: (socket: Socket, index: number) => void,
): Promise<LocalServer> {
  let index = 0;
  return listening(createSocketServer((socket) => onSocket(socket, index++)));
}

async function listening(server: Server | SocketServer): Promise<LocalServer> {
  const sockets: Socket[] = [];
  server.on("connection", (socket: Socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 4096, resolve));
  later(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, sockets };
}

/** A client that is closed after the test. */
export function clientOf(baseUrl: string, settings: Partial<HttpSettings> = {}): HttpClient {
  const client = new HttpClient({
    provider: "ollama",
    baseUrl,
    connectTimeout: 3,
    verifySsl: true,
    ...settings,
  });
  later(() => client.close());
  return client;
}

/** Call options that nobody aborts. */
export function unaborted(): { signal: AbortSignal } {
  return { signal: new AbortController().signal };
}

/** The whole body of a request. */
export async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Everything that a stream brings, as text. */
export async function textOf(chunks: AsyncIterable<Uint8Array[]>): Promise<string> {
  const read: Uint8Array[] = [];
  for await (const batch of chunks) read.push(...batch);
  return Buffer.concat(read).toString();
}

/** What a promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: unknown) => error,
  );
}

/** Resolves when a socket is closed. */
export function closed(socket: Socket): Promise<void> {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** Waits until something has become true. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 5));
}
