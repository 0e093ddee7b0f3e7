import type { Socket } from "node:net";
import { connect } from "node:net";
import { LLMClient, type LLMConfig } from "../../src/index.js";
import { createServer, type LLMServer, type ServerOptions } from "../../src/server/index.js";
import {
  type FakeOllama,
  type FakeOllamaOptions,
  startFakeOllama,
} from "../servers/fake-ollama.js";
import { NO_SOURCES } from "./client-calls.js";

/** A server on a free port, with a fake Ollama behind it. */
export interface RunningServer {
  url: string;
  server: LLMServer;
  ollama: FakeOllama;
  client: LLMClient;
  /** What was logged. */
  log: string[];
  /** Asks it; a body is sent as JSON. */
  ask(path: string, body?: unknown, init?: RequestInit): Promise<Response>;
  stop(): Promise<void>;
}

const MODEL = { name: "m", capabilities: ["completion", "tools", "thinking"] };

/** Starts a server over a client of a fake Ollama, which has the model "m" unless told. */
export async function startServer(
  options: ServerOptions = {},
  config: LLMConfig = {},
  fake: FakeOllamaOptions = {},
): Promise<RunningServer> {
  const ollama = await startFakeOllama({ models: [MODEL], ...fake });
  const client = new LLMClient(
    { provider: "ollama", baseUrl: ollama.url, maxRetries: 0, ...config },
    NO_SOURCES,
  );
  const log: string[] = [];
  const write = (message: string) => void log.push(message);
  const logger = { debug: write, info: write, warn: write, error: write };
  const server = createServer(client, { port: 0, logger, drainTimeout: 0, ...options });
  const url = await server.listen();
  return {
    url,
    server,
    ollama,
    client,
    log,
    ask: (path, body, init = {}) =>
      fetch(`${url}${path}`, {
        ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
        ...init,
      }),
    async stop() {
      await server.close();
      await client.close();
      await ollama.close();
    },
  };
}

/** Sends bytes as they are, and gives the socket. */
export async function sendRaw(url: string, text: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  await new Promise<void>((resolve) => socket.on("connect", resolve));
  socket.write(text);
  return socket;
}
