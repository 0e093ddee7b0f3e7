import { StreamableHTTPClientTransport, type Transport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import type { McpServer } from "./index.js";

/** Most bytes of a message, or of the answer to one. */
const MAX_BYTES = 10_000_000;

/** The way to a server; `hear` is told what a command writes to stderr. */
export function transportTo(server: McpServer, hear: (text: string) => void): Transport {
  if ("url" in server) {
    const { url, headers } = server;
    return new StreamableHTTPClientTransport(new URL(url), {
      requestInit: { headers },
      fetch: boundedFetch,
    });
  }
  const { command, args, env, cwd } = server;
  const parameters = { command, args, env, cwd, maxBufferSize: MAX_BYTES };
  const transport = new CommandTransport({ ...parameters, stderr: "pipe" });
  transport.stderr?.on("data", (chunk: Buffer) => hear(chunk.toString()));
  return transport;
}

/** A command that is closed by the client may be waited for by others, too. */
class CommandTransport extends StdioClientTransport {
  #closing: Promise<void> | undefined;

  override close(): Promise<void> {
    this.#closing ??= super.close();
    return this.#closing;
  }
}

/** Answers of any length would fill the memory. What a server tells by itself comes for hours. */
async function boundedFetch(url: string | URL, init?: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  if (init?.method !== "POST" || !response.body) return response;
  let length = 0;
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      length += chunk.length;
      if (length > MAX_BYTES) controller.error(new Error(`more than ${MAX_BYTES} bytes`));
      else controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(counter), response);
}
