import type { LLMClient } from "../index.js";
import type { ServerOptions } from "./options.js";
import { LLMServer } from "./server.js";

export type { ServerOptions } from "./options.js";
export type { LLMServer } from "./server.js";

/**
 * An HTTP server that answers as OpenAI's, Anthropic's and Ollama's do; it does not listen yet.
 * @example
 * await using server = createServer(client, { port: 11435 });
 * console.log(await server.listen()); // "http://127.0.0.1:11435"
 */
export function createServer(client: LLMClient, options: ServerOptions = {}): LLMServer {
  return new LLMServer(client, options);
}
